//! How requests are read: paths, methods, parameters, bodies.

use crate::harness::{Server, for_each_store, with_server};

const CONFIG: &str = "resources: [{type: t, state: free, names: [a, b, c]}]";

/// Path, method, and a query with every required parameter, in an order of its own.
const VERBS: [(&str, &str, &str); 6] = [
    ("/acquire", "POST", "owner=me&dest=busy&state=free&type=t"),
    ("/acquirebystate", "POST", "names=a,b&owner=me&dest=busy&state=free"),
    ("/release", "POST", "owner=me&dest=free&name=a"),
    ("/update", "POST", "state=busy&owner=me&name=a"),
    ("/reset", "POST", "dest=dirty&expire=0s&state=busy&type=t"),
    ("/metric", "GET", "type=t"),
];

/// A server on which each of [`VERBS`] succeeds: `a` is held by `me`, unless it must be free.
fn ready_for(path: &str, server: &Server) {
    if matches!(path, "/release" | "/update" | "/reset") {
        server.post("/acquirebystate?names=a&state=free&dest=busy&owner=me").expect_status(200);
    }
}

#[test]
fn every_verb_takes_its_parameters_in_any_order() {
    for_each_store(|store| {
        for (path, method, query) in VERBS {
            let mut orders = vec![query.to_owned(), query.split('&').rev().collect::<Vec<_>>().join("&")];
            orders.push(format!("&&unknown=1&{query}&other&=&"));
            for query in orders {
                let server = Server::start(store, CONFIG);
                ready_for(path, &server);
                server.request(method, &format!("{path}?{query}")).expect_status(200);
            }
        }
    });
}

#[test]
fn every_required_parameter_is_required() {
    with_server(CONFIG, |server| {
        for (path, method, query) in VERBS {
            for left_out in query.split('&') {
                let key = left_out.split('=').next().unwrap();
                let rest: Vec<_> = query.split('&').filter(|pair| *pair != left_out).collect();
                for missing in [rest.join("&"), format!("{}&{key}=", rest.join("&"))] {
                    server.request(method, &format!("{path}?{missing}")).expect_status(400);
                }
            }
        }
        // Nothing was done by any of them.
        assert_eq!(server.names("state=free"), ["a", "b", "c"]);
    });
}

