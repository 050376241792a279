//! A second replica of each daemon, started amid the work of the first.

use std::time::Duration;

use boskos_core::leased::{LEASED_RESOURCES, format_leased};
use boskos_testkit::{Daemon, eventually, look};

use crate::fleet::{Fleet, becomes, ended, first, journey};

/// A thing that nobody keeps alive for so long is taken back.
const EXPIRE: Duration = Duration::from_secs(2);

/// Composites for the cleaner: enough for it to be at work when the second one starts.
const STACKS: usize = 60;

/// The same daemons each time it is called: reaper, janitor, mason, cleaner, metrics.
fn replica(fleet: &Fleet) -> Vec<Daemon> {
    let (clean, make) = (fleet.path("clean"), fleet.path("make"));
    vec![
        fleet.daemon("reaper", "--interval=100ms --expire-type=thing=2s"),
        fleet.daemon(
            "janitor",
            &format!("--resource-type=thing,account --janitor-path={clean} --update-frequency=200ms"),
        ),
        fleet.daemon("mason", &format!("--converter=Maker={make}")),
        fleet.daemon("cleaner", "--cleaner-count=1"),
        fleet.daemon("metrics", "--port=0"),
    ]
}

/// Composites that are to be taken apart, of one part each, as mason makes them; the names of both.
async fn stacks(fleet: &Fleet) -> Vec<(String, String)> {
    let mason = fleet.client("mason");
    let mut made = Vec::new();
    while made.len() < STACKS {
        let stack = first(&mason, "stack", "raw").await.name;
        mason.acquire_by_state("raw", "cleaning", std::slice::from_ref(&stack)).await.unwrap();
        let part = mason.acquire("part", "free", "leased").await.unwrap().name;
        let list = format_leased(std::slice::from_ref(&part));
        mason.update(stack.as_str(), "cleaning", &[(LEASED_RESOURCES.to_owned(), Some(list))].into()).await.unwrap();
        mason.release(part.as_str(), stack.as_str()).await.unwrap();
        mason.release(stack.as_str(), "ready").await.unwrap();
        made.push((stack.to_string(), part.to_string()));
    }
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_replica_of_each_daemon_disturbs_nothing_and_takes_over_when_the_first_is_gone() {
    let parts: Vec<String> = (0..STACKS).map(|number| format!("p{number}")).collect();
    let fleet = Fleet::start(&format!(
        "- {{type: thing, state: free, names: [t1, t2, t3]}}
- {{type: account, state: free, names: [a1]}}
- {{type: cluster, state: dirty, min-count: 1, max-count: 1, needs: {{account: 1}}, config: {{type: Maker}}}}
- {{type: part, state: free, names: [{}]}}
- {{type: stack, state: raw, min-count: {STACKS}, max-count: {STACKS}, needs: {{part: 1}}}}
",
        parts.join(", ")
    ))
    .await;
    let gate = "until [ -e $D/open ]; do sleep 0.05; done\n";
    fleet.script("clean", &format!("echo $N >> $D/cleaned\n{gate}"));
    fleet.script("make", &format!("cat > /dev/null; echo made >> $D/made\n{gate}echo '{{}}'\n"));
    let me = fleet.client("me");
    let stacks = stacks(&fleet).await;
    let first_replica = replica(&fleet);
    let job = fleet.job("job", "thing", "echo $BOSKOS_NAME > $D/job; until [ -e $D/open ]; do sleep 0.05; done");
    eventually("the job works", async || !fleet.lines("job").is_empty()).await;
    let held = &fleet.lines("job")[0];
    let mut dirty = Vec::new();
    for _ in 0..2 {
        let name = me.acquire("thing", "free", "busy").await.unwrap().name.to_string();
        me.release(&name, "dirty").await.unwrap();
        dirty.push(name);
    }
    dirty.sort();
    eventually("work", async || fleet.lines("cleaned") == dirty && fleet.lines("made") == ["made"]).await;
    let held_since = me.resource(held).await.unwrap().last_update;

    // The cleaner gets its work in one go, and the second replicas come when it is at the first of it.
    let mason = fleet.client("mason");
    for (stack, _) in &stacks {
        mason.acquire_by_state("ready", "x", &[stack.as_str().into()]).await.unwrap();
    }
    for (stack, _) in &stacks {
        mason.release(stack, "toBeDeleted").await.unwrap();
    }
    let second_replica = replica(&fleet);
    for daemon in &second_replica {
        daemon.ready().await;
    }
    eventually("all is kept alive beyond the expiry", async || {
        let heard = me.resource(held).await.unwrap().last_update;
        heard.nanos_since(held_since) > i64::try_from((2 * EXPIRE).as_nanos()).unwrap()
    })
    .await;
    fleet.touch("open");

    assert!(ended(job).await.0);
    for name in dirty.iter().chain([held]) {
        becomes(&me, name, "free").await;
        let taken = if name == held { "busy job" } else { "busy me" };
        assert_eq!(journey(&me, name).await, ["free", taken, "dirty", "cleaning Janitor", "free"]);
    }
    let mut all = [dirty.clone(), vec![held.clone()]].concat();
    all.sort();
    assert_eq!(fleet.lines("cleaned"), all, "each once");
    let cluster = first(&me, "cluster", "free").await.name.to_string();
    assert_eq!(fleet.lines("made"), ["made"]);
    assert_eq!(journey(&me, &cluster).await, ["dirty", "cleaning mason", "free"]);
    assert_eq!(look(&me, "a1").await.0, cluster);
    for (stack, part) in &stacks {
        becomes(&me, part, "dirty").await;
        assert_eq!(journey(&me, part).await, ["free", "leased mason", stack, "cleaning cleaner", "dirty"]);
        eventually("gone", async || me.resource(stack).await.is_err()).await;
    }
    for daemon in first_replica.iter().chain(&second_replica) {
        let failed: Vec<_> = daemon.log().into_iter().filter(|line| !line.contains(r#""level":"info""#)).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
    let done = [&first_replica, &second_replica].map(|replica| done_by(&replica[3]));
    assert_eq!(done[0] + done[1], STACKS, "each by one of them: {done:?}");

    // The first is gone without a word.
    drop(first_replica);
    let left = me.acquire("thing", "free", "busy").await.unwrap().name;
    becomes(&me, left.as_str(), "free").await;
    let way = journey(&me, left.as_str()).await;
    assert!(way.ends_with(&["busy me", "dirty", "cleaning Janitor", "free"].map(str::to_owned)), "{way:?}");
    me.acquire("cluster", "free", "busy").await.unwrap();
    me.release(&cluster, "dirty").await.unwrap();
    becomes(&me, &cluster, "free").await;
    assert_eq!(fleet.lines("made").len(), 2);
    assert!(second_replica[4].get("/?type=thing").unwrap().contains(r#""free":3"#));
}

/// Stacks that a cleaner took apart.
fn done_by(cleaner: &Daemon) -> usize {
    let page = cleaner.get("/metrics").unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(r#"boskos_cleaner_done_total{type="stack"} "#));
    line.map_or(0, |count| count.parse().unwrap())
}
