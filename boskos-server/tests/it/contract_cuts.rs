//! Callers that hang up at any moment own exactly what they read.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Server, client::Client, for_each_store};

const ROUNDS: u64 = 300;
const WAITERS: usize = 5;
const NAMES: [&str; 2] = ["a", "b"];

/// The longest time after which a waiter hangs up or a release comes.
const SPREAD_MICROS: u64 = 2_000;

/// Numbers that follow from a seed (splitmix64).
struct Random(u64);

/// Which resource each client that read a grant owns.
type Grants = BTreeMap<String, String>;

#[test]
fn owners_are_exactly_those_who_read_a_grant() {
    for_each_store(|store| {
        let config = "resources: [{type: t, names: [a, b]}]";
        // The places of ids that were cut must not hold up the rest for long.
        let server = &Server::start_with(store, config, |options| options.ranch.request_ttl = Duration::from_millis(5));
        let (mut granted, mut cut) = (0, 0);
        for round in 0..ROUNDS {
            for name in NAMES {
                assert_eq!(server.take("t", "free", "holder").len(), name.len());
            }
            let grants = play(server, round);
            granted += grants.len();
            cut += WAITERS - grants.len();
            // An undo is asked for before its caller sees the end of the connection.
            server.await_settled();
            assert_eq!(owners(server), grants, "round {round}");
            for (owner, name) in &grants {
                server.release(name, "free", owner);
            }
            assert_eq!(server.names("state=free&owner="), NAMES);
            server.await_queue(&[]);
        }
        assert!(granted > 50 && cut > 50, "both happen: {granted} granted, {cut} cut");
    });
}

/// Waiters are cut at random moments around the releases of what they wait for; who read a grant.
fn play(server: &Server, round: u64) -> Grants {
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..WAITERS)
            .map(|waiter| {
                let mut random = Random(round * 1_000 + waiter as u64);
                // The last one of some rounds stays to the end: grants do happen.
                let cut_after = (waiter + 1 < WAITERS || !round.is_multiple_of(4)).then(|| random.moment());
                scope.spawn(move || wait_and_hang_up(server, format!("w{round}-{waiter}"), waiter, cut_after))
            })
            .collect();
        let mut random = Random(round * 1_000 + 999);
        for name in NAMES {
            pass(random.moment());
            server.release(name, "free", "holder");
        }
        waiters.into_iter().filter_map(|waiter| waiter.join().unwrap()).collect()
    })
}

/// What a client owns that hangs up `cut_after` and reads to the end.
fn wait_and_hang_up(
    server: &Server,
    owner: String,
    waiter: usize,
    cut_after: Option<Duration>,
) -> Option<(String, String)> {
    let mut client: Client = server.connect();
    let id = if waiter.is_multiple_of(2) { format!("&request_id={owner}") } else { String::new() };
    let wait = if waiter == 1 { "" } else { "&wait=100ms" };
    client.send_request("POST", &format!("/acquire?type=t&state=free&dest=busy&owner={owner}{id}{wait}"));
    if let Some(after) = cut_after {
        pass(after);
        client.half_close();
    }
    let response = client.response_or_end()?;
    if response.status == 404 {
        return None;
    }
    let resource = response.expect_status(200).json();
    assert_eq!(resource["owner"], owner);
    Some((owner, resource["name"].as_str().unwrap().to_owned()))
}

fn owners(server: &Server) -> Grants {
    let owned = server.resources("state=busy");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    owned.iter().map(|resource| (text(&resource["owner"]), text(&resource["name"]))).collect()
}

/// Lets time pass, more exactly than a sleep.
fn pass(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        thread::yield_now();
    }
}

// === impl Random ===

impl Random {
    fn moment(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_micros((mixed ^ (mixed >> 31)) % SPREAD_MICROS)
    }
}
