//! What clients may take at most, and what the others still get then.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::harness::{
    Server, StoreKind,
    client::Client,
    eventually, for_each_store,
    process::{self, Process, QUIET},
    with_server,
};

const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a]}\n";
const ACQUIRE: &str = "/acquire?type=t&state=free&dest=busy&owner";

/// Parked calls of a server whose metrics are at hand.
fn parked(server: &Process) -> usize {
    let metrics = Client::connect(server.metrics).request("GET", "/metrics");
    let line = metrics.text().lines().find_map(|line| line.strip_prefix("boskos_queue{kind=\"parked\"} "));
    line.unwrap().parse().unwrap()
}

/// Whether an answer has begun to come.
fn is_answered(watcher: &mut Client) -> bool {
    let stream = watcher.stream();
    stream.set_nonblocking(true).unwrap();
    let answered = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    answered
}

/// 15,000, or as many as the hard limit on open files allows: the server keeps a quarter of its connections free of
/// waiting calls, and this process needs a file for each of them too.
#[test]
fn fifteen_thousand_waiters_never_shut_out_a_release() {
    let files = boskos_runtime::listen::raise_file_limit(20_500);
    let dir = process::folder(CONFIG);
    let max_parked = format!("--max-parked={}", files.saturating_sub(2_000).min(15_000));
    let server = Process::start(process::command(dir.path(), &QUIET).args(["--max-wait=1h", &max_parked]));
    let mut client = Client::connect(server.http);
    let limit = client.request("GET", "/api/v1/info").json()["limits"]["parked"].as_u64().unwrap();
    let count = usize::try_from(limit).unwrap();
    println!("{count} waiters, {files} files");
    client.request("POST", &format!("{ACQUIRE}=holder")).expect_status(200);
    let mut waiters: Vec<Client> = Vec::with_capacity(count);
    for n in 0..count {
        let mut waiter = Client::connect(server.http);
        waiter.send_request("POST", &format!("{ACQUIRE}=w{n}&wait=1h"));
        waiters.push(waiter);
        if n == 0 {
            eventually("the first waits", || (parked(&server) == 1).then_some(()));
        }
    }
    eventually("all wait", || (parked(&server) == count).then_some(()));
    let none = "Acquire failed: no available resource t, try again later.";
    client.request("POST", &format!("{ACQUIRE}=late&wait=1h")).expect_error(404, none);
    Client::connect(server.http).request("POST", "/release?name=a&dest=free&owner=holder").expect_empty();
    let granted = waiters[0].response();
    assert_eq!(granted.expect_status(200).json()["owner"], "w0");
    assert_eq!(parked(&server), count - 1);
    // There is room for one again.
    client.send_request("POST", &format!("{ACQUIRE}=late&wait=1h"));
    eventually("the late one waits", || (parked(&server) == count).then_some(()));
}

#[test]
fn limits_follow_the_files_that_a_process_may_open() {
    let dir = process::folder(CONFIG);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 600; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_boskos-server")]).args(QUIET);
    command.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Process::start(&mut command);
    let info = Client::connect(server.http).request("GET", "/api/v1/info").json();
    let (connections, parked) = (&info["limits"]["connections"], &info["limits"]["parked"]);
    let (connections, parked) = (connections.as_u64().unwrap(), parked.as_u64().unwrap());
    assert!(connections < 600 && parked < connections, "{connections} connections, {parked} parked");
    let warnings: Vec<_> = server.start_log.iter().filter(|line| line["level"] == "warning").collect();
    for text in ["--max-connections", "--max-parked"] {
        assert!(warnings.iter().any(|line| line["msg"].as_str().unwrap().contains(text)), "{warnings:?}");
    }
    // As many as may wait do, and the release gets in.
    let mut client = Client::connect(server.http);
    client.request("POST", &format!("{ACQUIRE}=holder")).expect_status(200);
    let mut waiters: Vec<Client> = (0..parked + 5).map(|_| Client::connect(server.http)).collect();
    for waiter in &mut waiters {
        waiter.send_request("POST", &format!("{ACQUIRE}=w&wait=50s"));
    }
    eventually("as many wait as may", || (self::parked(&server) as u64 == parked).then_some(()));
    client.request("POST", "/release?name=a&dest=free&owner=holder").expect_empty();
}

#[test]
fn waiters_and_watchers_together_never_shut_out_a_release() {
    let dir = process::folder(CONFIG);
    let command = &mut process::command(dir.path(), &QUIET);
    let server = Process::start(command.args(["--max-connections=40", "--max-parked=15000"]));
    Client::connect(server.http).request("POST", &format!("{ACQUIRE}=holder")).expect_status(200);
    let mut waiters: Vec<Client> = (0..30).map(|_| Client::connect(server.http)).collect();
    for waiter in &mut waiters {
        waiter.send_request("POST", &format!("{ACQUIRE}=w&wait=50s"));
    }
    eventually("three quarters wait", || (parked(&server) == 30).then_some(()));
    let mut watchers: Vec<Client> = (0..10).map(|_| Client::connect(server.http)).collect();
    for watcher in &mut watchers {
        watcher.send_request("GET", "/api/v1/resources?state=free&wait=50s");
    }
    let refused = eventually("some may not watch", || {
        let refused: Vec<Client> = watchers.extract_if(.., is_answered).collect();
        (!refused.is_empty()).then_some(refused)
    });
    for mut watcher in refused {
        watcher.response().expect_status(503);
    }
    assert!(watchers.len() >= 8, "{} watch", watchers.len());
    let release = "/release?name=a&dest=free&owner=holder";
    eventually("a release gets in", || {
        (Client::connect(server.http).request("POST", release).status == 200).then_some(())
    });
}

