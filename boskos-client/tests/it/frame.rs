//! The pass loop, and which types it serves.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use boskos_client::{
    Client, Clock, Error, Filter, LeaseOptions,
    frame::{Frame, Pass, Pool, Progress, Work},
    types::{self, TypeFlags, TypeSelection},
};
use boskos_runtime::signal::{Cause, Shutdown};
use boskos_testkit::{Brake, Loss, OlderServer, PATIENCE, Proxy, Server, Stub, eventually, look};
use tokio::sync::Notify;

use crate::harness::{CONFIG, builder};

/// Cleans what is dirty, as a janitor would.
struct Sweeper {
    client: Client,
    work: Work,
    types: TypeSelection,
    serving: Vec<boskos_client::ResourceType>,
    passes: Arc<AtomicUsize>,
    /// What a job waits for before it is done.
    gate: Option<Arc<Notify>>,
}

impl Pass for Sweeper {
    async fn pass(&mut self, pool: &mut Pool) -> Result<Progress, Error> {
        self.passes.fetch_add(1, Ordering::SeqCst);
        self.serving = self.types.current(&self.client).await?;
        let mut progress = Progress::Idle;
        for r#type in &self.serving {
            while pool.room() > 0 {
                let resource = match self.client.acquire(r#type.as_str(), "dirty", "cleaning").await {
                    Ok(resource) => resource,
                    Err(error) if error.is_none_now() => break,
                    Err(error) => return Err(error),
                };
                progress = Progress::Did;
                let lease = self.client.lease(resource, LeaseOptions::dropped_into("dirty"));
                let (work, stop, gate) = (self.work.clone(), pool.stop(), self.gate.clone());
                pool.spawn(async move {
                    if let Some(gate) = gate {
                        tokio::select! {
                            () = gate.notified() => {}
                            _ = stop.triggered() => return,
                        }
                    }
                    lease.release("free").await.unwrap();
                    work.did("thing", 1);
                });
            }
        }
        Ok(progress)
    }

    fn wakes_on(&self) -> Option<Filter> {
        types::unowned(&self.serving, &["dirty"])
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3600)
    }

    async fn called(&mut self) {
        self.types.changed().await;
    }
}

/// Cleans what is dirty but `resting`, which it leaves alone.
struct Picky {
    client: Client,
    work: Work,
    passes: Arc<AtomicUsize>,
}

impl Pass for Picky {
    async fn pass(&mut self, _: &mut Pool) -> Result<Progress, Error> {
        self.passes.fetch_add(1, Ordering::SeqCst);
        let mut progress = Progress::Idle;
        for resource in self.client.list(&self.wakes_on().unwrap()).await? {
            if resource.name.as_str() != "resting" {
                for resource in self.client.acquire_by_state("dirty", "cleaning", &[resource.name]).await? {
                    self.client.release(resource.name.as_str(), "free").await?;
                    self.work.did("thing", 1);
                    progress = Progress::Did;
                }
            }
        }
        Ok(progress)
    }

    fn wakes_on(&self) -> Option<Filter> {
        types::unowned(&["thing".into()], &["dirty"])
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3600)
    }
}

/// Ends none of its passes after the first `ending` ones.
struct Hanging {
    passes: Arc<AtomicUsize>,
    ending: usize,
    /// Calls for the next one.
    called: Arc<Notify>,
}

impl Pass for Hanging {
    async fn pass(&mut self, _: &mut Pool) -> Result<Progress, Error> {
        if self.passes.fetch_add(1, Ordering::SeqCst) < self.ending {
            return Ok(Progress::Idle);
        }
        std::future::pending().await
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3600)
    }

    async fn called(&mut self) {
        self.called.notified().await;
    }
}

/// Asks for nothing, as a daemon does between two of its times.
struct Resting;

impl Pass for Resting {
    async fn pass(&mut self, _: &mut Pool) -> Result<Progress, Error> {
        Ok(Progress::Idle)
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3600)
    }
}

