//! Every answer of the verbs, byte for byte.

use crate::harness::{Server, client::without_times, with_server};

const CONFIG: &str = "resources: [{type: t, state: free, names: [a, b, c]}, {type: u, names: [d]}]";

#[test]
fn wrong_methods_are_refused_in_the_words_that_clients_know() {
    with_server(CONFIG, |server| {
        for method in ["GET", "PUT", "DELETE", "OPTIONS", "BREW"] {
            for path in ["/acquire", "/release", "/update", "/reset"] {
                server
                    .request(method, &format!("{path}?type=t"))
                    .expect_error(405, &format!("Method {method}, {path} only accepts POST."));
            }
            server
                .request(method, "/acquirebystate")
                .expect_error(405, &format!("Method {method}, /acquire only accepts POST."));
        }
        for method in ["POST", "PUT", "DELETE"] {
            server.request(method, "/metric?type=t").expect_error(405, "/metric only accepts GET");
        }
        assert_eq!(server.request("HEAD", "/acquire").status, 405);
        assert_eq!(server.request("HEAD", "/metric?type=t").status, 405);
    });
}

#[test]
fn missing_parameters_are_refused_with_those_that_came() {
    with_server(CONFIG, |server| {
        let tail = "all of them must be set in the request.";
        for (target, text) in [
            ("/acquire?type=T&state=S&dest=D", "Bad request: Type: T, state: S, dest: D, owner: , "),
            ("/acquire?state=S&dest=D&owner=O", "Bad request: Type: , state: S, dest: D, owner: O, "),
            ("/acquire", "Bad request: Type: , state: , dest: , owner: , "),
            ("/acquirebystate?state=S&dest=D&owner=O", "state: S, dest: D, owner: O, names:  - "),
            ("/acquirebystate?names=N,M&state=S&dest=D", "state: S, dest: D, owner: , names: N,M - "),
            ("/acquirebystate", "state: , dest: , owner: , names:  - "),
            ("/release?dest=D&owner=O", "Name: , dest: D, owner: O, "),
            ("/release?name=N&dest=D", "Name: N, dest: D, owner: , "),
            ("/release", "Name: , dest: , owner: , "),
            ("/update?name=N&owner=O", "Name: N, owner: O, state : , "),
            ("/update?owner=O&state=S", "Name: , owner: O, state : S, "),
            ("/update", "Name: , owner: , state : , "),
            ("/reset?type=T&state=S&dest=D", "Type: T, state: S, expire: , dest: D, "),
            ("/reset?expire=bad&state=S&dest=D", "Type: , state: S, expire: bad, dest: D, "),
            ("/reset", "Type: , state: , expire: , dest: , "),
        ] {
            server.post(target).expect_error(400, &format!("{text}{tail}"));
        }
        server.get("/metric").expect_error(400, "Type must be set in the request.");
        server.get("/metric?type=").expect_error(400, "Type must be set in the request.");
    });
}

