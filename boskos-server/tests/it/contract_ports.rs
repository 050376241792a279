//! The ports beside the one for clients: health and metrics.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{
    Server,
    client::{Client, Response},
    with_server,
};

const CONFIG: &str = "resources: [{type: t, names: [a, b]}, {type: d, state: clean, min-count: 1, max-count: 2}]";

/// One line of a scrape: labels and value.
type Sample = (BTreeMap<String, String>, f64);

fn metrics(server: &Server) -> Response {
    Client::connect(server.metrics).request("GET", "/metrics")
}

/// All samples of one name.
fn samples(server: &Server, name: &str) -> Vec<Sample> {
    let response = metrics(server);
    response.expect_status(200);
    let lines = response.text().lines().filter(|line| !line.starts_with('#'));
    let of_name = lines.filter_map(|line| line.strip_prefix(name));
    of_name.filter(|rest| rest.starts_with(['{', ' '])).map(sample).collect()
}

fn sample(rest: &str) -> Sample {
    let (labels, value) = rest.rsplit_once(' ').unwrap();
    let labels = labels.trim_matches(['{', '}']);
    let labels = labels.split_terminator("\",").filter(|label| !label.is_empty()).map(|label| {
        let (key, value) = label.split_once("=\"").unwrap();
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (labels.collect(), value.parse().unwrap())
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The value of the one sample with these labels.
fn value(server: &Server, name: &str, pairs: &[(&str, &str)]) -> f64 {
    let found = samples(server, name).into_iter().find(|(found, _)| *found == labels(pairs));
    found.unwrap_or_else(|| panic!("{name}{pairs:?} is missing: {}", metrics(server).text())).1
}

/// The upper bounds of a histogram.
fn bounds(server: &Server, name: &str) -> BTreeSet<String> {
    samples(server, &format!("{name}_bucket")).into_iter().map(|(mut labels, _)| labels.remove("le").unwrap()).collect()
}

fn bound_set(bounds: impl IntoIterator<Item = f64>) -> BTreeSet<String> {
    bounds.into_iter().map(|bound| bound.to_string()).chain(["+Inf".to_owned()]).collect()
}

#[test]
fn health_port_answers_probes() {
    with_server(CONFIG, |server| {
        let probe = |path: &str| Client::connect(server.health).request("GET", path);
        for path in ["/healthz", "/healthz/ready"] {
            let response = probe(path);
            assert_eq!((response.status, response.text()), (200, "OK"), "{path}");
        }
        for path in ["/", "/metrics", "/healthz/", "/readyz", "/acquire"] {
            probe(path).expect_status(404);
        }
    });
}

#[test]
fn metrics_port_serves_metrics_alone() {
    with_server(CONFIG, |server| {
        assert!(metrics(server).header("content-type").unwrap().starts_with("text/plain"));
        for path in ["/", "/healthz", "/metrics/"] {
            Client::connect(server.metrics).request("GET", path).expect_status(404);
        }
    });
}

#[test]
fn resources_are_counted_by_known_state_with_zeros_and_other() {
    with_server(CONFIG, |server| {
        let known = ["busy", "cleaning", "dirty", "free", "leased", "toBeDeleted", "tombstone"];
        let states = |r#type: &str| -> BTreeMap<String, f64> {
            let all = samples(server, "boskos_resources").into_iter();
            all.filter(|(labels, _)| labels["type"] == r#type)
                .map(|(mut labels, value)| {
                    assert_eq!(labels.len(), 2);
                    (labels.remove("state").unwrap(), value)
                })
                .collect()
        };
        let t = states("t");
        assert_eq!(t.keys().collect::<Vec<_>>(), known);
        assert_eq!((t["free"], t.values().sum::<f64>()), (2.0, 2.0));
        let d = states("d");
        assert_eq!((d.len(), d["other"], d["free"]), (8, 1.0, 0.0));
        server.take("t", "free", "me");
        server.release("a", "my-own-state", "me");
        server.take("t", "free", "me");
        let t = states("t");
        assert_eq!((t["free"], t["busy"], t["other"]), (0.0, 1.0, 1.0));
        assert_eq!(samples(server, "boskos_resources").iter().filter(|(labels, _)| labels["type"] == "d").count(), 8);
    });
}

#[test]
fn grants_are_timed() {
    const NAME: &str = "boskos_acquire_duration_seconds";
    with_server(CONFIG, |server| {
        server.take("t", "free", "me");
        server.post("/acquire?type=t&state=free&dest=busy&owner=me&request_id=1").expect_status(200);
        server.post("/acquire?type=t&state=free&dest=busy&owner=me&request_id=2").expect_status(404);
        for has_request_id in ["true", "false"] {
            let of = [("type", "t"), ("state", "free"), ("dest", "busy"), ("has_request_id", has_request_id)];
            assert!((value(server, &format!("{NAME}_count"), &of) - 1.0).abs() < f64::EPSILON);
        }
        let bounds = bounds(server, NAME);
        for bound in ["1", "10", "100", "500", "1000", "1500", "2000", "+Inf"] {
            assert!(bounds.contains(bound), "{bound} is missing: {bounds:?}");
        }
        let added = bounds.iter().filter_map(|bound| bound.parse::<f64>().ok()).filter(|bound| *bound < 1.0).count();
        assert_eq!(bounds.len(), 8 + added, "only finer ones below 1 s are added");
    });
}

#[test]
fn grant_is_timed_from_the_first_request() {
    with_server("resources: [{type: t, names: [a]}]", |server| {
        server.take("t", "free", "holder");
        server.post("/acquire?type=t&state=free&dest=busy&owner=me&request_id=1").expect_status(404);
        let queue = server.get("/api/v1/queue").json();
        let waited = queue[0]["waited_seconds"].as_f64().unwrap();
        server.release("a", "free", "holder");
        server.post("/acquire?type=t&state=free&dest=busy&owner=me&request_id=1").expect_status(200);
        let of = [("type", "t"), ("state", "free"), ("dest", "busy"), ("has_request_id", "true")];
        assert!(value(server, "boskos_acquire_duration_seconds_sum", &of) >= waited);
    });
}

#[test]
fn requests_are_timed_and_sized() {
    with_server(CONFIG, |server| {
        server.take("t", "free", "me");
        server.get("/").expect_empty();
        server.get("/nothing/here").expect_empty();
        server.get("/acquire").expect_status(405);
        server.post("/acquire?type=nope&state=free&dest=x&owner=me").expect_status(404);
        server.request("BREW", "/release").expect_status(405);
        let count = |path: &str, method: &str, status: &str| {
            let of = [("path", path), ("method", method), ("status", status)];
            let count = value(server, "boskos_http_request_duration_seconds_count", &of);
            assert!((value(server, "boskos_http_response_size_bytes_count", &of) - count).abs() < f64::EPSILON);
            count
        };
        assert_eq!(
            [
                count("/acquire", "POST", "200"),
                count("unmatched", "GET", "200"),
                count("/acquire", "GET", "405"),
                count("/acquire", "POST", "404"),
                count("/release", "other", "405"),
            ],
            [1.0, 2.0, 1.0, 1.0, 1.0]
        );
        let doubling = |first: f64, count: i32| (0..count).map(move |power| first * 2_f64.powi(power));
        let durations = [0.005].into_iter().chain(doubling(0.007_812_5, 18)).chain([1200.0]);
        assert_eq!(bounds(server, "boskos_http_request_duration_seconds"), bound_set(durations));
        assert_eq!(bounds(server, "boskos_http_response_size_bytes"), bound_set(doubling(128.0, 10)));
    });
}

#[test]
fn labels_are_bounded_whatever_clients_send() {
    with_server("resources: [{type: t, names: [a]}]", |server| {
        let mut client = server.connect();
        let mut state = "free".to_owned();
        for n in 0..200 {
            client.request("GET", &format!("/path-{n}")).expect_empty();
            client.request(&format!("METHOD{n}"), "/acquire").expect_status(405);
            client.request("POST", &format!("/acquire?type=x{n}&state=s&dest=d&owner=o")).expect_status(404);
            let target = format!("/acquire?type=t&state={state}&dest=dest-{n}&owner=o");
            client.request("POST", &target).expect_status(200);
            state = format!("state-{n}");
            client.request("POST", &format!("/release?name=a&dest={state}&owner=o")).expect_empty();
        }
        let acquired = samples(server, "boskos_acquire_duration_seconds_count");
        assert!(acquired.len() <= 2, "{acquired:?}");
        let counted: f64 = acquired.iter().map(|(_, count)| count).sum();
        assert!((counted - 200.0).abs() < f64::EPSILON, "every grant is counted somewhere");
        let requests = samples(server, "boskos_http_request_duration_seconds_count");
        assert!(requests.len() < 12, "{requests:?}");
        assert!(samples(server, "boskos_resources").len() <= 8);
    });
}

#[test]
fn no_user_agent_owner_or_id_is_a_label() {
    with_server(CONFIG, |server| {
        let mut client = server.connect();
        client.send(
            "POST /acquire?type=t&state=free&dest=busy&owner=canary-owner&request_id=canary-id HTTP/1.1\r\n\
             Host: boskos\r\nUser-Agent: canary-agent\r\nAuthorization: Basic canary\r\n\r\n",
        );
        client.response().expect_status(200);
        client.post_body("/update?name=a&owner=canary-owner&state=busy", r#"{"k":"canary"}"#).expect_empty();
        assert!(!metrics(server).text().contains("canary"));
    });
}
