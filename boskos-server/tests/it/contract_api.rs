//! `/api/v1`: what readers beyond the original's clients ask for.

use boskos_core::ranch::Limits;
use serde_json::{Value, json};

use crate::harness::{Server, client::without_times, eventually, for_each_store, with_server};

const CONFIG: &str = "resources: [{type: t, state: dirty, names: [c, a, b]}, {type: u, names: [d, e]}]";

fn api(server: &Server, path: &str) -> Value {
    let response = server.get(&format!("/api/v1/{path}"));
    assert_eq!(response.header("content-type"), Some("application/json"), "{response:?}");
    response.expect_status(200).json()
}

#[test]
fn resources_are_listed_in_name_order_as_the_wire_has_them() {
    with_server("resources: [{type: t, names: [b, a]}]", |server| {
        server.take("t", "free", "me");
        let response = server.get("/api/v1/resources");
        assert_eq!(
            without_times(response.expect_status(200).text()),
            "[{\"type\":\"t\",\"name\":\"a\",\"state\":\"busy\",\"owner\":\"me\",\"lastupdate\":\"T\",\"userdata\":{}},\
             {\"type\":\"t\",\"name\":\"b\",\"state\":\"free\",\"owner\":\"\",\"lastupdate\":\"T\",\"userdata\":{}}]\n"
        );
        assert_eq!(response.header("content-type"), Some("application/json"));
    });
}

#[test]
fn listings_are_filtered() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        server.take("t", "dirty", "you");
        for (query, names) in [
            ("", &["a", "b", "c", "d", "e"][..]),
            ("type=t", &["a", "b", "c"]),
            ("type=t&type=u", &["a", "b", "c", "d", "e"]),
            ("type=nope", &[]),
            ("state=dirty", &["b", "c"]),
            ("state=dirty&state=busy", &["a", "b", "c", "d"]),
            ("state=busy&type=u", &["d"]),
            ("owner=me", &["d"]),
            ("owner=me&owner=you", &["a", "d"]),
            ("owner=", &["b", "c", "e"]),
            ("owner=&owner=me&type=u", &["d", "e"]),
            ("limit=2", &["a", "b"]),
            ("limit=0", &[]),
            ("limit=99", &["a", "b", "c", "d", "e"]),
            ("after=b", &["c", "d", "e"]),
            ("after=bb&limit=1", &["c"]),
            ("after=e", &[]),
            ("after=a&type=t&limit=1", &["b"]),
            ("unknown=1", &["a", "b", "c", "d", "e"]),
            ("state=dirty&limit=1", &["b"]),
        ] {
            assert_eq!(server.names(query), names, "{query}");
        }
        server.get("/api/v1/resources?limit=x").expect_json_error(400, "limit must be a whole number, not \"x\"");
        server.get("/api/v1/resources?wait=5").expect_json_error(400, "time: missing unit in duration \"5\"");
    });
}

#[test]
fn long_listings_are_whole_and_in_order() {
    let names: Vec<String> = (0..3000).map(|n| format!("r{n:05}")).collect();
    with_server(&format!("resources: [{{type: t, names: [{}]}}]", names.join(",")), |server| {
        let mut client = server.connect();
        let response = client.request("GET", "/api/v1/resources");
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        let listed = response.json();
        let listed: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(listed, names);
        // Page by page it is the same.
        let mut paged: Vec<String> = Vec::new();
        while let Some(page) = Some(server.names(&format!("limit=700&after={}", paged.last().map_or("", |name| name))))
            && !page.is_empty()
        {
            paged.extend(page);
        }
        assert_eq!(paged, names);
        client.request("GET", "/").expect_empty();
    });
}

#[test]
fn listing_waits_for_its_first_match_without_holding_anything() {
    with_server(CONFIG, |server| {
        // A match that is there already.
        assert_eq!(server.names("state=free&wait=50s"), ["d", "e"]);
        let mut waiting = server.connect();
        waiting.send_request("GET", "/api/v1/resources?type=u&state=clean&owner=&wait=50s");
        server.take("u", "free", "me");
        server.release("d", "other", "me");
        server.take("u", "free", "me");
        server.release("e", "clean", "me");
        let found = waiting.response().expect_status(200).json();
        assert_eq!((found.as_array().unwrap().len(), &found[0]["name"]), (1, &json!("e")));
        assert_eq!(server.standing("e"), ("clean".to_owned(), String::new()));
        // What was told already ends no further wait; what changes after that does.
        let told = server.get("/api/v1/resources?state=clean");
        let since = told.header("boskos-sequence").unwrap().to_owned();
        let again = format!("/api/v1/resources?state=clean&since={since}");
        assert_eq!(server.get(&format!("{again}&wait=10ms")).expect_status(200).text(), "[]\n");
        waiting.send_request("GET", &format!("{again}&wait=50s"));
        server.take("u", "clean", "me");
        server.release("e", "clean", "me");
        assert_eq!(waiting.response().expect_status(200).json().as_array().unwrap().len(), 1);
        // It is news still to one who asks later, as everything is to one who was told by another server.
        assert_eq!(server.names(&format!("state=clean&wait=50s&since={since}")), ["e"]);
        for unknown in ["0.9999999", "", "nonsense"] {
            assert_eq!(server.names(&format!("state=clean&wait=50s&since={unknown}")), ["e"]);
        }
        // The end of the wait is an empty list.
        assert_eq!(server.get("/api/v1/resources?state=nope&wait=10ms").expect_status(200).text(), "[]\n");
    });
}