#[test]
fn connections_of_those_who_may_not_wait_are_not_kept_when_few_are_left() {
    let dir = process::folder(CONFIG);
    let command = &mut process::command(dir.path(), &QUIET);
    let server = Process::start(command.arg("--max-connections=20"));
    let mut holder = Client::connect(server.http);
    holder.request("POST", &format!("{ACQUIRE}=holder")).expect_status(200);
    let mut waiters: Vec<Client> = (0..19).map(|_| Client::connect(server.http)).collect();
    for waiter in &mut waiters {
        waiter.send_request("POST", &format!("{ACQUIRE}=w&wait=50s"));
    }
    let mut beyond = Vec::new();
    eventually("four more than may wait are answered", || {
        beyond.extend(waiters.extract_if(.., is_answered));
        (beyond.len() == 4).then_some(())
    });
    let mut ended = 0;
    for client in &mut beyond {
        let answer = client.response();
        answer.expect_status(404);
        if answer.header("connection") == Some("close") {
            assert!(client.is_at_end());
            ended += 1;
        }
    }
    assert!(ended >= 2, "all but two of twenty are kept: {ended}");
    let release = "/release?name=a&dest=free&owner=holder";
    eventually("a release gets in", || {
        (Client::connect(server.http).request("POST", release).status == 200).then_some(())
    });
}

#[test]
fn connection_beyond_the_limit_is_told_to_come_back() {
    for_each_store(|store| {
        let server = Server::start_with(store, CONFIG, |options| options.http.connections = 3);
        let mut held: Vec<Client> = (0..3).map(|_| server.connect()).collect();
        for client in &mut held {
            client.request("GET", "/").expect_empty();
        }
        let mut beyond = server.connect();
        let refused = beyond.request("POST", &format!("{ACQUIRE}=me"));
        refused.expect_error(503, "Too many connections.");
        assert!(refused.header("retry-after").is_some() && beyond.is_at_end());
        held.pop();
        eventually("room again", || {
            (server.connect().request("POST", &format!("{ACQUIRE}=me")).status == 200).then_some(())
        });
    });
}

#[test]
fn large_requests_are_refused_by_their_own_status() {
    with_server(CONFIG, |server| {
        server.take("t", "free", "me");
        let update = "/update?name=a&owner=me&state=busy";
        let value = "v".repeat((1 << 20) - 8);
        server.post_body(update, &format!("{{\"k\":\"{value}\"}}")).expect_empty();
        server.post_body(update, &format!("{{\"k\":\"{value}v\"}}")).expect_status(413);
        let mut client = server.connect();
        client.send(format!("POST /acquire?owner={} HTTP/1.1\r\n\r\n", "o".repeat(64 * 1024)));
        client.response().expect_status(414);
        let mut client = server.connect();
        client.send(format!("POST /acquire HTTP/1.1\r\nHost: boskos\r\nX: {}\r\n\r\n", "o".repeat(64 * 1024)));
        client.response().expect_status(431);
        server.post(&format!("/release?name={}&dest=free&owner=me", "n".repeat(60_000))).expect_status(404);
    });
}

#[test]
fn malformed_requests_end_their_own_connection_alone() {
    with_server(CONFIG, |server| {
        let mut good = server.connect();
        for bad in [
            "nonsense\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "POST /acquire HTTP/1.1\r\nno colon\r\n\r\n",
            "\u{0}\r\n\r\n",
        ] {
            let mut client = server.connect();
            client.send(bad);
            client.half_close();
            if let Some(response) = client.response_or_end() {
                response.expect_status(400);
            }
            good.request("GET", "/").expect_empty();
        }
    });
}

/// A server whose listings may take so long, and as many slow readers of one as there may be.
fn read_slowly(listing: Duration) -> (Server, Vec<Client>) {
    // More than buffers on the way take in.
    let names: Vec<String> = (0..40_000).map(|n| format!("{n}-{}", "x".repeat(200))).collect();
    let config = format!("resources: [{{type: t, names: [{}]}}]", names.join(", "));
    let server = Server::start_with(StoreKind::Memory, &config, |options| options.ranch.listing = listing);
    let mut readers: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    for reader in &mut readers {
        reader.send_request("GET", "/api/v1/resources");
        reader.stream().peek(&mut [0]).unwrap();
    }
    (server, readers)
}

#[test]
fn a_listing_begins_when_another_ends() {
    let (server, mut readers) = read_slowly(Duration::from_secs(60));
    let mut next = server.connect();
    next.send_request("GET", "/api/v1/resources?limit=1");
    drop(readers.pop());
    next.response().expect_status(200);
}

#[test]
fn readers_that_take_their_time_keep_nobody_else_from_listings_for_long() {
    let (server, mut readers) = read_slowly(Duration::from_millis(500));
    // It waits until there are fewer.
    server.get("/api/v1/resources?limit=1").expect_status(200);
    // The one that made room can tell what it gets from a whole listing.
    let read = readers[0].rest();
    assert!(!read.ends_with(b"\r\n0\r\n\r\n"), "{} bytes and an end", read.len());
}
