//! Everything comes back by itself.

use std::time::Duration;

use boskos_client::{Error, Resource};
use boskos_testkit::{eventually, look};
use rustix::process::{Pid, Signal, kill_process};

use crate::fleet::{Fleet, becomes, ended, journey};

/// A lease that nobody keeps alive for so long is taken back.
const EXPIRE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_killed_is_reaped_cleaned_and_its_resource_leased_again() {
    let fleet = Fleet::start("- {type: thing, state: free, names: [t1]}").await;
    let clean = fleet.script("clean", "echo \"$@\" >> $D/cleaned\n");
    let _reaper = fleet.daemon("reaper", "--interval=100ms --expire=2s");
    let _janitor = fleet.daemon("janitor", &format!("--resource-type=thing --janitor-path={clean}"));
    let me = fleet.client("me");

    let mut job = fleet.job("job-1", "thing", "echo $$ > $D/draft-pid; mv $D/draft-pid $D/pid; exec sleep 600");
    eventually("the job works", async || !fleet.lines("pid").is_empty()).await;
    let granted = me.resource("t1").await.unwrap().last_update;
    let wait = ["acquire", "--type=thing", "--state=free", "--target-state=busy", "--timeout=60s"];
    let next = fleet.ctl("job-2", &wait).spawn().unwrap();
    eventually("the next job waits", async || me.queue().await.unwrap().iter().any(|place| place.parked)).await;
    eventually("heartbeats beyond the expiry", async || {
        let heard = me.resource("t1").await.unwrap().last_update;
        heard.nanos_since(granted) > i64::try_from((2 * EXPIRE).as_nanos()).unwrap()
    })
    .await;
    assert_eq!(look(&me, "t1").await, ("busy".into(), "job-1".into()), "who is alive keeps it");

    job.kill().unwrap();
    job.wait().unwrap();
    let orphan = fleet.lines("pid")[0].parse().unwrap();
    kill_process(Pid::from_raw(orphan).unwrap(), Signal::KILL).unwrap();

    let (well, output, errors) = ended(next).await;
    assert!(well, "{errors}");
    let resource: Resource = serde_json::from_str(&output).unwrap();
    assert_eq!((resource.name.as_str(), resource.owner.unwrap().as_str()), ("t1", "job-2"));
    assert_eq!(fleet.lines("cleaned"), ["--thing=t1"]);
    let journey = journey(&me, "t1").await;
    assert_eq!(journey[..6], ["free", "busy job-1", "dirty", "cleaning Janitor", "free", "busy job-2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_made_of_an_account_leased_expires_is_torn_down_and_its_account_comes_back() {
    let fleet = Fleet::start(
        "- {type: account, state: free, names: [a1]}
- {type: cluster, state: dirty, min-count: 0, max-count: 1, lifespan: 2s, needs: {account: 1}, config: {type: Maker}}
",
    )
    .await;
    let clean = fleet.script("clean", "echo $N >> $D/cleaned\n");
    let make = fleet.script("make", "cat > $D/input; echo '{\"endpoint\":\"https://c\"}'\n");
    let _reaper = fleet.daemon("reaper", "");
    let _janitor = fleet.daemon("janitor", &format!("--resource-type=account --janitor-path={clean}"));
    let _mason = fleet.daemon("mason", &format!("--converter=Maker={make}"));
    let _cleaner = fleet.daemon("cleaner", "");
    let me = fleet.client("me");

    // Nobody made one before it was asked for.
    let acquire = ["acquire", "--type=cluster", "--state=free", "--target-state=leased", "--timeout=60s"];
    let (well, output, errors) = ended(fleet.ctl("job", &acquire).spawn().unwrap()).await;
    assert!(well, "{errors}");
    let cluster: Resource = serde_json::from_str(&output).unwrap();
    assert_eq!(cluster.user_data.get("endpoint").as_deref(), Some("https://c"));
    assert_eq!(cluster.user_data.get("leasedResources").as_deref(), Some("- a1\n"));
    let name = cluster.name.as_str();
    assert_eq!(look(&me, "a1").await, (name.to_owned(), String::new()));
    let input: serde_json::Value = serde_json::from_str(&fleet.lines("input").concat()).unwrap();
    assert_eq!((&input["resource"]["name"], &input["leased"][0]["name"]), (&name.into(), &"a1".into()));

    // Its time is over as soon as nobody holds it, and not before.
    let expires = cluster.expiration.unwrap();
    eventually("beyond its lifespan", async || me.clock().now().wall.nanos_since(expires) > 0).await;
    assert_eq!(look(&me, name).await, ("leased".into(), "job".into()));
    let released = fleet.ctl("job", &["release", "--name", name, "--target-state=free"]).spawn().unwrap();
    assert!(ended(released).await.0);

    eventually("torn down", async || matches!(me.resource(name).await, Err(Error::NotFound { .. }))).await;
    becomes(&me, "a1", "free").await;
    assert_eq!(fleet.lines("cleaned"), ["a1"]);
    let way =
        ["free", "leased mason", name, "cleaning cleaner", "dirty", "cleaning Janitor", "free"].map(str::to_owned);
    assert_eq!(journey(&me, "a1").await, way);
}
