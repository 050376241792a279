//! Ranch and store kept in step when the store refuses what it is handed, and when the process does not survive.

use std::{os::unix::process::ExitStatusExt as _, process::Command as Process, sync::Arc, thread, time::Duration};

use boskos_core::{
    Config, GoDuration, Now, Owner, StaticEntry,
    ranch::{
        Limits, Loader, Ranch,
        command::{Acquire, Command, Refusal, Release, Reply, Reset, SyncChange},
        plan::{ResourceKey, Stored},
    },
};
use boskos_server::{
    clock::Clock,
    steward::Steward,
    store::{MemoryStore, StoreError},
    sync,
};
use boskos_testkit::Logs;
use rustix::process::Signal;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    doubles::{Act, Double, Script},
    harness::PATIENCE,
    store_support::record,
};

/// What is answered at once is answered within this; by itself the driver looks every 30 s.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A ranch in front of a store that does as it is told.
struct Scene {
    steward: Arc<Steward>,
    script: Arc<Script>,
    _carrier: JoinSet<()>,
}

impl Scene {
    /// `count` resources of type `t`, listed and busy: `me` owns them all.
    fn of(count: u32) -> Self {
        let mut loader = Loader::new(Limits::default(), Box::new(|| "made".into()), Now::default());
        for number in 1..=count {
            let record = record(&format!("r{number}"), "busy", Some("me"), number.into());
            loader.resource(Stored { key: Some(ResourceKey::new(number)), record, version: 0 }, true);
        }
        let (store, script) = Double::new(MemoryStore::default());
        let steward = Steward::new(loader.finish(), Arc::new(store), Clock::start());
        steward.store().start(Arc::new(steward.clone()));
        let mut carrier = JoinSet::new();
        carrier.spawn(steward.clone().carry());
        Self { steward, script, _carrier: carrier }
    }

    async fn call(&self, command: Command) -> Reply {
        timeout(PATIENCE, self.steward.call(command)).await.expect("an answer").open().0
    }

    async fn until(&self, what: &str, look: impl Fn(&Ranch) -> bool) {
        let seen = async {
            while !self.steward.read(|ranch, _| look(ranch)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never happened: {what}"));
    }
}

fn release(name: &str) -> Command {
    Command::Release(Release { name: name.into(), dest: "free".into(), owner: "me".into() })
}

fn wait_for_one(owner: &str) -> Command {
    let wait = Duration::from_secs(50);
    let (r#type, state, dest, owner) = ("t".into(), "free".into(), "busy".into(), Owner::from(owner));
    Command::Acquire(Acquire { r#type, state, dest, owner, request_id: None, wait })
}

fn no_room() -> StoreError {
    boskos_server::store::sqlite::check_store(std::path::Path::new("/nowhere/at/all")).unwrap_err().into()
}

/// Runs a test that may not end, in a runtime of its own: whoever turns in circles cannot be cancelled.
fn within_patience<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (sender, ended) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(test())));
        sender.send(result)
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(late) => panic!("it turns in circles: {late}"),
    }
}

#[test]
fn fate_that_is_refused_at_once_waits_until_the_store_takes_writes() {
    within_patience(|| async {
        let scene = Scene::of(1);
        let unlisted = scene.call(Command::Sync(vec![SyncChange::Unlist { name: "r1".into() }])).await;
        assert!(matches!(unlisted, Reply::Synced), "{unlisted:?}");
        // The release is written, the deletion that follows is not: nothing was heard of a halt yet.
        scene.script.next(Act::Write);
        scene.script.always(Act::Fail);
        assert!(matches!(scene.call(release("r1")).await, Reply::Done));
        let refused = scene.call(wait_for_one("x")).await;
        assert!(matches!(refused, Reply::Refused(Refusal::Unavailable)), "{refused:?}");
        assert!(scene.steward.read(|ranch, _| ranch.is_halted() && ranch.resource("r1").is_some()));
        scene.script.resume();
        scene.until("the deletion", |ranch| ranch.resource("r1").is_none() && !ranch.is_halted()).await;
    });
}

#[test]
fn refusal_at_once_costs_one_waiter_its_call_and_no_other_its_place() {
    within_patience(|| async {
        let scene = Scene::of(1);
        let mut waiters = JoinSet::new();
        for (parked, owner) in ["one", "two", "three"].into_iter().enumerate() {
            let steward = scene.steward.clone();
            waiters.spawn(async move { (owner, steward.call(wait_for_one(owner)).await.open()) });
            scene.until("a parked call", |ranch| ranch.parked() == parked + 1).await;
        }
        scene.script.next(Act::Write);
        scene.script.always(Act::Fail);
        assert!(matches!(scene.call(release("r1")).await, Reply::Done));
        let (owner, (reply, _)) = waiters.join_next().await.unwrap().unwrap();
        assert!(matches!((owner, &reply), ("one", Reply::Refused(Refusal::Unavailable))), "{owner}: {reply:?}");
        assert_eq!(scene.steward.read(|ranch, _| ranch.parked()), 2);
        scene.script.resume();
        let (owner, (reply, undo)) = timeout(PATIENCE, waiters.join_next()).await.unwrap().unwrap().unwrap();
        assert!(matches!((owner, &reply), ("two", Reply::Granted(_))), "{owner}: {reply:?}");
        assert_eq!(scene.steward.read(|ranch, _| ranch.parked()), 1);
        drop(undo);
    });
}

#[test]
fn reset_of_more_than_is_in_flight_together_is_refused_at_once_in_an_outage() {
    within_patience(|| async {
        let scene = Scene::of(1_000);
        scene.script.always(Act::ForgetLost);
        let (expire, dest) = (GoDuration::from_nanos(0), "dirty".into());
        let reset = Command::Reset(Reset { r#type: "t".into(), state: "busy".into(), expire, dest });
        let steward = scene.steward.clone();
        let resetting = tokio::spawn(async move { steward.call(reset).await.open().0 });
        let in_flight = Limits::default().chores;
        scene.until("as many parts as may be", |ranch| ranch.in_flight() == in_flight).await;
        scene.script.halt(&no_room());
        assert_eq!(scene.script.remember(), in_flight);
        let reply = timeout(AT_ONCE, resetting).await.expect("an answer at once").unwrap();
        assert!(matches!(reply, Reply::Refused(Refusal::Unavailable)), "{reply:?}");
    });
}

#[test]
fn config_that_nobody_waits_for_takes_no_further_step_and_is_waited_for_at_the_end() {
    const STEP: usize = 1_000;
    within_patience(|| async {
        let scene = Scene::of(0);
        let names = (0..3 * STEP).map(|number| format!("r{number}").into()).collect();
        let entry = StaticEntry { r#type: "t".into(), state: "free".into(), names };
        let config = Config { statics: vec![entry], ..Config::default() };
        scene.script.always(Act::Hold);
        let applying = tokio::spawn(sync::apply(scene.steward.clone(), config));
        scene.until("the first step", |ranch| ranch.in_flight() == STEP).await;
        applying.abort();
        assert!(applying.await.unwrap_err().is_cancelled());
        let ending = tokio::spawn({
            let steward = scene.steward.clone();
            async move { steward.wind_down().await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!ending.is_finished(), "what is being written is waited for");
        assert_eq!(scene.script.release(), STEP);
        timeout(PATIENCE, ending).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(scene.steward.read(|ranch, _| (ranch.len(), ranch.in_flight())), (STEP, 0));
    });
}

#[test]
fn panic_under_the_lock_ends_the_process() {
    const CHILD: &str = "BOSKOS_TEST_PANICS_UNDER_THE_LOCK";
    if std::env::var_os(CHILD).is_some() {
        let scene = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async { Scene::of(1) });
        // What unwinds already may still take the lock.
        let after = scene.steward.clone();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _undo = OnDrop(after);
            panic!("elsewhere");
        }));
        println!("still here");
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            scene.steward.with_ranch(|_, _| panic!("halfway through a change"));
        }));
        return;
    }
    let name = "steward::panic_under_the_lock_ends_the_process";
    let child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let (output, errors) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(output.contains("still here"), "{output}{errors}");
    assert_eq!(child.status.signal(), Some(Signal::ABORT.as_raw()), "{output}{errors}");
}