#[test]
fn acquire_answers_the_resource_without_a_newline() {
    with_server(CONFIG, |server| {
        server
            .post("/acquire?type=t&state=free&dest=busy&owner=alice")
            .expect_text(r#"{"type":"t","name":"a","state":"busy","owner":"alice","lastupdate":"T","userdata":{}}"#);
        // An empty state in the config means free; what is special in JSON or HTML is escaped.
        server.post("/acquire?type=u&state=free&dest=%3Cb%3E&owner=%22o%5C%26%0A").expect_text(
            r#"{"type":"u","name":"d","state":"\u003cb\u003e","owner":"\"o\\\u0026\n","lastupdate":"T","userdata":{}}"#,
        );
    });
}

#[test]
fn user_data_is_sorted_and_never_null() {
    with_server(CONFIG, |server| {
        let name = server.take("u", "free", "me");
        server
            .post_body(&format!("/update?name={name}&owner=me&state=busy"), r#"{"z":"1","a":"<2>","m":"é"}"#)
            .expect_empty();
        server.release(&name, "free", "me");
        server.post("/acquire?type=u&state=free&dest=busy&owner=you").expect_text(
            r#"{"type":"u","name":"d","state":"busy","owner":"you","lastupdate":"T","userdata":{"a":"\u003c2\u003e","m":"é","z":"1"}}"#,
        );
        server.post_body("/update?name=d&owner=you&state=busy", r#"{"z":null,"a":"","m":null}"#).expect_empty();
        server.release("d", "free", "you");
        server
            .post("/acquire?type=u&state=free&dest=busy&owner=you")
            .expect_text(r#"{"type":"u","name":"d","state":"busy","owner":"you","lastupdate":"T","userdata":{}}"#);
    });
}

#[test]
fn expiration_date_comes_last_and_only_when_set() {
    let config = "resources: [{type: t, state: free, min-count: 1, max-count: 1, lifespan: 48h}]";
    with_server(config, |server| {
        let first = server.post("/acquire?type=t&state=free&dest=busy&owner=me");
        let name = first.json()["name"].as_str().unwrap().to_owned();
        first.expect_text(&format!(
            r#"{{"type":"t","name":"{name}","state":"busy","owner":"me","lastupdate":"T","userdata":{{}}}}"#
        ));
        server.release(&name, "free", "me");
        server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_text(&format!(
            r#"{{"type":"t","name":"{name}","state":"busy","owner":"me","lastupdate":"T","userdata":{{}},"expiration-date":"T"}}"#
        ));
    });
}

#[test]
fn acquirebystate_answers_an_array_and_a_newline() {
    with_server(CONFIG, |server| {
        server.post("/acquirebystate?state=free&dest=busy&owner=me&names=c,a").expect_text(
            "[{\"type\":\"t\",\"name\":\"c\",\"state\":\"busy\",\"owner\":\"me\",\"lastupdate\":\"T\",\"userdata\":{}},\
             {\"type\":\"t\",\"name\":\"a\",\"state\":\"busy\",\"owner\":\"me\",\"lastupdate\":\"T\",\"userdata\":{}}]\n",
        );
    });
}

#[test]
fn release_and_update_answer_nothing() {
    with_server(CONFIG, |server| {
        server.take("t", "free", "me");
        server.post("/update?name=a&owner=me&state=busy").expect_empty();
        server.post_body("/update?name=a&owner=me&state=busy", r#"{"k":"v"}"#).expect_empty();
        server.post("/release?name=a&dest=dirty&owner=me").expect_empty();
        assert_eq!(server.standing("a"), ("dirty".to_owned(), String::new()));
    });
}

#[test]
fn reset_answers_who_lost_what() {
    with_server(CONFIG, |server| {
        let reset = "/reset?type=t&state=busy&expire=0s&dest=dirty";
        server.post(reset).expect_text("{}");
        server.post("/acquirebystate?state=free&dest=busy&owner=zoe&names=c").expect_status(200);
        server.post("/acquirebystate?state=free&dest=busy&owner=%22&names=a").expect_status(200);
        server.post(reset).expect_text(r#"{"a":"\"","c":"zoe"}"#);
        server.post(reset).expect_text("{}");
        server.post("/reset?type=unknown&state=busy&expire=0s&dest=dirty").expect_text("{}");
    });
}

#[test]
fn metric_answers_counts() {
    with_server(CONFIG, |server| {
        let counts = |server: &Server| {
            let response = server.get("/metric?type=t");
            response.expect_status(200);
            assert_eq!(response.header("content-type"), Some("application/json"));
            let text = response.text().to_owned();
            let (known, added) = text.split_at(text.find(",\"total\":").unwrap());
            assert!(added.ends_with("}}") && !added.contains('\n'), "{added}");
            known.to_owned()
        };
        assert_eq!(counts(server), r#"{"type":"t","current":{"free":3},"owner":{"":3}"#);
        server.take("t", "free", "zoe");
        server.take("t", "free", "alice");
        server.release("a", "dirty", "zoe");
        assert_eq!(counts(server), r#"{"type":"t","current":{"busy":1,"dirty":1,"free":1},"owner":{"":2,"alice":1}"#);
        let total = server.get("/metric?type=t").json()["total"].clone();
        assert_eq!(total, serde_json::json!({"free": 3, "busy": 2, "dirty": 1}));
        server.get("/metric?type=T").expect_error(404, "no available resource T, try again later.");
    });
}

#[test]
fn what_is_not_to_be_had_is_404() {
    with_server(CONFIG, |server| {
        server
            .post("/acquire?type=t&state=S&dest=D&owner=O")
            .expect_error(404, "Acquire failed: no available resource t, try again later.");
        server
            .post("/acquire?type=T&state=S&dest=D&owner=O")
            .expect_error(404, "Acquire failed: resource type \"T\" does not exist");
        server
            .post("/acquire?type=a%22%07%00%7F%C3%BC%C2%A0&state=S&dest=D&owner=O")
            .expect_error(404, r#"Acquire failed: resource type "a\"\a\x00\x7fü\u00a0" does not exist"#);
        for names in ["nope", "a,nope", "a,", "a, b"] {
            let names = names.replace(' ', "+");
            server
                .post(&format!("/acquirebystate?state=free&dest=D&owner=O&names={names}"))
                .expect_error(404, "AcquireByState: no available resource free, try again later.");
        }
        server
            .post("/acquirebystate?state=S&dest=D&owner=O&names=a")
            .expect_error(404, "AcquireByState: no available resource S, try again later.");
        server
            .post("/release?name=N&dest=D&owner=O")
            .expect_error(404, "Done failed: N - D (from O): no available resource N, try again later.");
        server
            .post("/update?name=N&state=S&owner=O")
            .expect_error(404, "Update failed: N - S (O): no available resource N, try again later.");
    });
}

#[test]
fn strangers_are_401_and_wrong_states_409() {
    with_server(CONFIG, |server| {
        server
            .post("/release?name=a&dest=D&owner=O")
            .expect_error(401, "Done failed: a - D (from O): owner mismatch request by O, currently owned by ");
        server.take("t", "free", "C");
        server
            .post("/release?name=a&dest=D&owner=O")
            .expect_error(401, "Done failed: a - D (from O): owner mismatch request by O, currently owned by C");
        // The owner is looked at before the state.
        for state in ["busy", "S"] {
            server.post(&format!("/update?name=a&state={state}&owner=O")).expect_error(
                401,
                &format!("Update failed: a - {state} (O): owner mismatch request by O, currently owned by C"),
            );
        }
        server
            .post("/update?name=a&state=S&owner=C")
            .expect_error(409, "Update failed: a - S (C): state mismatch - expected busy, current S");
        assert_eq!(server.standing("a"), ("busy".to_owned(), "C".to_owned()));
    });
}

#[test]
fn expire_is_a_go_duration() {
    with_server(CONFIG, |server| {
        let reset = |expire: &str| server.post(&format!("/reset?type=t&state=busy&expire={expire}&dest=dirty"));
        for (bad, text) in [
            ("x", "time: invalid duration \"x\""),
            ("h", "time: invalid duration \"h\""),
            ("1", "time: missing unit in duration \"1\""),
            ("1.5h30", "time: missing unit in duration \"1.5h30\""),
            ("1x", "time: unknown unit \"x\" in duration \"1x\""),
            ("1h2fortnights", "time: unknown unit \"fortnights\" in duration \"1h2fortnights\""),
            (".s", "time: invalid duration \".s\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
        ] {
            reset(bad).expect_error(400, text);
        }
        for good in ["0", "0s", "1h2m3s4ms5us6ns", "1.5h", "-1s", "%2B1s", "2562047h", "1%C2%B5s"] {
            reset(good).expect_text("{}");
        }
    });
}

#[test]
fn update_bodies_are_objects_of_strings() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        let update = |body: &str| server.post_body("/update?name=d&owner=me&state=busy", body);
        let data = || server.resource("d").unwrap()["userdata"].to_string();
        for (body, after) in [
            (r#"{"a":"1","b":"2"}"#, r#"{"a":"1","b":"2"}"#),
            ("", r#"{"a":"1","b":"2"}"#),
            (" \r\n\t ", r#"{"a":"1","b":"2"}"#),
            ("null", r#"{"a":"1","b":"2"}"#),
            ("{}", r#"{"a":"1","b":"2"}"#),
            (r#"  {"a":null}  "#, r#"{"b":"2"}"#),
            (r#"{"b":"","c":"3"}"#, r#"{"c":"3"}"#),
            (r#"{"d":"4"} {"e":"5"}"#, r#"{"c":"3","d":"4"}"#),
            (r#"{"e":"5"}trailing [ text"#, r#"{"c":"3","d":"4","e":"5"}"#),
            (r#"{"e":"6","e":"7"}"#, r#"{"c":"3","d":"4","e":"7"}"#),
            (r#"{"":"k","c":null,"d":null,"e":null,"\u00e9\n":"\ud83d\ude00"}"#, "{\"\":\"k\",\"é\\n\":\"😀\"}"),
        ] {
            update(body).expect_empty();
            assert_eq!(data(), after, "{body}");
        }
        let before = data();
        for bad in ["[]", "1", "\"a\"", "true", "{\"a\":1}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":", "x", "{a:1}", "}"] {
            let response = update(bad);
            response.expect_error(400, response.text().trim_end());
            assert!(response.text().len() > 20, "it says what is wrong: {response:?}");
        }
        assert_eq!(data(), before);
    });
}

#[test]
fn update_looks_at_parameters_then_the_body_then_the_resource() {
    with_server(CONFIG, |server| {
        server
            .post_body("/update?name=nope&owner=me", "[]")
            .expect_error(400, "Name: nope, owner: me, state : , all of them must be set in the request.");
        server.post_body("/update?name=nope&owner=me&state=busy", "[]").expect_status(400);
        server.post_body("/update?name=a&owner=stranger&state=busy", "[]").expect_status(400);
        server.post_body("/update?name=nope&owner=me&state=busy", "{}").expect_status(404);
        server.post_body("/update?name=a&owner=stranger&state=wrong", "{}").expect_status(401);
    });
}

#[test]
fn content_type_of_a_body_means_nothing() {
    with_server(CONFIG, |server| {
        server.take("u", "free", "me");
        for (n, content_type) in
            ["application/json", "application/x-www-form-urlencoded", "text/plain", ""].iter().enumerate()
        {
            let body = format!("{{\"n\":\"{n}\"}}");
            let mut client = server.connect();
            client.send(format!(
                "POST /update?name=d&owner=me&state=busy HTTP/1.1\r\nHost: boskos\r\nContent-Type: {content_type}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ));
            client.response().expect_empty();
            assert_eq!(server.resource("d").unwrap()["userdata"]["n"], n.to_string());
        }
    });
}

#[test]
fn errors_hold_no_json_for_scripts_to_misread() {
    with_server(CONFIG, |server| {
        for target in ["/acquire?type=t&state=x&dest=y&owner=z", "/acquire?type=x&state=x&dest=y&owner=z", "/acquire"] {
            let response = server.post(target);
            assert!(serde_json::from_slice::<serde_json::Value>(&response.body).is_err(), "{response:?}");
        }
        assert_eq!(without_times("none"), "none");
    });
}
