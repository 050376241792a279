//! Delivered means that the socket took every byte, and nothing else means it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use boskos_server::http::Limits;
use tokio::{io::AsyncWriteExt, sync::Notify, time::Instant};

use crate::http_support::{Client, Event, Running};

/// More than the buffers of a socket pair take.
const LARGE_BYTES: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn every_kind_of_reply_is_delivered_once() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    for target in
        ["/grant", "/grant?size=0", "/grant?size=300000", "/grant?size=0&as=pages", "/grant?size=5500&as=pages"]
    {
        assert_eq!(client.get(target).await.status, 200);
        assert_eq!(server.event().await, Event::Delivered, "{target}");
        client.request(&format!("HEAD {target}")).await;
        assert_eq!(client.head().await.unwrap().status, 200);
        assert_eq!(server.event().await, Event::Delivered, "HEAD {target}");
    }
    assert_eq!(client.get("/grant?size=0&status=204").await.status, 204);
    assert_eq!(server.event().await, Event::Delivered);
    client.send("GET /grant?as=pages&size=2 HTTP/1.0\r\n\r\n").await;
    assert!(client.rest().await.ends_with(b"\r\n\r\nxx"));
    assert_eq!(server.event().await, Event::Delivered);
    assert!(server.events.is_empty());
}

#[tokio::test]
async fn replies_to_requests_sent_together_are_all_delivered() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.send("GET /grant HTTP/1.1\r\nhost: h\r\n\r\n".repeat(50)).await;
    for _ in 0..50 {
        assert_eq!(client.answer().await.unwrap().body, b"xxx");
        assert_eq!(server.event().await, Event::Delivered);
    }
}

#[tokio::test]
async fn a_reply_is_delivered_only_when_its_last_byte_is_taken() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    for kind in ["full", "pages"] {
        let mut client = Client::connect(address).await;
        client.request(&format!("GET /grant?size={LARGE_BYTES}&as={kind}")).await;
        assert_eq!(client.head().await.unwrap().status, 200);
        assert!(server.events.is_empty(), "most of it is still here");
        drop(client);
        assert_eq!(server.event().await, Event::Undelivered, "{kind}");

        let mut client = Client::connect(address).await;
        assert_eq!(client.get(&format!("/grant?size={LARGE_BYTES}&as={kind}")).await.body.len(), LARGE_BYTES);
        assert_eq!(server.event().await, Event::Delivered, "{kind}");
    }
}

#[tokio::test]
async fn a_half_closing_client_gets_all_or_an_undo() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.request(&format!("GET /grant?size={LARGE_BYTES}")).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    client.io.shutdown().await.unwrap();
    let is_whole = client.rest().await.len() == LARGE_BYTES;
    assert_eq!(server.event().await, if is_whole { Event::Delivered } else { Event::Undelivered });
}

#[tokio::test]
async fn a_stalled_reader_is_cut_and_its_reply_undone() {
    let limits = Limits { write: Duration::from_millis(20), ..Limits::default() };
    let (mut server, address) = Running::tcp(limits).await;
    let mut client = Client::connect(address).await;
    client.request(&format!("GET /grant?size={LARGE_BYTES}")).await;
    assert_eq!(server.event().await, Event::Undelivered);
    assert!(client.answer().await.is_none(), "the rest never comes");
}

#[tokio::test]
async fn a_reply_in_flight_is_undone_when_the_server_is_cut() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.request(&format!("GET /grant?size={LARGE_BYTES}")).await;
    assert_eq!(client.head().await.unwrap().status, 200);
    server.stop(Duration::ZERO);
    assert_eq!(server.event().await, Event::Undelivered);
    assert_eq!((&mut server.served).await.unwrap().cut, 1);
}

/// Spins or yields for a while that differs from call to call.
async fn dawdle(seed: &AtomicU64) {
    let mut state = seed.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^= state >> 27;
    if state.is_multiple_of(3) {
        tokio::task::yield_now().await;
    }
    let until = Instant::now() + Duration::from_micros(state % 120);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// The client hangs up (it ends its side and reads on) at any moment around the answer: what it reads to the last byte
/// was delivered, and what was delivered it reads to the last byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_in_full_was_delivered_and_nothing_else() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let seed = Arc::new(AtomicU64::new(42));
    let (mut read, mut unread) = (0, 0);
    for turn in 0..4000 {
        let mut client = Client::connect(address).await;
        client.request("POST /park").await;
        assert_eq!(server.event().await, Event::Entered);
        let released = Arc::new(Notify::new());
        let releasing = tokio::spawn({
            let (script, seed, released) = (server.script.clone(), seed.clone(), released.clone());
            async move {
                match turn % 10 {
                    // Two of ten are certain, so that both outcomes occur on any machine.
                    0 => released.notified().await,
                    1 => {}
                    _ => dawdle(&seed).await,
                }
                script.permits.add_permits(1);
            }
        });
        let mut answer = None;
        match turn % 10 {
            0 => {}
            1 => answer = client.answer().await,
            _ => dawdle(&seed).await,
        }
        client.io.shutdown().await.unwrap();
        if turn % 10 == 0 {
            assert_eq!(server.event().await, Event::Dropped);
            released.notify_one();
        }
        if answer.is_none() {
            answer = client.answer().await;
        }
        releasing.await.unwrap();
        let is_read = answer.is_some_and(|answer| answer.body == b"xxx");
        if turn % 10 != 0 {
            let expected = if is_read { &[Event::Delivered][..] } else { &[Event::Dropped, Event::Undelivered] };
            let event = server.event().await;
            assert!(expected.contains(&event), "turn {turn}: read {is_read}, but {event:?}");
        }
        // A dropped call leaves its permit.
        server.script.permits.forget_permits(1);
        assert_eq!(server.script.permits.available_permits(), 0);
        assert!(server.events.is_empty(), "turn {turn}");
        *(if is_read { &mut read } else { &mut unread }) += 1;
    }
    assert!(read >= 400 && unread >= 400, "{read} read, {unread} not");
    eprintln!("{read} read, {unread} not");
}
