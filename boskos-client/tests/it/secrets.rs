//! Who calls, over which way, and what is never said.

use std::{fs, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use boskos_client::{Client, LeaseOptions, UserDataPatch};
use boskos_testkit::{Server, Stub, answer_one};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::harness::{CONFIG, builder};

const CANARY: &str = "c4n4ry";
const TEXT: &str = "text/plain; charset=utf-8";

fn user(stub: &Stub) -> String {
    let seen = stub.seen.lock();
    let header = seen.last().unwrap().header("authorization").unwrap().strip_prefix("Basic ").unwrap().to_owned();
    String::from_utf8(BASE64_STANDARD.decode(header).unwrap()).unwrap()
}

#[tokio::test]
async fn password_file_is_trimmed_and_followed_and_wins_over_the_url() {
    let stub = Stub::start(|_| (200, TEXT, String::new())).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    fs::write(&file, "one\n").unwrap();
    let url = format!("http://other:word@{}/some/path", stub.address);
    let client = builder(&url, "me").password_file("bob", &file).build().unwrap();
    client.release("a", "free").await.unwrap();
    assert_eq!(user(&stub), "bob:one");
    assert_eq!(stub.seen.lock().last().unwrap().path(), "/release", "the path in the URL is dropped");
    let next = dir.path().join("next");
    fs::write(&next, " two ").unwrap();
    fs::rename(next, &file).unwrap();
    client.release("a", "free").await.unwrap();
    assert_eq!(user(&stub), "bob:two");

    let client = builder(&url, "me").build().unwrap();
    client.release("a", "free").await.unwrap();
    assert_eq!(user(&stub), "other:word");
    assert!(builder(&url, "me").password_file("bob", dir.path().join("missing")).build().is_err());
}

#[tokio::test]
async fn ipv6_literals_are_reached() {
    let Ok(probe) = TcpListener::bind("[::1]:0").await else { return };
    drop(probe);
    let stub = Stub::start_at("[::1]:0", |_| (200, TEXT, String::new())).await;
    assert!(stub.url().starts_with("http://[::1]:"));
    builder(&stub.url(), "me").build().unwrap().release("a", "free").await.unwrap();
}

#[tokio::test]
async fn https_trusts_the_roots_it_is_given_and_no_others() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(answer_one(stream, Arc::new(|_: &_| (200, TEXT, String::new())), Arc::clone(&log)));
        }
    });
    let trusting = builder(&url, "me").root_certificates(own.cert.pem()).build().unwrap();
    trusting.release("a", "free").await.unwrap();
    let told = seen.lock().len();
    assert!(told > 0);
    if let Ok(client) = builder(&url, "me").build() {
        let error = client.release("a", "free").await.unwrap_err();
        assert!(error.is_away(), "{error}");
    }
    assert_eq!(seen.lock().len(), told, "nothing was sent to a stranger");
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let mut shown = Vec::new();
    // Credentials: in the URL, in a file, refused, and at nobody.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    fs::write(&file, CANARY).unwrap();
    let refusing = Stub::start(|_| (401, TEXT, "no".to_owned())).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [refusing.address, closed] {
        for builder in [
            builder(&format!("http://me:{CANARY}@{address}"), "me"),
            builder(&format!("http://{address}"), "me").password_file("me", &file),
        ] {
            shown.push(format!("{builder:?}"));
            let client = builder.build().unwrap();
            shown.push(format!("{client:?} {}", client.url()));
            let error = client.metric("thing").await.unwrap_err();
            shown.push(format!("{error} {error:?}"));
        }
    }
    for bad in [format!("http://me:{CANARY}@"), format!("me:{CANARY}@boskos"), format!("ftp://me:{CANARY}@boskos")] {
        let error = Client::builder(&bad, "me").build().unwrap_err();
        shown.push(format!("{error} {error:?}"));
    }
    // User data: held, leased, refused, echoed by something that is not boskos.
    let server = Server::start(CONFIG).await;
    let client = server.client("me");
    let note: UserDataPatch = [("secret-access-key".to_owned(), Some(CANARY.to_owned()))].into();
    let lease = client.lease(client.acquire("thing", "free", "busy").await.unwrap(), LeaseOptions::default());
    lease.update(&note).await.unwrap();
    shown.push(format!("{lease:?} {:?} {:?}", client.held(), client.resource("thing1").await.unwrap()));
    for body in [format!(r#"{{"type":"t","userdata":"{CANARY}"}}"#), CANARY.to_owned()] {
        let echo = Stub::start(move |request| {
            let status = if request.path() == "/update" { 400 } else { 200 };
            (status, "application/json", body.clone())
        })
        .await;
        let client = builder(&echo.url(), "me").build().unwrap();
        for error in [
            client.update("a", "busy", &note).await.unwrap_err(),
            client.acquire("t", "free", "busy").await.unwrap_err(),
            client.resource("a").await.unwrap_err(),
        ] {
            shown.push(format!("{error} {error:?}"));
        }
    }
    let encoded = BASE64_STANDARD.encode(format!("me:{CANARY}"));
    for text in &shown {
        assert!(!text.contains(CANARY) && !text.contains(&encoded), "{text}");
    }
    assert!(shown.len() > 20);
}
