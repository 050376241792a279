//! What the log says of an API server that is away.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    api_server::ApiServer,
    replica::{Replica, eventually},
};

const CONFIG: &str =
    "resources:\n- {type: t, state: free, names: [a]}\n- {type: d, state: free, min-count: 1, max-count: 2}\n";

fn times(lines: &[Value], msg: &str) -> u64 {
    lines.iter().filter(|line| line["msg"] == msg).count() as u64
}

#[test]
fn an_api_server_that_is_away_is_told_of_once_and_once_when_it_is_back_by_who_leads_and_who_does_not() {
    let mut api = ApiServer::start();
    let (alone, several) = (api.namespace("alone"), api.namespace("several"));
    let elects = ["--enable-leader-election"];
    let alone = Replica::serving(api.kubeconfig(), &alone, CONFIG, &[]);
    let leads = Replica::serving(api.kubeconfig(), &several, CONFIG, &elects);
    let stands_by = Replica::start(api.kubeconfig(), &several, CONFIG, &elects);
    eventually("it holds two resources and a lifecycle", || (stands_by.standby_objects() == 3).then_some(()));
    let replicas = [("alone", alone), ("leads", leads), ("stands by", stands_by)];

    let before: Vec<usize> = replicas.iter().map(|(_, replica)| replica.log().len()).collect();
    let begun = Instant::now();
    api.kill_api();
    for (_, replica) in &replicas {
        replica.logged("the API server is away; trying again");
    }
    // Longer than the leader may do without, and than the longest pause between two attempts.
    replicas[1].1.logged("leading no more");
    sleep(Duration::from_secs(8));
    api.start_api();
    // Nothing changes: that all is heard again is found out all the same.
    for (_, replica) in &replicas {
        replica.logged("the API server is back");
    }
    let minutes = begun.elapsed().as_secs() / 60;
    for ((who, replica), before) in replicas.into_iter().zip(before) {
        let lines = replica.log().split_off(before);
        assert_eq!(replica.stop(), 0);
        let troubles: Vec<&Value> =
            lines.iter().filter(|line| line["level"] == "warning" || line["level"] == "error").collect();
        let away = times(&lines, "the API server is away; trying again");
        assert!(away <= 1 + minutes, "{who}: {troubles:#?}");
        assert!(times(&lines, "the API server is back") <= away, "{who}: {lines:#?}");
        // Beside that, each fact of its own, once.
        let known = ["the API server is away; trying again", "the store cannot be written", "leading no more"];
        let other = troubles.iter().find(|line| !known.contains(&line["msg"].as_str().unwrap()));
        assert_eq!(other, None, "{who}");
        assert!(times(&lines, "leading no more") == u64::from(who == "leads"), "{who}: {troubles:#?}");
    }
}
