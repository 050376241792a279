//! Commands that fail.

use boskos_testkit::{eventually, look};

use crate::fleet::{Fleet, becomes, journey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_failed_runs_are_counted_and_the_fourth_frees_and_wipes_the_count() {
    let fleet = Fleet::start("- {type: thing, state: dirty, names: [t1]}").await;
    // It tells what stands in the user data while it runs: how often it has failed.
    let show = "GET=$(dirname $0)/get; $GET >> $D/counts; [ $(wc -l < $D/counts) -ge 4 ]\n";
    let clean = fleet.script("clean", show);
    let get = format!("curl -s {}/api/v1/resources/t1 | jq -c '.userdata[\"janitor-failures\"]'\n", fleet.url());
    fleet.script("get", &get);
    let args = format!("--resource-type=thing --janitor-path={clean} --backoff=100ms");
    let _janitor = fleet.daemon("janitor", &args);
    let me = fleet.client("me");
    becomes(&me, "t1", "free").await;
    assert_eq!(fleet.lines("counts"), ["\"1\"", "\"2\"", "\"3\"", "null"]);
    assert_eq!(me.resource("t1").await.unwrap().user_data.as_json(), "{}");
    let round = ["cleaning Janitor", "dirty"];
    let way = [&["dirty"][..], &round, &round, &round, &["cleaning Janitor", "free"]].concat();
    assert_eq!(journey(&me, "t1").await, way);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_credentials_pause_their_type_quarantine_nothing_and_all_are_cleaned_once_renewed() {
    let names = ["a1", "a2", "a3", "a4", "a5", "a6", "a7"];
    let fleet = Fleet::start(&format!(
        "- {{type: account, state: dirty, names: [{}]}}\n- {{type: other, state: dirty, names: [o1]}}",
        names.join(", ")
    ))
    .await;
    let clean = fleet.script("clean", "echo $N >> $D/runs; [ $1 = --other=o1 ] || [ -e $D/renewed ]\n");
    let args = format!(
        "--resource-type=account,other --janitor-path={clean} --backoff=100ms --breaker=5 --quarantine-after=2"
    );
    let janitor = fleet.daemon("janitor", &args);
    let paused = |pause: u8| format!("boskos_janitor_paused{{type=\"account\"}} {pause}\n");
    let me = fleet.client("me");
    let shows = async |line: String| janitor.get("/metrics").is_some_and(|page| page.contains(&line));

    eventually("the type pauses", async || shows(paused(1)).await).await;
    // Tries of one resource after each pause: many more than would have any of them quarantined.
    let begun = fleet.lines("runs").len();
    eventually("tries go on", async || fleet.lines("runs").len() >= begun + 5).await;
    assert_eq!(look(&me, "o1").await.0, "free", "no other type waits");
    for name in names {
        eventually("it was given back, with nothing against it", async || {
            let resource = me.resource(name).await.unwrap();
            resource.state.as_str() == "dirty" && resource.user_data.as_json() == "{}"
        })
        .await;
    }
    let states = &me.metric("account").await.unwrap().current;
    assert!(!states.contains_key("quarantined"), "{states:?}");
    assert!(!janitor.get("/metrics").unwrap().contains("quarantined"));

    fleet.touch("renewed");
    for name in names {
        becomes(&me, name, "free").await;
    }
    assert!(shows(paused(0)).await);
}