struct Daemon {
    shutdown: Shutdown,
    work: Work,
    readiness: boskos_runtime::health::Readiness,
    passes: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<anyhow::Result<std::process::ExitCode>>,
}

fn start(client: Client, types: TypeSelection, pool: usize, gate: Option<Arc<Notify>>) -> Daemon {
    let shutdown = Shutdown::new();
    let frame = Frame::assemble("sweeper", client.clone(), shutdown.clone()).unwrap();
    let (work, readiness, passes) = (frame.work.clone(), frame.readiness.clone(), Arc::new(AtomicUsize::new(0)));
    let sweeper = Sweeper { client, work: work.clone(), types, serving: Vec::new(), passes: Arc::clone(&passes), gate };
    Daemon { shutdown, work, readiness, passes, task: tokio::spawn(frame.run(sweeper, pool)) }
}

async fn stop(daemon: Daemon) {
    daemon.shutdown.trigger(Cause::Requested);
    tokio::time::timeout(PATIENCE, daemon.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_server_needs_the_types_named_and_that_is_said() {
    let server = OlderServer::start(|_| (404, String::new())).await;
    let daemon = start(builder(&server.url(), "Sweeper").build().unwrap(), TypeSelection::all(), 4, None);
    eventually("said", async || daemon.readiness.reason().is_some_and(|reason| reason.contains("--resource-type")))
        .await;
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_turns_up_is_picked_up_at_once() {
    let server = Server::start(CONFIG).await;
    let daemon = start(server.client("Sweeper"), TypeSelection::all(), 4, None);
    daemon.readiness.ready().await;
    let user = server.client("me");
    let began = Instant::now();
    for round in 1..=5 {
        let resource = user.acquire("thing", "free", "busy").await.unwrap();
        user.release(resource.name.as_str(), "dirty").await.unwrap();
        eventually("cleaned", async || daemon.work.done("thing") == round).await;
    }
    // The interval is an hour; a machine under load gets some slack.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let idle = daemon.passes.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(daemon.passes.load(Ordering::SeqCst), idle, "no passes while there is nothing to do");
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rests_calls_for_no_pass_and_news_beside_it_do_at_once() {
    let server = Server::start(
        "resources:
- {type: thing, state: dirty, names: [resting]}
- {type: thing, state: free, names: [thing1]}
",
    )
    .await;
    let (client, shutdown) = (server.client("Picky"), Shutdown::new());
    let frame = Frame::assemble("picky", client.clone(), shutdown.clone()).unwrap();
    let (work, passes) = (frame.work.clone(), Arc::new(AtomicUsize::new(0)));
    let picky = Picky { client, work: work.clone(), passes: Arc::clone(&passes) };
    let task = tokio::spawn(frame.run(picky, 1));
    let user = server.client("me");
    for round in 1..=5 {
        let mut quiet = passes.load(Ordering::SeqCst);
        eventually("no more passes", async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            std::mem::replace(&mut quiet, passes.load(Ordering::SeqCst)) == quiet && quiet > 0
        })
        .await;
        let resource = user.acquire("thing", "free", "busy").await.unwrap();
        user.release(resource.name.as_str(), "dirty").await.unwrap();
        // The interval is an hour.
        eventually("cleaned", async || work.done("thing") == round).await;
    }
    // One that did it, and at most two more that find nothing.
    assert!(passes.load(Ordering::SeqCst) <= 5 * 3 + 2, "{passes:?}");
    shutdown.trigger(Cause::Requested);
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_cuts_a_pass_that_hangs() {
    let server = Server::start(CONFIG).await;
    let (shutdown, passes) = (Shutdown::new(), Arc::new(AtomicUsize::new(0)));
    let frame = Frame::assemble("hanging", server.client("me"), shutdown.clone()).unwrap();
    let hanging = Hanging { passes: Arc::clone(&passes), ending: 0, called: Arc::default() };
    let task = tokio::spawn(frame.run(hanging, 1));
    eventually("it passes", async || passes.load(Ordering::SeqCst) == 1).await;
    shutdown.trigger(Cause::Requested);
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_amid_a_pass_is_away_until_it_answers_though_the_pass_goes_on() {
    let server = Server::start(CONFIG).await;
    let brake = Brake::start(server.address).await;
    let client = builder(&brake.url(), "me").timeout(CALL).build().unwrap();
    let (shutdown, passes, called) = (Shutdown::new(), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let frame = Frame::assemble("hanging", client, shutdown.clone()).unwrap();
    let readiness = frame.readiness.clone();
    let hanging = Hanging { passes: Arc::clone(&passes), ending: 1, called: Arc::clone(&called) };
    let task = tokio::spawn(frame.run(hanging, 1));
    tokio::time::timeout(PATIENCE, readiness.ready()).await.unwrap();
    called.notify_one();
    eventually("it passes", async || passes.load(Ordering::SeqCst) == 2).await;
    for _ in 0..2 {
        brake.stop();
        eventually("said to be away", async || {
            readiness.reason().is_some_and(|reason| reason.starts_with("the server is away: no answer from"))
        })
        .await;
        brake.go_on();
        tokio::time::timeout(PATIENCE, readiness.ready()).await.unwrap();
    }
    assert_eq!(passes.load(Ordering::SeqCst), 2);
    shutdown.trigger(Cause::Requested);
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn jobs_that_are_ended_have_dropped_what_they_held() {
    struct Held(Arc<AtomicUsize>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let mut pool = Pool::new(10, Shutdown::new());
    for _ in 0..10 {
        count.fetch_add(1, Ordering::SeqCst);
        let held = Held(Arc::clone(&count));
        pool.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
    }
    pool.end().await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_gives_back_what_jobs_hold() {
    let server = Server::start("resources: [{type: thing, state: dirty, names: [a, b, c]}]").await;
    let client = server.client("Sweeper");
    let daemon = start(client.clone(), TypeSelection::fixed(["thing".into()]), 2, Some(Arc::new(Notify::new())));
    eventually("a full pool", async || client.held().len() == 2).await;
    stop(daemon).await;
    for name in ["a", "b", "c"] {
        assert_eq!(look(&client, name).await, ("dirty".into(), String::new()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_takes_no_more_than_it_can_do() {
    let server = Server::start("resources: [{type: thing, state: dirty, names: [a, b, c]}]").await;
    let client = server.client("Sweeper");
    let gate = Arc::new(Notify::new());
    let daemon = start(client.clone(), TypeSelection::fixed(["thing".into()]), 2, Some(Arc::clone(&gate)));
    eventually("a full pool", async || client.held().len() == 2).await;
    assert_eq!(look(&client, "c").await.1, "");
    gate.notify_one();
    eventually("the third", async || look(&client, "c").await.0 == "cleaning").await;
    gate.notify_waiters();
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_makes_it_not_ready_and_is_found_again() {
    let mut server = Server::start_kept(CONFIG).await;
    server.stop().await;
    let daemon = start(server.client("Sweeper"), TypeSelection::all(), 4, None);
    eventually("said to be away", async || {
        daemon.readiness.reason().is_some_and(|reason| reason.starts_with("the server is away: cannot reach http://"))
    })
    .await;
    server.restart().await;
    tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
    let user = server.client("me");
    user.acquire("thing", "free", "busy").await.unwrap();
    user.release("thing1", "dirty").await.unwrap();
    eventually("cleaned", async || daemon.work.done("thing") == 1).await;
    stop(daemon).await;
}

/// How long a call to a server that hangs takes in tests: longer than a machine under load takes for an answer.
const CALL: Duration = Duration::from_secs(2);

/// The same where it must get all its answers.
const LONG_CALL: Duration = Duration::from_secs(6);

/// A hang must be noticed within this, as must its end: before a watch is over, which takes 50 s.
const SOON: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_away_after_one_timeout_and_found_again() {
    let server = Server::start(CONFIG).await;
    let brake = Brake::start(server.address).await;
    let client = |owner| builder(&brake.url(), owner).timeout(CALL).build().unwrap();
    let daemon = start(client("Sweeper"), TypeSelection::all(), 4, None);
    let (resting, stop_resting) = (client("Resting"), Shutdown::new());
    let frame = Frame::assemble("resting", resting, stop_resting.clone()).unwrap();
    let rests = frame.readiness.clone();
    let resting = tokio::spawn(frame.run(Resting, 1));
    for round in 1..=2 {
        daemon.readiness.ready().await;
        rests.ready().await;
        // One of them watches, the other does nothing at all.
        eventually("it watches", async || brake.count("wait=50s") >= round).await;
        brake.stop();
        let began = Instant::now();
        for readiness in [&daemon.readiness, &rests] {
            let away = format!("the server is away: no answer from {} within {} s", brake.url(), CALL.as_secs_f64());
            eventually("said to be away", async || readiness.reason().is_some_and(|reason| *reason == *away)).await;
        }
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        brake.go_on();
        let began = Instant::now();
        tokio::time::timeout(PATIENCE, daemon.readiness.ready()).await.unwrap();
        tokio::time::timeout(PATIENCE, rests.ready()).await.unwrap();
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let (user, done) = (server.client("me"), daemon.work.done("thing"));
        let resource = user.acquire("thing", "free", "busy").await.unwrap();
        user.release(resource.name.as_str(), "dirty").await.unwrap();
        eventually("cleaned", async || daemon.work.done("thing") > done).await;
        assert_eq!(look(&user, resource.name.as_str()).await.0, "free");
    }
    stop_resting.trigger(Cause::Requested);
    tokio::time::timeout(PATIENCE, resting).await.unwrap().unwrap().unwrap();
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_the_server_holds_for_longer_than_a_call_may_take_is_no_hang() {
    let server = Server::start(CONFIG).await;
    let brake = Brake::start(server.address).await;
    let client = builder(&brake.url(), "Sweeper").timeout(LONG_CALL).build().unwrap();
    let daemon = start(client, TypeSelection::all(), 4, None);
    eventually("it watches", async || brake.count("wait=50s") == 1).await;
    let passes = daemon.passes.load(Ordering::SeqCst);
    // Six in one timeout.
    let asked = brake.count("/api/v1/info");
    eventually("three timeouts", async || brake.count("/api/v1/info") >= asked + 18).await;
    assert!(daemon.readiness.is_ready());
    // Else it would have passed when the server was back.
    assert_eq!((brake.count("wait=50s"), daemon.passes.load(Ordering::SeqCst)), (1, passes));
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lost_connection_is_no_hang() {
    let server = Server::start(CONFIG).await;
    let proxy = Proxy::losing(server.address, "/api/v1/info", Loss::Hang, 0).await;
    let brake = Brake::start(proxy.address).await;
    let client = builder(&brake.url(), "Sweeper").timeout(LONG_CALL).build().unwrap();
    let daemon = start(client, TypeSelection::all(), 4, None);
    eventually("it watches", async || brake.count("wait=50s") == 1).await;
    let passes = daemon.passes.load(Ordering::SeqCst);
    proxy.lose(1);
    eventually("one is lost", async || proxy.is_done()).await;
    // Six in one timeout, after which the lost one is over.
    let asked = brake.count("/api/v1/info");
    eventually("two timeouts", async || brake.count("/api/v1/info") >= asked + 12).await;
    assert!(daemon.readiness.is_ready());
    // Else it would have passed when the server was back.
    assert_eq!((brake.count("wait=50s"), daemon.passes.load(Ordering::SeqCst)), (1, passes));
    stop(daemon).await;
}

#[tokio::test]
async fn before_the_first_contact_it_names_the_server_without_its_password() {
    let client = builder("http://me:c4n4ry@127.0.0.1:1", "me").build().unwrap();
    let frame = Frame::assemble("early", client, Shutdown::new()).unwrap();
    assert_eq!(frame.readiness.reason().as_deref(), Some("http://127.0.0.1:1 was not reached yet"));
}

#[tokio::test]
async fn something_else_that_knows_no_path_is_no_server() {
    let stub = Stub::start(|_| (404, "text/html", "<html>404 Not Found</html>\n".to_owned())).await;
    let daemon = start(builder(&stub.url(), "Sweeper").build().unwrap(), TypeSelection::all(), 4, None);
    eventually("said to be away", async || {
        daemon.readiness.reason().is_some_and(|reason| reason.contains("does not answer like boskos"))
    })
    .await;
    stop(daemon).await;
}

#[tokio::test]
async fn with_an_older_server_it_passes_at_its_interval() {
    let none = "Acquire failed: no available resource thing, try again later.\n";
    let stub = Stub::start(move |request| match request.path() {
        "/acquire" => (404, "text/plain", none.to_owned()),
        _ => (200, "text/plain", String::new()),
    })
    .await;
    let (clock, hand) = Clock::manual();
    let client = builder(&stub.url(), "Sweeper").clock(clock).build().unwrap();
    let daemon = start(client, TypeSelection::fixed(["thing".into()]), 4, None);
    eventually("it learns that the server is older", async || stub.count("/api/v1/resources") == 1).await;
    assert_eq!(stub.count("/acquire"), 1);
    assert!(daemon.readiness.is_ready());
    hand.slept_on().await;
    hand.advance(Duration::from_secs(3600));
    eventually("the next pass", async || stub.count("/acquire") == 2).await;
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_a_file_are_followed_and_those_that_left_stay_while_the_server_has_some() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("types.yaml");
    fs::write(&file, CONFIG).unwrap();
    let flags = TypeFlags { resource_type: Some("listed,".to_owned()), resource_type_from_config: Some(file.clone()) };
    let mut selection = flags.select(client.clock()).unwrap();
    assert_eq!(names(&mut selection, &client).await, ["listed", "other", "thing"]);

    for bad in ["resources: [", "", "resources: []"] {
        fs::write(&file, bad).unwrap();
        tokio::time::timeout(PATIENCE, selection.changed()).await.unwrap();
        assert_eq!(names(&mut selection, &client).await, ["listed", "other", "thing"], "{bad:?}");
    }
    fs::write(&file, "resources: [{type: new, names: [n]}]").unwrap();
    tokio::time::timeout(PATIENCE, selection.changed()).await.unwrap();
    assert_eq!(names(&mut selection, &client).await, ["listed", "new", "other", "thing"], "the server has some");

    let other = Server::start("resources: [{type: other, names: [o]}]").await;
    let client = other.client("me");
    assert_eq!(names(&mut selection, &client).await, ["listed", "new", "other"]);
}

#[tokio::test]
async fn flags_select_types() {
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let select = |text: Option<&str>| {
        let flags = TypeFlags { resource_type: text.map(str::to_owned), ..TypeFlags::default() };
        (flags.is_given(), flags.select(client.clock()).unwrap())
    };
    let (given, mut all) = select(None);
    assert!(!given && all.is_all());
    assert_eq!(names(&mut all, &client).await, ["other", "thing"]);
    let (given, mut nothing) = select(Some(""));
    assert!(given && !nothing.is_all());
    assert!(names(&mut nothing, &client).await.is_empty());
    assert!(types::unowned(&nothing.current(&client).await.unwrap(), &["dirty"]).is_none());
    let missing = TypeFlags { resource_type_from_config: Some("/nothing/there".into()), ..TypeFlags::default() };
    assert!(missing.select(client.clock()).is_err());
}

async fn names(selection: &mut TypeSelection, client: &Client) -> Vec<String> {
    let types = selection.current(client).await.unwrap();
    types.iter().map(|r#type| r#type.as_str().to_owned()).collect()
}
