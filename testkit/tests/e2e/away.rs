//! A server that is away: killed under all daemons, or started long after them.

use std::time::Duration;

use boskos_testkit::{Daemon, eventually, look};

use crate::fleet::{Fleet, becomes, ended, first, journey};

/// How long daemons are without a server.
const LATE: Duration = Duration::from_secs(30);

/// Lines that each may log by the time it serves.
const MAX_LINES: usize = 5;

/// Scripts go on until a file called `open` is there.
const GATE: &str = "until [ -e $D/open ]; do sleep 0.05; done\n";

/// Those that nobody keeps alive are taken back after a second if they are quick, else after half an hour.
const RESOURCES: &str = "- {type: thing, state: free, names: [t1, t2, t3]}
- {type: quick, state: free, names: [q1]}
- {type: account, state: free, names: [a1]}
- {type: cluster, state: dirty, min-count: 1, max-count: 1, needs: {account: 1}, config: {type: Maker}}
- {type: old, state: raw, min-count: 1, max-count: 1}
";

/// One of each: reaper, janitor, mason, cleaner, metrics.
fn daemons(fleet: &Fleet) -> Vec<Daemon> {
    let clean = fleet.script("clean", &format!("echo $N >> $D/cleaned\n{GATE}"));
    let make = fleet.script("make", &format!("cat > /dev/null; echo made >> $D/made\n{GATE}echo '{{}}'\n"));
    vec![
        fleet.daemon("reaper", "--interval=200ms --expire-type=quick=1s"),
        fleet
            .daemon("janitor", &format!("--resource-type=thing,quick --janitor-path={clean} --update-frequency=200ms")),
        fleet.daemon("mason", &format!("--converter=Maker={make}")),
        fleet.daemon("cleaner", ""),
        fleet.daemon("metrics", "--port=0"),
    ]
}

/// Each of them does something: a dead job's lease comes back, a cluster is made, another one goes.
async fn serve(fleet: &Fleet, daemons: &[Daemon]) {
    let (dead, mason) = (fleet.client("dead"), fleet.client("mason"));
    dead.acquire("quick", "free", "busy").await.unwrap();
    becomes(&dead, "q1", "free").await;
    assert_eq!(journey(&dead, "q1").await, ["free", "busy dead", "dirty", "cleaning Janitor", "free"]);
    first(&dead, "cluster", "free").await;
    let old = first(&dead, "old", "raw").await.name;
    mason.acquire_by_state("raw", "x", std::slice::from_ref(&old)).await.unwrap();
    mason.release(old.as_str(), "toBeDeleted").await.unwrap();
    eventually("taken apart", async || mason.resource(old.as_str()).await.is_err()).await;
    let counts = daemons[4].get("/?type=thing").unwrap();
    assert!(counts.starts_with(r#"{"type":"thing","#), "{counts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_started_thirty_seconds_before_the_server_say_little_and_then_serve() {
    let mut fleet = Fleet::prepare(RESOURCES);
    let mut daemons = daemons(&fleet);
    fleet.touch("open");
    tokio::time::sleep(LATE).await;
    for daemon in &mut daemons {
        assert!(daemon.is_running());
        assert_eq!(daemon.get("/healthz").as_deref(), Some("OK"), "alive");
        assert_eq!(daemon.get("/healthz/ready"), None, "and not ready");
    }
    fleet.serve().await;
    for daemon in &daemons {
        daemon.logged("the server is back").await;
        daemon.ready().await;
        let mut log = daemon.log();
        // Mason's first work begins at once.
        log.truncate(1 + log.iter().position(|line| line.contains("the server is back")).unwrap());
        assert!(log.len() <= MAX_LINES, "{log:#?}");
        let told: Vec<_> = log.iter().filter(|line| line.contains("the server is away")).collect();
        assert!(told.len() == 1 && told[0].contains(&fleet.url()), "{log:#?}");
    }
    serve(&fleet, &daemons).await;
    for daemon in daemons {
        assert_eq!(daemon.stop().0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_and_started_again_under_all_daemons_loses_nothing() {
    let mut fleet = Fleet::start(RESOURCES).await;
    let mut daemons = daemons(&fleet);
    let me = fleet.client("me");
    // Work of every kind is under way: a job, a cleaning, a construction, a place in a queue.
    let job = fleet.job("job", "thing", "echo $BOSKOS_NAME > $D/job; until [ -e $D/done ]; do sleep 0.05; done");
    eventually("the job works", async || !fleet.lines("job").is_empty()).await;
    let held = &fleet.lines("job")[0];
    let note = [("note".to_owned(), Some("kept".to_owned()))].into();
    fleet.client("job").update(held, "busy", &note).await.unwrap();
    let dirty = me.acquire("thing", "free", "busy").await.unwrap().name.to_string();
    me.release(&dirty, "dirty").await.unwrap();
    let wait = ["acquire", "--type=thing", "--state=special", "--target-state=free", "--timeout=60s"];
    let waiting = fleet.ctl("waiter", &wait).spawn().unwrap();
    eventually("all of it", async || {
        let places = me.queue().await.unwrap();
        fleet.lines("cleaned").len() == 1 && fleet.lines("made").len() == 1 && places.iter().any(|place| place.parked)
    })
    .await;
    let id = me.queue().await.unwrap()[0].request_id.clone();
    assert!(id.is_some());

    // Once until it is noticed, then for as long as a start takes.
    fleet.kill_server();
    for daemon in &daemons[..4] {
        daemon.logged("the server is away").await;
    }
    fleet.serve().await;
    for daemon in &daemons {
        daemon.ready().await;
    }
    fleet.kill_server();
    fleet.serve().await;
    assert!(me.queue().await.unwrap().iter().any(|place| place.request_id == id), "the place was kept");
    assert_eq!(me.resource(held).await.unwrap().user_data.as_json(), r#"{"note":"kept"}"#);

    fleet.touch("open");
    becomes(&me, &dirty, "free").await;
    assert_eq!(fleet.lines("cleaned"), [dirty.as_str()], "by the run that had begun");
    assert_eq!(journey(&me, &dirty).await, ["free", "busy me", "dirty", "cleaning Janitor", "free"]);
    let cluster = first(&me, "cluster", "free").await.name;
    assert_eq!(fleet.lines("made"), ["made"], "by the run that had begun");
    assert_eq!(look(&me, "a1").await, (cluster.to_string(), String::new()));
    assert_eq!(look(&me, held).await, ("busy".into(), "job".into()));
    let special = me.acquire("thing", "free", "busy").await.unwrap().name;
    me.release(special.as_str(), "special").await.unwrap();
    let (well, output, errors) = ended(waiting).await;
    assert!(well && output.contains(&format!("{:?}", special.as_str())), "{output}{errors}");
    fleet.touch("done");
    assert!(ended(job).await.0, "the job never heard of it");
    becomes(&me, held, "free").await;

    serve(&fleet, &daemons).await;
    assert!(daemons.iter_mut().all(Daemon::is_running));
}
