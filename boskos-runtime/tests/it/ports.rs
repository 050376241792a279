//! The health and metrics ports, and listening, over real sockets.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::mpsc,
};

use boskos_runtime::{
    health::{self, Readiness},
    listen::{ListenAddress, ListenError, bind},
    metrics,
    signal::{Cause, Shutdown},
    version,
};
use prometheus::{
    IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const LOCAL: ListenAddress = ListenAddress::One(IpAddr::V4(Ipv4Addr::LOCALHOST));

fn local() -> (TcpListener, SocketAddr) {
    let listener = bind(LOCAL, 0, "port").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn wait(stop: Shutdown) {
    stop.triggered().await;
}

fn health() -> (SocketAddr, Readiness, Shutdown, JoinHandle<()>) {
    let (listener, address) = local();
    let (readiness, stop) = (Readiness::not_ready("reading\nthe config"), Shutdown::new());
    let task = tokio::spawn(health::serve(listener, readiness.clone(), wait(stop.clone())));
    (address, readiness, stop, task)
}

/// Head and body of the answer.
async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

async fn status_and_body(address: SocketAddr, request: &str) -> (u16, String) {
    let (head, body) = ask(address, request).await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

#[tokio::test]
async fn health_tells_alive_from_ready() {
    let (address, readiness, ..) = health();
    assert_eq!(status_and_body(address, "GET /healthz").await, (200, "OK".into()));
    let told = status_and_body(address, "GET /healthz/ready").await;
    assert_eq!(told, (503, "not ready: reading\\nthe config".into()));
    assert!(readiness.set_ready() && !readiness.set_ready());
    readiness.ready().await;
    assert_eq!(status_and_body(address, "GET /healthz/ready?verbose=1").await, (200, "OK".into()));
    assert!(readiness.set_not_ready("stopping") && !readiness.is_ready());
    assert_eq!(status_and_body(address, "GET /healthz/ready").await, (503, "not ready: stopping".into()));
    assert_eq!(status_and_body(address, "GET /healthz").await, (200, "OK".into()), "alive while it stops");
}

#[tokio::test]
async fn health_knows_no_other_paths_and_no_other_methods() {
    let (address, ..) = health();
    for path in ["/", "/healthz/", "/healthz/live", "/metrics", "/readyz"] {
        assert_eq!(status_and_body(address, &format!("GET {path}")).await.0, 404, "{path}");
    }
    let (head, body) = ask(address, "HEAD /healthz").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 2") && body.is_empty(), "{head}");
    let (head, _) = ask(address, "POST /healthz").await;
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
}

#[tokio::test]
async fn stop_closes_the_port_and_the_connections() {
    let (address, _, stop, task) = health();
    assert_eq!(status_and_body(address, "GET /healthz").await.0, 200);
    let mut idle = TcpStream::connect(address).await.unwrap();
    stop.trigger(Cause::Requested);
    task.await.unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "closed");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn metrics_are_told_with_build_and_process() {
    let registry = metrics::registry().unwrap();
    let (listener, address) = local();
    tokio::spawn(metrics::serve(listener, registry.clone(), std::future::pending()));
    let ours = IntGauge::new("ours", "Ours.").unwrap();
    ours.set(7);
    registry.register(Box::new(ours)).unwrap();
    let (head, body) = ask(address, "GET /metrics").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    let build = format!("boskos_build_info{{commit=\"{}\",version=\"{}\"}} 1\n", version::COMMIT, version::VERSION);
    assert!(body.contains("\nours 7\n") && body.contains(&build), "{body}");
    for name in [
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_cpu_seconds_total",
        "boskos_log_lines_dropped_total",
    ] {
        assert!(body.contains(&format!("\n{name} ")), "{name} in {body}");
    }
    for path in ["/", "/metrics/", "/healthz"] {
        assert_eq!(status_and_body(address, &format!("GET {path}")).await.0, 404, "{path}");
    }
}

/// A collector that tells when it is entered and returns when let.
struct Slow(IntGauge, mpsc::Sender<()>, std::sync::Mutex<mpsc::Receiver<()>>);

impl Collector for Slow {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }
    fn collect(&self) -> Vec<MetricFamily> {
        self.1.send(()).unwrap();
        self.2.lock().unwrap().recv().unwrap();
        self.0.collect()
    }
}

#[tokio::test]
async fn slow_collector_holds_up_neither_the_runtime_nor_other_paths() {
    let registry = metrics::registry().unwrap();
    let ((entered, has_entered), (let_go, held)) = (mpsc::channel(), mpsc::channel());
    registry.register(Box::new(Slow(IntGauge::new("slow", "Slow.").unwrap(), entered, held.into()))).unwrap();
    let (listener, address) = local();
    tokio::spawn(metrics::serve(listener, registry, std::future::pending()));
    let scrapes: Vec<_> =
        (0..2).map(|_| tokio::spawn(async move { status_and_body(address, "GET /metrics").await })).collect();
    let has_entered = tokio::task::spawn_blocking(move || {
        has_entered.recv().unwrap();
        has_entered
    });
    let has_entered = has_entered.await.unwrap();
    // This runtime has one thread, which the collector would hold.
    assert_eq!(status_and_body(address, "GET /").await.0, 404);
    assert!(has_entered.try_recv().is_err(), "one scrape at a time");
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    for scrape in scrapes {
        let (status, body) = scrape.await.unwrap();
        assert!(status == 200 && body.contains("\nslow 0\n"), "{body}");
    }
}

#[tokio::test]
async fn port_in_use_is_named_with_the_way_out() {
    let (_listener, address) = local();
    let error = bind(LOCAL, address.port(), "health-port").unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error:?}");
    let port = address.port();
    assert_eq!(
        error.to_string(),
        format!("port {port} is in use: cannot listen on 127.0.0.1:{port}; choose another with --health-port")
    );
    let all = bind(ListenAddress::All, port, "port").unwrap_err();
    assert!(matches!(all, ListenError::InUse { .. }), "{all:?}");
}

#[tokio::test]
async fn address_of_another_host_is_named_with_the_way_out() {
    let elsewhere = ListenAddress::One("192.0.2.1".parse().unwrap());
    let error = bind(elsewhere, 0, "port").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot listen on 192.0.2.1:0: not an address of this host; choose another with --listen-address"
    );
}

#[tokio::test]
async fn all_addresses_take_ipv4_and_where_there_is_one_ipv6() {
    let listener = bind(ListenAddress::All, 0, "port").unwrap();
    let address = listener.local_addr().unwrap();
    let port = address.port();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let host_has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(TcpStream::connect(("::1", port)).await.is_ok(), host_has_ipv6);
    let narrow = bind(LOCAL, 0, "port").unwrap().local_addr().unwrap();
    assert!(TcpStream::connect(("::1", narrow.port())).await.is_err());
}
