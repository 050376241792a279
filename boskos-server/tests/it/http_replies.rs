//! Replies, byte by byte where clients look.

use boskos_server::http::Limits;

use crate::http_support::{Client, Running};

#[tokio::test]
async fn replies_look_as_clients_know_them() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;

    let answer = client.get("/now").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"now"[..]));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("content-length"), Some("3"));
    assert_eq!(answer.header("x-content-type-options"), None);
    assert!(answer.header("date").is_some());

    let answer = client.get("/empty").await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));
    assert_eq!(answer.header("content-type"), None);

    let answer = client.get("/error").await;
    assert_eq!((answer.status, answer.body.as_slice()), (503, &b"storage is away\n"[..]));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("retry-after"), Some("2"));

    client.request("HEAD /now").await;
    let head = client.head().await.unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some("3")));
    assert_eq!(client.get("/now").await.body, b"now", "nothing followed the head");
}

#[tokio::test]
async fn unclean_paths_are_redirected() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.request("POST //acquire?type=t&dest=%2F+x").await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (307, Some("/acquire?type=t&dest=%2F+x")));
    assert_eq!((answer.header("content-length"), answer.header("content-type")), (Some("0"), None));

    let answer = client.get("/a/../metric?a=1&b='").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("/metric?a=1&b='")));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.body, b"<a href=\"/metric?a=1&amp;b=&#39;\">Temporary Redirect</a>.\n\n");

    let answer = client.get("//é").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("/%C3%A9")));

    client.request("OPTIONS *").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.get("http://elsewhere/now").await.body, b"now");
    client.request("CONNECT elsewhere:80").await;
    assert_eq!(client.head().await.unwrap().status, 200);
    assert_eq!(Client::connect(address).await.get("/now").await.body, b"now");
}

#[tokio::test]
async fn long_replies_come_in_chunks() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    for (path, bytes) in [("/pages", 1_000_000), ("/channel", 1000)] {
        let answer = client.get(path).await;
        assert_eq!((answer.header("transfer-encoding"), answer.body.len()), (Some("chunked"), bytes), "{path}");
        client.request(&format!("HEAD {path}")).await;
        assert_eq!(client.head().await.unwrap().status, 200);
    }
    assert_eq!(client.get("/now").await.body, b"now");
}

#[tokio::test]
async fn a_reply_that_breaks_off_does_not_look_whole() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.request("GET /broken").await;
    assert!(client.answer().await.is_none());
}

#[tokio::test]
async fn old_clients_are_served() {
    let (_server, address) = Running::tcp(Limits::default()).await;
    let mut client = Client::connect(address).await;
    client.send("GET /now HTTP/1.0\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with(b"HTTP/1.0 200 OK\r\n") && answer.ends_with(b"\r\n\r\nnow"));

    let mut client = Client::connect(address).await;
    for _ in 0..2 {
        client.send("GET /now HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        assert_eq!(client.answer().await.unwrap().body, b"now");
    }
}
