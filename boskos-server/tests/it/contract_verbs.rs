//! What the verbs do.

use crate::harness::{Server, eventually, with_server};

const CONFIG: &str = "resources: [{type: t, state: free, names: [a, b, c]}, {type: u, names: [d]}]";

fn owned(server: &Server, owner: &str) -> Vec<String> {
    server.names(&format!("owner={owner}"))
}

#[test]
fn acquire_takes_the_least_recently_updated() {
    with_server(CONFIG, |server| {
        assert_eq!([0; 3].map(|_| server.take("t", "free", "me")), ["a", "b", "c"]);
        for name in ["b", "a", "c"] {
            server.release(name, "free", "me");
        }
        assert_eq!([0; 3].map(|_| server.take("t", "free", "me")), ["b", "a", "c"]);
        // A heartbeat is a change too, but what counts is the last one: the release.
        server.post("/update?name=b&owner=me&state=busy").expect_empty();
        for name in ["c", "b", "a"] {
            server.release(name, "free", "me");
        }
        assert_eq!([0; 3].map(|_| server.take("t", "free", "me")), ["c", "b", "a"]);
        server.post("/reset?type=t&state=busy&expire=0s&dest=free").expect_status(200);
        // Those of other states and types are not touched, nor is what someone owns.
        server.post("/acquire?type=t&state=busy&dest=x&owner=you").expect_status(404);
        server.post("/acquire?type=u&state=dirty&dest=x&owner=you").expect_status(404);
    });
}

#[test]
fn order_of_changes_counts_across_states() {
    with_server(CONFIG, |server| {
        for name in ["a", "b", "c"] {
            server.post(&format!("/acquirebystate?names={name}&state=free&dest=busy&owner=me")).expect_status(200);
        }
        server.release("c", "dirty", "me");
        server.release("a", "free", "me");
        // c is cleaned: it comes behind a, which was free before.
        assert_eq!(server.take("t", "dirty", "janitor"), "c");
        server.release("c", "free", "janitor");
        assert_eq!([0; 2].map(|_| server.take("t", "free", "you")), ["a", "c"]);
    });
}

#[test]
fn owner_may_hold_many() {
    with_server(CONFIG, |server| {
        for _ in 0..3 {
            server.take("t", "free", "me");
        }
        server.take("u", "free", "me");
        assert_eq!(owned(server, "me"), ["a", "b", "c", "d"]);
        server.release("b", "free", "me");
        assert_eq!(owned(server, "me"), ["a", "c", "d"]);
    });
}

#[test]
fn owned_resource_is_granted_to_nobody() {
    with_server(CONFIG, |server| {
        // Busy and owned, and its state asked for.
        server.take("u", "free", "me");
        server.post("/acquire?type=u&state=busy&dest=x&owner=you").expect_status(404);
        server.post("/acquire?type=u&state=busy&dest=x&owner=me").expect_status(404);
        server.post("/acquirebystate?state=busy&dest=x&owner=me&names=d").expect_status(404);
    });
}

#[test]
fn any_string_is_a_state() {
    with_server(CONFIG, |server| {
        let mut state = "free".to_owned();
        for dest in ["clean", "noSchedule", "initializing", "a%20b", "%F0%9F%A6%80", "d", "FREE", "0", "%22%3C%3E"] {
            server.post(&format!("/acquire?type=u&state={state}&dest={dest}&owner=me")).expect_status(200);
            server.post(&format!("/update?name=d&owner=me&state={dest}")).expect_empty();
            server.release("d", dest, "me");
            state = dest.to_owned();
        }
        assert_eq!(server.standing("d"), ("\"<>".to_owned(), String::new()));
    });
}

#[test]
fn acquirebystate_takes_all_or_none() {
    with_server(CONFIG, |server| {
        server.take("t", "free", "you");
        server.post("/acquirebystate?state=free&dest=x&owner=me&names=b,a,c").expect_status(404);
        server.post("/acquirebystate?state=free&dest=x&owner=me&names=b,zzz").expect_status(404);
        assert_eq!(owned(server, "me"), [""; 0]);
        server.release("a", "dirty", "you");
        server.post("/acquirebystate?state=free&dest=x&owner=me&names=b,a,c").expect_status(404);
        assert_eq!(server.names("owner="), ["a", "b", "c", "d"]);
        server.post("/acquirebystate?state=free&dest=x&owner=me&names=b,c").expect_status(200);
        assert_eq!(owned(server, "me"), ["b", "c"]);
    });
}