#[test]
fn one_resource_is_shown_or_404() {
    with_server(CONFIG, |server| {
        let response = server.get("/api/v1/resources/a");
        assert_eq!(
            without_times(response.expect_status(200).text()),
            r#"{"type":"t","name":"a","state":"dirty","owner":"","lastupdate":"T","userdata":{}}"#
        );
        assert_eq!(response.header("content-type"), Some("application/json"));
        server.get("/api/v1/resources/%61").expect_status(200);
        server.get("/api/v1/resources/nope").expect_json_error(404, "no resource is called \"nope\"");
        server.get("/api/v1/resources/nope/history").expect_json_error(404, "no resource is called \"nope\"");
    });
}

#[test]
fn history_tells_transitions_newest_first() {
    for_each_store(|store| {
        let server = Server::start(store, CONFIG);
        assert_eq!(server.take("u", "free", "me"), "d");
        server.post_body("/update?name=d&owner=me&state=busy", r#"{"secret":"canary"}"#).expect_empty();
        server.release("d", "dirty", "me");
        let rows = api(&server, "resources/d/history");
        assert!(!rows.to_string().contains("canary"));
        let told: Vec<Value> = rows.as_array().unwrap().iter().map(|row| json!([row["from"], row["to"]])).collect();
        let standing = |state: &str, owner: &str| json!({"state": state, "owner": owner});
        let all = [
            json!([standing("busy", "me"), standing("dirty", "")]),
            json!([standing("free", ""), standing("busy", "me")]),
            json!([null, standing("free", "")]),
        ];
        assert_eq!(told, all, "{}", store.name());
        for row in rows.as_array().unwrap() {
            crate::harness::client::assert_is_time(row["time"].as_str().unwrap());
            assert!(row["id"].is_u64() && row["type"] == "u", "{row}");
        }
        assert_eq!(api(&server, "resources/d/history?limit=2"), json!([rows[0], rows[1]]));
        server.get("/api/v1/resources/d/history?limit=-1").expect_json_error(400, "limit must be a whole number");
    });
}

#[test]
fn types_are_counted() {
    with_server("resources: [{type: t, names: [a, b]}, {type: d, min-count: 0, max-count: 1}]", |server| {
        server.take("t", "free", "me");
        assert_eq!(
            server.get("/api/v1/types").text(),
            "[{\"type\":\"d\",\"current\":{},\"owner\":{},\"total\":{}},\
             {\"type\":\"t\",\"current\":{\"busy\":1,\"free\":1},\"owner\":{\"\":1,\"me\":1},\
             \"total\":{\"busy\":1,\"free\":2}}]\n"
        );
    });
}

#[test]
fn lifecycles_are_shown() {
    let config = "
resources:
- {type: acc, names: [a, b]}
- {type: d, state: dirty, min-count: 1, max-count: 2, lifespan: 1h, needs: {acc: 1}, config: {type: C, content: x}}
";
    with_server(config, |server| {
        assert_eq!(
            api(server, "lifecycles"),
            json!([{
                "type": "d", "state": "dirty", "min-count": 1, "max-count": 2, "lifespan": 3_600_000_000_000_u64,
                "needs": {"acc": 1}, "config": {"type": "C", "content": "x"}, "draining": false
            }])
        );
    });
}

#[test]
fn queue_tells_who_waits_for_what_since_when() {
    with_server(CONFIG, |server| {
        assert_eq!(api(server, "queue"), json!([]));
        server.post("/acquire?type=t&state=free&dest=busy&owner=me&request_id=id").expect_status(404);
        let mut parked = server.connect();
        parked.send_request("POST", "/acquire?type=t&state=free&dest=busy&owner=you&wait=50s");
        server.await_queue(&["id 1", "- 2 parked"]);
        let queue = api(server, "queue");
        for (place, id, owner, rank, is_parked) in
            [(&queue[0], json!("id"), json!("me"), 1, false), (&queue[1], json!(null), json!("you"), 2, true)]
        {
            assert_eq!((&place["type"], &place["state"]), (&json!("t"), &json!("free")));
            assert_eq!((&place["request_id"], &place["owner"]), (&id, &owner));
            assert_eq!((&place["rank"], &place["parked"]), (&json!(rank), &json!(is_parked)));
            crate::harness::client::assert_is_time(place["since"].as_str().unwrap());
            assert!(place["waited_seconds"].as_f64().unwrap() >= 0.0);
        }
    });
}

#[test]
fn info_tells_version_store_and_limits() {
    for_each_store(|store| {
        let server = Server::start_with(store, CONFIG, |options| options.ranch = Limits::default());
        let info = api(&server, "info");
        assert_eq!(info["store"], store.name());
        assert_eq!(info["version"], boskos_runtime::version::VERSION);
        assert!(info["commit"].is_string());
        let limits = &info["limits"];
        assert_eq!((&limits["request_ttl"], &limits["max_wait"]), (&json!("30s"), &json!("50s")));
        assert_eq!((&limits["connections"], &limits["parked"]), (&json!(20_000), &json!(15_000)));
        assert_eq!((&limits["body_bytes"], &limits["head_bytes"]), (&json!(1 << 20), &json!(64 << 10)));
        assert_eq!(limits["places"], 100_000);
    });
}

#[test]
fn config_diff_tells_what_applying_would_do_and_does_nothing() {
    let config = "resources: [{type: t, names: [a, b]}, {type: u, names: [d]}, {type: w, names: [w1]}, \
                  {type: dyn, min-count: 0, max-count: 1}]";
    with_server(config, |server| {
        let post = |body: &str| server.post_body("/api/v1/config/diff", body);
        let diff = post(
            "resources: [{type: t, names: [a, new]}, {type: v, names: [d]}, {type: w, min-count: 0, max-count: 2}]",
        );
        assert_eq!(diff.header("content-type"), Some("application/json"));
        let diff = diff.expect_status(200).json();
        let names = |key: &str| diff[key]["names"].clone();
        assert_eq!(names("add"), json!(["new"]));
        assert_eq!(names("delete"), json!(["b"]));
        assert_eq!(names("remake"), json!(["d"]));
        assert_eq!(names("adopt"), json!(["w1"]));
        assert_eq!((&diff["lifecycles"], &diff["drain"]), (&json!(["w"]), &json!(["dyn"])));
        let same = post(config).expect_status(200).json();
        for key in ["add", "delete", "remake", "adopt"] {
            assert_eq!(same[key], json!({"count": 0, "names": []}));
        }
        assert_eq!(server.names(""), ["a", "b", "d", "w1"]);

        let bad = post("resources: [{type: t, names: [a, a]}]");
        assert!(bad.expect_status(400).json()["error"].as_str().unwrap().contains(".0.names.1(a)"), "{bad:?}");
        let large = " ".repeat((1 << 20) + 1);
        assert!(post(&large).expect_status(413).json()["error"].is_string());
    });
}

#[test]
fn unknown_paths_and_methods_are_json_errors() {
    with_server(CONFIG, |server| {
        for path in ["/api/v1/nope", "/api/v1", "/api/v1/", "/api/v1/resources/a/b", "/api/v1/api/v1/types"] {
            for method in ["GET", "POST"] {
                server.request(method, path).expect_json_error(404, &format!("no such path: {path}"));
            }
        }
        for path in ["resources", "types", "lifecycles", "queue", "info", "resources/a", "resources/a/history"] {
            let response = server.post(&format!("/api/v1/{path}"));
            response.expect_json_error(405, &format!("/api/v1/{path} takes GET, not POST"));
            assert_eq!(response.header("allow"), Some("GET"));
        }
        server.get("/api/v1/config/diff").expect_json_error(405, "/api/v1/config/diff takes POST, not GET");
        // Beside it, it is as it always was.
        for path in ["/api", "/api/", "/api/v2/resources", "/api/v1x"] {
            server.get(path).expect_empty();
        }
    });
}

#[test]
fn reads_go_on_beside_waiting_ones() {
    with_server(CONFIG, |server| {
        let mut waiting: Vec<_> = (0..50)
            .map(|_| {
                let mut client = server.connect();
                client.send_request("GET", "/api/v1/resources?state=nope&wait=50s");
                client
            })
            .collect();
        assert_eq!(server.names("type=t").len(), 3);
        // Those who hang up are forgotten; the rest learn of the match.
        drop(waiting.split_off(25));
        server.take("u", "free", "me");
        server.release("d", "nope", "me");
        for client in &mut waiting {
            assert_eq!(client.response().json()[0]["name"], "d");
        }
        eventually("all is answered", || (server.names("state=nope") == ["d"]).then_some(()));
    });
}
