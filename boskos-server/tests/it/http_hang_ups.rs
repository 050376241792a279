//! A client that is gone is noticed while its call waits.

use boskos_server::http::Limits;
use tokio::io::AsyncWriteExt;

use crate::http_support::{Client, Event, Running};

async fn parked() -> (Running, Client) {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.request("POST /park").await;
    assert_eq!(server.event().await, Event::Entered);
    (server, client)
}

#[tokio::test]
async fn a_fin_drops_the_call() {
    let (mut server, mut client) = parked().await;
    client.io.shutdown().await.unwrap();
    assert_eq!(server.event().await, Event::Dropped);
    assert_eq!(client.rest().await, b"", "no answer after a hang-up");
}

#[tokio::test]
async fn a_reset_drops_the_call() {
    let (mut server, client) = parked().await;
    socket2::SockRef::from(&client.io).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(server.event().await, Event::Dropped);
}

#[tokio::test]
async fn a_fin_drops_the_call_of_a_second_request() {
    let (mut server, mut client) = parked().await;
    server.script.permits.add_permits(1);
    assert_eq!(client.answer().await.unwrap().body, b"xxx");
    assert_eq!(server.event().await, Event::Delivered);
    client.request("POST /park").await;
    assert_eq!(server.event().await, Event::Entered);
    client.io.shutdown().await.unwrap();
    assert_eq!(server.event().await, Event::Dropped);
}

#[tokio::test]
async fn a_body_that_nobody_reads_hides_no_hang_up() {
    let (mut server, address) = Running::tcp(Limits::default()).await;
    for body in ["Content-Length: 5\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"] {
        for split in [0, 3, body.len() / 2, body.len() - 1] {
            let mut client = Client::connect(address).await;
            client.send("POST /park HTTP/1.1\r\nhost: h\r\n").await;
            client.send(&body[..split]).await;
            tokio::task::yield_now().await;
            client.send(&body[split..]).await;
            assert_eq!(server.event().await, Event::Entered);
            client.io.shutdown().await.unwrap();
            assert_eq!(server.event().await, Event::Dropped);
        }
    }
}

#[tokio::test]
async fn a_request_sent_ahead_hides_no_hang_up() {
    let (mut server, mut client) = parked().await;
    // The first is what hyper reads while it looks for the end, the rest is what it does not look at.
    for _ in 0..100 {
        client.request("GET /now").await;
        tokio::task::yield_now().await;
    }
    client.io.shutdown().await.unwrap();
    assert_eq!(server.event().await, Event::Dropped);
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let (server, mut client) = parked().await;
    let count = 200;
    for turn in 0..count {
        client.request(&format!("GET /grant?size={turn}")).await;
    }
    server.script.permits.add_permits(1);
    assert_eq!(client.answer().await.unwrap().body, b"xxx");
    for turn in 0..count {
        assert_eq!(client.answer().await.unwrap().body.len(), turn);
    }
}

#[tokio::test]
async fn more_sent_ahead_than_is_kept_is_answered_too() {
    let (server, client) = parked().await;
    let filler = "f".repeat(1000);
    let ahead = format!("GET /now HTTP/1.1\r\nhost: h\r\nx: {filler}\r\n\r\n").repeat(300);
    let (reader, mut writer) = client.io.into_split();
    let sending = tokio::spawn(async move {
        writer.write_all(ahead.as_bytes()).await.unwrap();
        writer
    });
    server.script.permits.add_permits(1);
    let mut client = Client::over(tokio::io::join(reader, tokio::io::sink()));
    assert_eq!(client.answer().await.unwrap().body, b"xxx");
    for _ in 0..300 {
        assert_eq!(client.answer().await.unwrap().body, b"now");
    }
    drop(sending.await.unwrap());
}