#[test]
fn acquirebystate_answers_in_the_order_asked_across_types_each_once() {
    with_server(CONFIG, |server| {
        let granted = server.post("/acquirebystate?state=free&dest=leased&owner=me&names=d,b,d,a,b");
        let granted = granted.expect_status(200).json();
        let names: Vec<_> = granted.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["d", "b", "a"]);
        assert_eq!(owned(server, "me"), ["a", "b", "d"]);
        assert_eq!(server.names("state=leased"), ["a", "b", "d"]);
    });
}

#[test]
fn acquirebystate_does_not_heed_the_queue() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        server.post("/acquire?type=u&state=free&dest=busy&owner=first&request_id=1").expect_status(404);
        server.release("d", "free", "me");
        server.post("/acquirebystate?state=free&dest=busy&owner=late&names=d").expect_status(200);
    });
}

#[test]
fn release_takes_any_state_and_clears_the_owner() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        server.post_body("/update?name=d&owner=me&state=busy", r#"{"k":"v"}"#).expect_empty();
        server.release("d", "never-seen", "me");
        let resource = server.resource("d").unwrap();
        assert_eq!((&resource["state"], &resource["owner"]), (&"never-seen".into(), &"".into()));
        assert_eq!(resource["userdata"], serde_json::json!({"k": "v"}));
        server.post("/release?name=d&dest=free&owner=me").expect_status(401);
    });
}

#[test]
fn user_data_survives_all_but_update() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        server.post_body("/update?name=d&owner=me&state=busy", r#"{"k":"v","gone":"x"}"#).expect_empty();
        server.post_body("/update?name=d&owner=me&state=busy", r#"{"k2":"v2","gone":""}"#).expect_empty();
        let data = || server.resource("d").unwrap()["userdata"].to_string();
        let expected = r#"{"k":"v","k2":"v2"}"#;
        assert_eq!(data(), expected);
        server.release("d", "dirty", "me");
        assert_eq!(data(), expected);
        server.take("u", "dirty", "you");
        assert_eq!(data(), expected);
        server.post("/reset?type=u&state=busy&expire=0s&dest=free").expect_text(r#"{"d":"you"}"#);
        assert_eq!(data(), expected);
        server.post("/acquirebystate?state=free&dest=busy&owner=me&names=d").expect_status(200);
        server.post("/update?name=d&owner=me&state=busy").expect_empty();
        assert_eq!(data(), expected);
    });
}

#[test]
fn escapes_of_half_a_character_are_taken_as_clients_know_it() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        let body = r#"{"k\udc00":"a\ud800b","pair":"\ud83d\ude00"}"#;
        server.post_body("/update?name=d&owner=me&state=busy", body).expect_empty();
        let expected = serde_json::json!({"k\u{fffd}": "a\u{fffd}b", "pair": "\u{1f600}"});
        assert_eq!(server.resource("d").unwrap()["userdata"], expected);
    });
}

#[test]
fn every_change_stamps_the_resource() {
    with_server(CONFIG, |server| {
        let stamp = || server.resource("d").unwrap()["lastupdate"].as_str().unwrap().to_owned();
        let parsed = |text: &str| boskos_core::WallTime::parse(text).unwrap();
        let mut before = stamp();
        for target in [
            "/acquire?type=u&state=free&dest=busy&owner=me",
            "/update?name=d&owner=me&state=busy",
            "/release?name=d&dest=free&owner=me",
            "/acquirebystate?state=free&dest=busy&owner=me&names=d",
            "/reset?type=u&state=busy&expire=0s&dest=dirty",
        ] {
            server.post(target).expect_status(200);
            let after = stamp();
            assert!(parsed(&after) > parsed(&before), "{target}: {before}, then {after}");
            before = after;
        }
        // What is refused leaves no trace.
        server.post("/release?name=d&dest=free&owner=me").expect_status(401);
        assert_eq!(stamp(), before);
    });
}