#[test]
fn repeated_parameter_counts_once_and_first() {
    with_server(CONFIG, |server| {
        server
            .post("/acquire?type=t&type=u&state=free&dest=busy&dest=other&owner=me&owner=you&state=x")
            .expect_text(r#"{"type":"t","name":"a","state":"busy","owner":"me","lastupdate":"T","userdata":{}}"#);
        // An empty first one is the one that counts.
        server.post("/release?name=&name=a&dest=free&owner=me").expect_status(400);
    });
}

#[test]
fn parameters_are_decoded_as_forms_are() {
    with_server(CONFIG, |server| {
        server
            .post("/acquire?%74ype=%74&state=fre%65&dest=in+use%21&owner=a%2Bb%20%C3%BC&request_id=")
            .expect_text(r#"{"type":"t","name":"a","state":"in use!","owner":"a+b ü","lastupdate":"T","userdata":{}}"#);
        server.post("/%72elease?name=a&dest=free&owner=a%2bb+%c3%bc").expect_empty();
    });
}

#[test]
fn bad_pairs_are_dropped_and_the_rest_counts() {
    with_server(CONFIG, |server| {
        for bad in ["owner=%", "owner=%4", "owner=%zz", "owner=a;b", "owner;x", "%=1", ";"] {
            server.post(&format!("/acquire?{bad}&type=t&state=free&dest=busy&owner=me")).expect_status(200);
            server.post("/reset?type=t&state=busy&expire=0s&dest=free").expect_text(
                // Whichever was the oldest.
                &server_owner_json(server),
            );
        }
        server.post("/acquire?type=t&state=free&dest=busy&owner=%zz").expect_error(
            400,
            "Bad request: Type: t, state: free, dest: busy, owner: , all of them must be set in the request.",
        );
    });
}

/// What the reset just above took: the newest of the three.
fn server_owner_json(server: &Server) -> String {
    let mut resources = server.resources("type=t");
    resources.sort_by_key(|resource| resource["lastupdate"].as_str().unwrap().to_owned());
    format!("{{{}:\"me\"}}", resources.last().unwrap()["name"])
}

#[test]
fn other_headers_and_bodies_are_ignored() {
    with_server(CONFIG, |server| {
        let mut client = server.connect();
        for (n, headers) in [
            "",
            "Content-Type: application/json\r\n",
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n",
            "Authorization: Basic bWU6d3Jvbmc=\r\n",
            "Authorization: nonsense\r\nAccept: image/png\r\n",
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 23\r\n",
            "Transfer-Encoding: chunked\r\n",
        ]
        .into_iter()
        .enumerate()
        {
            let body = match n {
                5 => "type=u&state=x&owner=you",
                6 => "3\r\n{}\n\r\n0\r\n\r\n",
                _ => "",
            };
            let headers = headers.replace("23", &body.len().to_string());
            let target = "/acquire?type=t&state=free&dest=busy&owner=me";
            client.send(format!("POST {target} HTTP/1.1\r\nHost: boskos\r\n{headers}\r\n{body}"));
            client.response().expect_status(200);
            client.request("POST", "/reset?type=t&state=busy&expire=0s&dest=free").expect_status(200);
        }
    });
}

#[test]
fn parameters_in_the_body_are_not_read() {
    with_server(CONFIG, |server| {
        server.post_body("/acquire", "type=t&state=free&dest=busy&owner=me").expect_error(
            400,
            "Bad request: Type: , state: , dest: , owner: , all of them must be set in the request.",
        );
    });
}

#[test]
fn unclean_paths_are_redirected_with_their_query() {
    with_server(CONFIG, |server| {
        let query = "?type=t&state=free&dest=busy&owner=a%2Fb";
        for (path, clean) in [
            ("//acquire", "/acquire"),
            ("///acquire", "/acquire"),
            ("/./acquire", "/acquire"),
            ("/x/../acquire", "/acquire"),
            ("/../acquire", "/acquire"),
            ("//api//v1/resources", "/api/v1/resources"),
            ("/nothing//here/", "/nothing/here/"),
        ] {
            let response = server.post(&format!("{path}{query}"));
            response.expect_status(307);
            assert_eq!(response.header("location"), Some(format!("{clean}{query}").as_str()), "{path}");
        }
        assert_eq!(server.get("//metric?type=t").expect_status(307).header("location"), Some("/metric?type=t"));
        // Redirected, not done.
        assert_eq!(server.names("state=free"), ["a", "b", "c"]);
    });
}

#[test]
fn root_and_unknown_paths_are_200_and_empty_with_any_method() {
    with_server(CONFIG, |server| {
        for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"] {
            for path in ["/", "/unknown", "/acquire/", "/acquires", "/ACQUIRE", "/metrics", "/healthz", "/?type=t"] {
                let mut client = server.connect();
                let response = client.request(method, path);
                assert_eq!((response.status, response.text()), (200, ""), "{method} {path}");
                // And the connection stays.
                client.request("GET", "/").expect_empty();
            }
        }
    });
}

#[test]
fn connections_stay_open_through_every_kind_of_answer() {
    with_server("resources: [{type: t, names: [a]}]", |server| {
        let mut client = server.connect();
        for _ in 0..3 {
            client.request("GET", "/").expect_empty();
            client.request("POST", "/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
            client.request("POST", "/acquire?type=nope&state=free&dest=busy&owner=me").expect_status(404);
            client.request("GET", "/acquire").expect_status(405);
            client.request("POST", "/release").expect_status(400);
            client.request("POST", "/release?name=a&dest=free&owner=you").expect_status(401);
            client.post_body("/update?name=a&owner=me&state=free", "{}").expect_status(409);
            client.post_body("/update?name=a&owner=me&state=busy", "[]").expect_status(400);
            client.request("POST", "//acquire").expect_status(307);
            client.request("GET", "/metric?type=t").expect_status(200);
            client.request("GET", "/api/v1/resources").expect_status(200);
            client.request("POST", "/reset?type=t&state=busy&expire=0s&dest=free").expect_text(r#"{"a":"me"}"#);
        }
        // Requests sent ahead are answered in turn.
        let acquire = "/acquire?type=t&state=free&dest=busy&owner=me";
        for target in [acquire, "/release?name=b", "/"] {
            client.send_request("POST", target);
        }
        assert_eq!([0; 3].map(|_| client.response().status), [200, 400, 200]);
    });
}

#[test]
fn idle_connections_outlive_those_that_clients_keep() {
    // Go clients keep theirs for 90 s.
    assert!(boskos_server::http::Limits::default().idle.as_secs() >= 115);
}
