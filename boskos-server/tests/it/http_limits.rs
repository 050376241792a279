//! What a client may send, and what it is told beyond.

use std::sync::atomic::Ordering::SeqCst;

use boskos_server::http::Limits;

use crate::http_support::{Client, Running};

async fn ask(bytes: impl AsRef<[u8]>) -> (u16, bool) {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    let answer = client.answer().await.expect("an answer");
    let is_closed = client.answer_after("GET /now").await.is_none();
    (answer.status, is_closed)
}

impl Client {
    /// The answer to one more request, `None` if the connection is closed.
    async fn answer_after(&mut self, line: &str) -> Option<crate::http_support::Answer> {
        use tokio::io::AsyncWriteExt;
        let request = format!("{line} HTTP/1.1\r\nhost: h\r\n\r\n");
        match self.io.write_all(request.as_bytes()).await {
            Ok(()) => self.answer().await,
            Err(_) => None,
        }
    }
}

fn headers(count: usize, bytes: usize) -> String {
    (0..count).map(|turn| format!("x-{turn}: {}\r\n", "f".repeat(bytes))).collect()
}

#[tokio::test]
async fn a_head_within_its_limit_is_served() {
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", headers(60, 1000))).await, (200, false));
    assert_eq!(ask(format!("GET /?{} HTTP/1.1\r\nhost: h\r\n\r\n", "q".repeat(60_000))).await, (200, false));
}

#[tokio::test]
async fn a_head_too_large_is_told_431() {
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", headers(70, 1000))).await, (431, true));
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", headers(1, 500_000))).await, (431, true));
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", headers(200, 1))).await, (431, true));
}

#[tokio::test]
async fn a_request_line_too_long_is_told_414() {
    for bytes in [66_000, 100_000, 1_000_000] {
        assert_eq!(
            ask(format!("GET /?{} HTTP/1.1\r\nhost: h\r\n\r\n", "q".repeat(bytes))).await,
            (414, true),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn a_long_request_line_on_a_used_connection_is_told_414() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("/now").await.body, b"now");
    client.send(format!("GET /?{} HTTP/1.1\r\nhost: h\r\n\r\n", "q".repeat(100_000))).await;
    assert_eq!(client.answer().await.unwrap().status, 414);
}

#[tokio::test]
async fn malformed_requests_are_told_400() {
    for bytes in ["\x01\x02\x03\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]
    {
        assert_eq!(ask(bytes).await, (400, true), "{bytes:?}");
    }
    assert_eq!(ask("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n").await, (400, true));
}

#[tokio::test]
async fn a_body_within_its_limit_is_read() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    let body = "b".repeat(1024 * 1024);
    client.send(format!("POST /update HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(client.answer().await.unwrap().body, body.as_bytes());
    client
        .send(format!("POST /update HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()))
        .await;
    client.send(format!("{body}\r\n0\r\n\r\n")).await;
    assert_eq!(client.answer().await.unwrap().body, body.as_bytes());
    client.request("POST /update").await;
    assert_eq!(client.answer().await.unwrap().body, b"");
}

#[tokio::test]
async fn a_body_too_large_is_told_413() {
    let (server, address) = Running::tcp(Limits::default()).await;
    let body = "b".repeat(1024 * 1024 + 1);
    let many = "b".repeat(5 * 1024 * 1024);
    for (path, head, body, is_called) in [
        ("/update", format!("content-length: {}\r\n\r\n", body.len()), &body, true),
        ("/update", format!("content-length: {}\r\n\r\n", many.len()), &many, true),
        ("/update", format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", many.len()), &many, true),
        ("/park", format!("content-length: {}\r\n\r\n", body.len()), &body, false),
        ("/park", format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", many.len()), &many, false),
    ] {
        let calls = server.script.calls.load(SeqCst);
        let client = Client::connect(address).await;
        let (reader, mut writer) = client.io.into_split();
        let bytes = format!("POST {path} HTTP/1.1\r\nhost: h\r\n{head}{body}");
        // Sent beside reading: the answer must reach a client that is still sending.
        let sending = tokio::spawn(async move {
            let sent = tokio::io::AsyncWriteExt::write_all(&mut writer, bytes.as_bytes()).await;
            (writer, sent)
        });
        let mut client = Client::over(tokio::io::join(reader, tokio::io::sink()));
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")), "{path} {head}");
        assert_eq!(client.rest().await, b"");
        drop(sending.await.unwrap());
        assert_eq!(server.script.calls.load(SeqCst) - calls, usize::from(is_called), "{path} {head}");
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    for (path, expected) in [("/update", b"12345"[..].to_vec()), ("/now", b"now".to_vec())] {
        let mut client = Client::connect(address).await;
        client
            .send(format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"))
            .await;
        assert_eq!(client.head().await.unwrap().status, 100, "{path}");
        client.send("12345").await;
        assert_eq!(client.answer().await.unwrap().body, expected);
        assert_eq!(client.get("/now").await.body, b"now");
    }
}

#[tokio::test]
async fn a_client_that_asks_first_with_too_much_is_told_so() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.send("POST /update HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 413);
}

#[tokio::test]
async fn a_body_that_nobody_wants_leaves_the_connection_usable() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    let body = "b".repeat(500_000);
    for _ in 0..3 {
        client.send(format!("POST /now HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len())).await;
        client.send(&body).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.header("connection")), (&b"now"[..], None));
    }
}

#[tokio::test]
async fn empty_lines_between_requests_do_no_harm() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    for _ in 0..3 {
        assert_eq!(client.get("/now").await.body, b"now");
        client.send("\r\n").await;
    }
}