#[test]
fn reset_takes_only_what_is_owned_stale_and_in_that_state() {
    with_server(CONFIG, |server| {
        for _ in 0..2 {
            server.take("t", "free", "me");
        }
        server.take("u", "free", "me");
        for expire in ["1h", "2562047h47m16.854775807s"] {
            server.post(&format!("/reset?type=t&state=busy&expire={expire}&dest=dirty")).expect_text("{}");
        }
        server.post("/reset?type=t&state=free&expire=0s&dest=dirty").expect_text("{}");
        server.post("/reset?type=t&state=busy&expire=-1h&dest=dirty").expect_text(r#"{"a":"me","b":"me"}"#);
        assert_eq!(server.names("state=dirty&owner="), ["a", "b"]);
        assert_eq!(server.names("state=free"), ["c"]);
        assert_eq!(owned(server, "me"), ["d"]);
        server.post("/reset?type=u&state=busy&expire=0&dest=dirty").expect_text(r#"{"d":"me"}"#);
    });
}

#[test]
fn reset_goes_by_the_last_update() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        // Stale for 50 ms at some time, however long that takes to come.
        let taken = eventually("a reset of what was not updated for 50 ms", || {
            let response = server.post("/reset?type=u&state=busy&expire=50ms&dest=dirty");
            (response.expect_status(200).text() != "{}").then(|| response.text().to_owned())
        });
        assert_eq!(taken, r#"{"d":"me"}"#);
    });
}

#[test]
fn reset_of_many_takes_them_all() {
    let names: Vec<String> = (0..2500).map(|n| format!("r{n:04}")).collect();
    with_server(&format!("resources: [{{type: t, names: [{}]}}]", names.join(",")), |server| {
        server
            .post(&format!("/acquirebystate?state=free&dest=busy&owner=o&names={}", names.join(",")))
            .expect_status(200);
        let taken = server.post("/reset?type=t&state=busy&expire=0s&dest=dirty").expect_status(200).json();
        assert_eq!(taken.as_object().unwrap().len(), names.len());
        assert_eq!(server.names("state=dirty&owner=").len(), names.len());
    });
}

#[test]
fn lifecycle_with_a_lifespan_dates_what_is_released() {
    let config = "resources: [{type: t, min-count: 1, max-count: 1, lifespan: 48h}]";
    with_server(config, |server| {
        let expiration = |name: &str| server.resource(name).unwrap()["expiration-date"].as_str().map(str::to_owned);
        let name = server.take("t", "free", "me");
        assert_eq!(expiration(&name), None, "a new one has none");
        server.post("/reset?type=t&state=busy&expire=0s&dest=free").expect_status(200);
        assert_eq!(expiration(&name), None, "nor has one that was reset");
        server.take("t", "free", "me");
        server.release(&name, "free", "me");
        let date = expiration(&name).expect("set at the release");
        let lifespan = |date: &str| {
            let resource = server.resource(&name).unwrap();
            let since = boskos_core::WallTime::parse(resource["lastupdate"].as_str().unwrap()).unwrap();
            boskos_core::WallTime::parse(date).unwrap().nanos_since(since)
        };
        assert!(lifespan(&date).abs_diff(48 * 3600 * 1_000_000_000) < 1_000_000_000, "{date}");
        server.take("t", "free", "me");
        server.post(&format!("/update?name={name}&owner=me&state=busy")).expect_empty();
        assert_eq!(expiration(&name), Some(date.clone()), "only a release changes it");
        server.release(&name, "dirty", "me");
        assert!(expiration(&name).unwrap() > date);
    });
}

#[test]
fn static_resource_has_no_expiration_date() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        server.release("d", "free", "me");
        assert_eq!(server.resource("d").unwrap().get("expiration-date"), None);
    });
}

#[test]
fn thirty_two_clients_never_own_one_resource_at_once() {
    const ROUNDS: usize = 50;
    let config = "resources: [{type: t, names: [a, b, c, d, e]}]";
    with_server(config, |server| {
        let holders: [std::sync::atomic::AtomicUsize; 5] = Default::default();
        std::thread::scope(|scope| {
            for client in 0..32 {
                let holders = &holders;
                scope.spawn(move || {
                    let mut connection = server.connect();
                    for _ in 0..ROUNDS {
                        let target = format!("/acquire?type=t&state=free&dest=busy&owner=c{client}&wait=50s");
                        let granted = connection.request("POST", &target);
                        let granted = granted.expect_status(200).json();
                        assert_eq!(granted["owner"], format!("c{client}"));
                        let name = granted["name"].as_str().unwrap();
                        let held = &holders[usize::from(name.as_bytes()[0] - b'a')];
                        assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "{name} has two owners");
                        held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        let target = format!("/release?name={name}&dest=free&owner=c{client}");
                        connection.request("POST", &target).expect_empty();
                    }
                });
            }
        });
        let metric = server.get("/metric?type=t").json();
        assert_eq!(metric["current"], serde_json::json!({"free": 5}));
        assert_eq!(metric["total"]["busy"], 32 * ROUNDS);
    });
}
