//! Accepting, refusing and stopping.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use boskos_server::http::{Drained, Limits, Listener};
use tokio::net::{TcpListener, TcpStream};

use crate::http_support::{Client, Event, Running};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_disturbs_nobody() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let (mut server, address) = Running::tcp(limits).await;
    let mut first = Client::connect(address).await;
    assert_eq!(first.get("/now").await.body, b"now");
    let mut second = Client::connect(address).await;
    second.request("POST /park").await;
    assert_eq!(server.event().await, Event::Entered);
    for _ in 0..10 {
        let mut third = Client::connect(address).await;
        let answer = third.get("/now").await;
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert_eq!(answer.body, b"Too many connections.\n");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(third.rest().await, b"");
        assert_eq!(first.get("/now").await.body, b"now");
    }
    server.script.permits.add_permits(1);
    assert_eq!(second.answer().await.unwrap().body, b"xxx");
    drop(second);
    // The place is free once the server has seen the close, which nothing else tells.
    while Client::connect(address).await.get("/now").await.status == 503 {}
}

#[tokio::test]
async fn more_refusals_than_places_for_them_are_closed() {
    let limits = Limits { connections: 0, refusals: 1, linger: LONG, ..Limits::default() };
    let (_server, address) = Running::tcp(limits).await;
    let mut slow = Client::connect(address).await;
    // Accepted in order: once the second is closed, the first has taken the only place.
    let mut second = Client::connect(address).await;
    assert_eq!(second.rest().await, b"");
    assert_eq!(slow.get("/now").await.status, 503);
}

/// Fails for want of files before each connection.
struct Needy {
    listener: TcpListener,
    failures_left: usize,
    tries: Arc<AtomicUsize>,
}

impl Listener for Needy {
    type Io = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        self.tries.fetch_add(1, SeqCst);
        if self.failures_left > 0 {
            self.failures_left -= 1;
            return Err(rustix::io::Errno::MFILE.into());
        }
        Listener::accept(&mut self.listener).await
    }
}

#[tokio::test]
async fn want_of_files_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let _server = Running::on(Needy { listener, failures_left: 3, tries: tries.clone() }, Limits::default());
    assert_eq!(Client::connect(address).await.get("/now").await.body, b"now");
    assert!(tries.load(SeqCst) >= 4);
}

#[tokio::test(start_paused = true)]
async fn lasting_want_of_files_does_not_spin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let _server = Running::on(Needy { listener, failures_left: usize::MAX, tries: tries.clone() }, Limits::default());
    tokio::time::sleep(Duration::from_secs(100)).await;
    let tries = tries.load(SeqCst);
    assert!((90..120).contains(&tries), "{tries} in 100 s");
}

#[tokio::test]
async fn a_want_of_files_does_not_hold_up_who_is_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    struct Once(Option<TcpListener>);
    impl Listener for Once {
        type Io = TcpStream;
        async fn accept(&mut self) -> io::Result<TcpStream> {
            match self.0.take() {
                Some(mut listener) => Listener::accept(&mut listener).await,
                None => Err(rustix::io::Errno::MFILE.into()),
            }
        }
    }
    let mut server = Running::on(Once(Some(listener)), Limits::default());
    let mut client = Client::connect(address).await;
    for _ in 0..100 {
        assert_eq!(client.get("/now").await.body, b"now");
    }
    server.stop(LONG);
    assert_eq!((&mut server.served).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_finishes_the_others() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut fresh = Client::connect(address).await;
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.get("/now").await.body, b"now");
    let mut busy = Client::connect(address).await;
    busy.request("POST /park").await;
    assert_eq!(server.event().await, Event::Entered);

    server.stop(LONG);
    assert_eq!(idle.rest().await, b"");
    assert_eq!(fresh.rest().await, b"");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    assert!(!server.served.is_finished());

    server.script.permits.add_permits(1);
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.body.as_slice(), answer.header("connection")), (&b"xxx"[..], Some("close")));
    assert_eq!(server.event().await, Event::Delivered);
    assert_eq!(busy.rest().await, b"");
    assert_eq!((&mut server.served).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_stop_cuts_what_is_not_done_at_its_deadline() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut busy = Client::connect(address).await;
    busy.request("POST /park").await;
    assert_eq!(server.event().await, Event::Entered);
    server.stop(Duration::from_millis(10));
    assert_eq!((&mut server.served).await.unwrap(), Drained { cut: 1 });
    assert_eq!(server.event().await, Event::Dropped);
    assert_eq!(busy.rest().await, b"");
}

#[tokio::test]
async fn a_dropped_server_drops_its_calls() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut busy = Client::connect(address).await;
    busy.request("POST /park").await;
    assert_eq!(server.event().await, Event::Entered);
    server.served.abort();
    assert_eq!(server.event().await, Event::Dropped);
    assert_eq!(busy.rest().await, b"");
}

#[tokio::test]
async fn a_panic_ends_its_connection_alone() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut other = Client::connect(address).await;
    assert_eq!(other.get("/now").await.body, b"now");
    let mut client = Client::connect(address).await;
    client.request("GET /panic").await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(other.get("/now").await.body, b"now");
}

#[tokio::test]
async fn requests_that_are_not_whole_hold_up_a_stop_no_longer_than_their_limit() {
    let stragglers = Duration::from_millis(50);
    let limits = Limits { head: LONG, body: LONG, write: LONG, stragglers, ..Limits::default() };
    let (mut server, address) = Running::tcp(limits).await;
    let mut half_head = Client::connect(address).await;
    half_head.send("POST /now HTTP/1.1\r\nhost").await;
    let mut half_body = Client::connect(address).await;
    half_body.send("POST /now HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf").await;
    let mut busy = Client::connect(address).await;
    busy.request("POST /park").await;
    assert_eq!(server.event().await, Event::Entered);

    server.stop(LONG);
    assert_eq!(half_head.rest().await, b"");
    assert_eq!(half_body.rest().await, b"");
    // One that is whole is worth waiting for.
    server.script.permits.add_permits(1);
    assert_eq!(busy.answer().await.unwrap().body, b"xxx");
    assert_eq!((&mut server.served).await.unwrap(), Drained { cut: 0 });
}
