//! How long a client is waited for, on a clock that the tests move.

use std::{io, time::Duration};

use boskos_server::http::{Limits, Listener};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::http_support::{Client, Event, Running};

/// Hands out the other ends of in-memory connections: a clock that jumps while nothing is ready must not wait for a
/// kernel.
struct Door(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Door {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(io) => Ok(io),
            None => std::future::pending().await,
        }
    }
}

struct House {
    server: Running,
    door: mpsc::UnboundedSender<DuplexStream>,
}

impl House {
    fn new() -> Self {
        let (door, at_door) = mpsc::unbounded_channel();
        Self { server: Running::on(Door(at_door), Limits::default()), door }
    }

    fn connect(&self) -> Client<DuplexStream> {
        let (near, far) = duplex(1024);
        self.door.send(far).unwrap();
        Client::over(near)
    }
}

/// Seconds until the server closes, rounded.
async fn seconds_to_close(client: &mut Client<DuplexStream>) -> u64 {
    let start = Instant::now();
    assert_eq!(client.rest().await, b"");
    start.elapsed().as_millis().div_ceil(1000).try_into().unwrap()
}

/// Timers run on whole milliseconds.
fn is_about(seconds: u64, expected: u64) -> bool {
    (expected..=expected + 1).contains(&seconds)
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_120_seconds() {
    let house = House::new();
    assert!(is_about(seconds_to_close(&mut house.connect()).await, 120), "never used");
    let mut client = house.connect();
    for pause in [0, 1, 95, 119, 60] {
        sleep(Duration::from_secs(pause)).await;
        assert_eq!(client.get("/now").await.body, b"now", "after {pause} s");
    }
    assert!(is_about(seconds_to_close(&mut client).await, 120), "since its last answer");
}

#[tokio::test(start_paused = true)]
async fn a_head_has_10_seconds_from_its_first_byte() {
    let house = House::new();
    let mut client = house.connect();
    sleep(Duration::from_secs(100)).await;
    client.send("GET /now HT").await;
    assert!(is_about(seconds_to_close(&mut client).await, 10), "on a fresh connection");

    let mut client = house.connect();
    assert_eq!(client.get("/now").await.body, b"now");
    sleep(Duration::from_secs(50)).await;
    client.send("G").await;
    assert!(is_about(seconds_to_close(&mut client).await, 10), "on a used one");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_gets_no_more_time() {
    let house = House::new();
    let mut client = house.connect();
    let start = Instant::now();
    client.send("GET /now HTTP/1.1\r\nhost: h\r\nx: ").await;
    while client.io.write_all(b"f").await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(is_about(start.elapsed().as_secs(), 10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_head_in_pieces_is_served() {
    let house = House::new();
    let mut client = house.connect();
    for _ in 0..3 {
        client.send("GET /now HTTP/1.1\r\nhost:").await;
        sleep(Duration::from_secs(9)).await;
        client.send(" h\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().body, b"now");
        sleep(Duration::from_secs(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_two_heads_has_its_own_time() {
    let house = House::new();
    let mut client = house.connect();
    let mut start = Instant::now();
    client.send("GET /now HT").await;
    for _ in 0..5 {
        sleep(Duration::from_secs(9)).await;
        start = Instant::now();
        // The end of one request, then the beginning of the next, before the server has its turn.
        client.send("TP/1.1\r\nhost: h\r\n\r\nGET /now HT").await;
        assert_eq!(client.answer().await.unwrap().body, b"now");
    }
    client.rest().await;
    assert!(is_about(start.elapsed().as_secs(), 10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_came_byte_by_byte_leaves_nothing_behind() {
    let house = House::new();
    let mut client = house.connect();
    for byte in b"GET /now HTTP/1.1\r\nhost: h\r\n\r\n" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.unwrap().body, b"now");
    assert!(is_about(seconds_to_close(&mut client).await, 120));
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_starts_no_head() {
    let house = House::new();
    let mut client = house.connect();
    assert_eq!(client.get("/now").await.body, b"now");
    client.send("\r\n").await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(client.get("/now").await.body, b"now");
}

#[tokio::test(start_paused = true)]
async fn a_parked_call_is_not_cut() {
    let mut house = House::new();
    let mut client = house.connect();
    client.request("POST /park").await;
    assert_eq!(house.server.event().await, Event::Entered);
    sleep(Duration::from_secs(1000)).await;
    house.server.script.permits.add_permits(1);
    assert_eq!(client.answer().await.unwrap().body, b"xxx");
    assert!(is_about(seconds_to_close(&mut client).await, 120));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_takes_is_cut_after_30_seconds() {
    let mut house = House::new();
    // One that waits in the server's buffer in whole, and one that does not fit in there.
    for size in [2000, 100_000] {
        let mut client = house.connect();
        let start = Instant::now();
        client.request(&format!("GET /grant?size={size}")).await;
        assert_eq!(house.server.event().await, Event::Undelivered);
        assert!(is_about(start.elapsed().as_secs(), 30), "{:?}", start.elapsed());
        assert!(client.answer().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_taken_slowly_is_not_cut() {
    let mut house = House::new();
    let mut client = house.connect();
    client.request("GET /grant?size=10000").await;
    let mut left = 10_000_usize;
    while left > 0 {
        sleep(Duration::from_secs(25)).await;
        let mut some = [0; 500];
        let count = client.io.read(&mut some).await.unwrap();
        assert_ne!(count, 0, "cut with {left} bytes left");
        // The head counts as well here: it only ends the loop sooner.
        left = left.saturating_sub(count);
    }
    client.rest().await;
    assert_eq!(house.server.event().await, Event::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_10_seconds() {
    let house = House::new();
    for path in ["/update", "/park"] {
        let mut client = house.connect();
        let start = Instant::now();
        client.send(format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 50\r\n\r\n")).await;
        while start.elapsed() < Duration::from_secs(9) {
            client.send("b").await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(client.answer().await.unwrap().status, 408, "{path}");
        assert!(is_about(start.elapsed().as_secs(), 10), "{:?}", start.elapsed());
        assert_eq!(client.rest().await, b"");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_closes_is_not_lingered_for() {
    let house = House::new();
    let mut client = house.connect();
    client.send("POST /update HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 413);
    let start = Instant::now();
    while client.io.write_all(&[b'b'; 100]).await.is_ok() {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(is_about(start.elapsed().as_secs(), 1), "{:?}", start.elapsed());
}