/// Takes the lock when it is dropped, as an answer that nobody read does.
struct OnDrop(Arc<Steward>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.with_ranch(|ranch, _| assert_eq!(ranch.len(), 1));
    }
}

/// Lets time pass while nothing else happens.
async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
    // Whoever was due has its turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn store_that_cannot_be_written_is_told_of_every_minute_and_once_when_it_can() {
    let logs = Logs::capture();
    let scene = Scene::of(1);
    let told = || (logs.with("the store cannot be written").len(), logs.with("can be written again").len());
    pass(1).await;
    assert_eq!((told(), scene.steward.is_writable()), ((0, 0), true));
    scene.script.halt(&no_room());
    pass(1).await;
    assert_eq!((told(), scene.steward.is_writable()), ((1, 0), false));
    for _ in 0..26 {
        pass(5).await;
    }
    assert_eq!(told(), (3, 0), "in 131 s");
    assert!(logs.with("ERROR").iter().all(|line| line.contains("/nowhere/at/all")), "each with the reason");
    scene.script.resume();
    timeout(PATIENCE, scene.steward.resumed().notified()).await.expect("word for whoever follows the config");
    pass(1).await;
    assert_eq!((told(), scene.steward.is_writable()), ((3, 1), true));
}

#[tokio::test(start_paused = true)]
async fn store_that_keeps_a_write_to_itself_is_told_of() {
    let logs = Logs::capture();
    let scene = Scene::of(2);
    let told = || (logs.with("does not answer").len(), logs.with("answers again").len());
    scene.script.next(Act::Hold);
    let steward = scene.steward.clone();
    let held = tokio::spawn(async move { steward.call(release("r1")).await.open().0 });
    pass(9).await;
    // Others that are written meanwhile are no sign that it is well.
    assert!(matches!(scene.call(release("r2")).await, Reply::Done));
    assert_eq!((told(), scene.steward.is_writable()), ((0, 0), true));
    pass(5).await;
    pass(5).await;
    assert_eq!((told(), scene.steward.is_writable()), ((1, 0), false));
    assert_eq!(scene.script.release(), 1);
    pass(5).await;
    assert_eq!((told(), scene.steward.is_writable()), ((1, 1), true));
    assert!(matches!(held.await.unwrap(), Reply::Done));
}

#[tokio::test(start_paused = true)]
async fn write_that_is_under_way_when_the_store_halts_is_not_taken_for_done() {
    let logs = Logs::capture();
    let scene = Scene::of(1);
    scene.script.next(Act::Hold);
    let steward = scene.steward.clone();
    let held = tokio::spawn(async move { steward.call(release("r1")).await.open().0 });
    for _ in 0..4 {
        pass(5).await;
    }
    scene.script.halt(&no_room());
    pass(5).await;
    let told = ["does not answer", "cannot be written", "answers again"].map(|text| logs.with(text).len());
    assert_eq!((told, scene.steward.is_writable()), ([1, 1, 0], false));
    scene.script.resume();
    assert_eq!(scene.script.release(), 1);
    assert!(matches!(held.await.unwrap(), Reply::Done));
}
