//! Kubernetes storage, beside the conditional updates that the API server takes when nothing else is done.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use boskos_kube::{Collection, Definition, Follow, Meta, News, Object};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;

use crate::{
    api_server::{ApiServer, runtime},
    http::Client,
    numbers::{grouped, median},
    parts::Bench,
    report::{Goal, Table},
    server::{Keep, Server},
};

const CONNECTIONS: [usize; 2] = [16, 64];

/// Resources under load, more than there are connections.
const FEW: usize = 500;

/// Resources of a large fleet.
const MANY: usize = 10_000;

const SHARE: Goal = Goal::AtLeast(0.8, 0.8);
const START: Goal = Goal::AtMost(5.0, " s");

/// One of our objects, as far as an update needs it.
#[derive(Clone, Deserialize)]
struct Bare {
    metadata: Meta,
}

impl Object for Bare {
    const DEFINITION: Definition =
        Definition { group: "boskos.k8s.io", version: "v1", plural: "resources", kind: "ResourceObject" };

    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// The empty table.
pub(crate) fn table() -> Table {
    const COLUMNS: &[&str] = &["load", "writes/s", "bare updates/s", "share of bare", "goal", "CPU/write"];
    Table::new("Acquire and release on Kubernetes, beside bare conditional updates of the same API server:", COLUMNS)
}

/// Measures both in turn, on one API server.
pub(crate) fn beside_bare_updates(bench: &mut Bench) -> anyhow::Result<()> {
    let api = ApiServer::start();
    let length = Duration::from_secs(bench.settings.seconds.max(2));
    let (ours, bare) = (api.namespace("ours"), api.namespace("bare"));
    let config = bench.folder.join("kube.yaml");
    fs::write(&config, config_of(FEW))?;
    let objects = Collection::<Bare>::new(api.client(), &bare);
    make(&objects, FEW);
    let server = Server::boskos(&config, &Keep::Kubernetes(api.kubeconfig().to_owned(), ours))?;
    for connections in CONNECTIONS {
        let (mut of_ours, mut of_bare, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.settings.rounds {
            of_bare.push(bare_rate(&objects, connections, length));
            let (before, begin) = (server.cpu()?, Instant::now());
            let rate = our_rate(&server, connections, length)?;
            cpu.push((server.cpu()? - before).as_secs_f64() / (rate * begin.elapsed().as_secs_f64()));
            of_ours.push(rate);
        }
        let (of_ours, of_bare) = (median(of_ours), median(of_bare));
        let share = of_ours / of_bare;
        bench.kube.row([
            format!("{connections} connections"),
            grouped(of_ours),
            grouped(of_bare),
            format!("{share:.2}"),
            SHARE.verdict(share),
            format!("{:.0} µs", median(cpu) * 1e6),
        ]);
    }
    server.stop()?;
    start_with_many(bench, &api, &config)
}

fn start_with_many(bench: &mut Bench, api: &ApiServer, config: &Path) -> anyhow::Result<()> {
    let many = api.namespace("many");
    make(&Collection::<Bare>::new(api.client(), &many), MANY);
    fs::write(config, config_of(MANY))?;
    let server = Server::boskos(config, &Keep::Kubernetes(api.kubeconfig().to_owned(), many))?;
    let seconds = server.started_in.as_secs_f64();
    bench.rest.row([
        format!("start on {} objects", grouped(MANY as f64)),
        format!("{seconds:.2} s"),
        START.verdict(seconds),
    ]);
    server.stop()
}

fn config_of(count: usize) -> String {
    let mut config = String::from("resources:\n- type: gce-project\n  state: free\n  names:\n");
    for number in 0..count {
        writeln!(config, "  - r{number}").expect("a String takes all");
    }
    config
}

fn make(objects: &Collection<Bare>, count: usize) {
    runtime().block_on(async {
        stream::iter(0..count)
            .for_each_concurrent(64, |number| async move {
                let status = json!({"state": "free", "owner": "", "lastUpdate": "2026-01-01T00:00:00Z"});
                let body = json!({"spec": {"type": "gce-project"}, "status": status});
                objects.create(&format!("r{number}"), body).await.map(drop).expect("the API server runs");
            })
            .await;
    });
}

/// Updates per second with so many in flight and one watch open.
fn bare_rate(objects: &Collection<Bare>, in_flight: usize, length: Duration) -> f64 {
    runtime().block_on(async {
        let listing = objects.list().await.expect("the API server runs");
        let mut follow = Follow::new(objects.clone(), Some(listing.version));
        let watch = tokio::spawn(async move {
            let mut heard = 0_u64;
            while !matches!(follow.next().await, News::Trouble(_)) {
                heard += 1;
            }
            heard
        });
        let done = Arc::new(AtomicU64::new(0));
        let begin = Instant::now();
        let each = listing.items.len() / in_flight;
        let workers = listing.items.chunks(each).take(in_flight).map(|mine| {
            let (objects, done, mine) = (objects.clone(), done.clone(), mine.to_vec());
            tokio::spawn(async move { update(&objects, mine, begin + length, &done).await })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.expect("it does not panic");
        }
        let took = begin.elapsed();
        watch.abort();
        done.load(Ordering::Relaxed) as f64 / took.as_secs_f64()
    })
}

async fn update(objects: &Collection<Bare>, mut mine: Vec<Bare>, until: Instant, done: &AtomicU64) {
    let mut round = 0_u64;
    loop {
        for object in &mut mine {
            if Instant::now() > until {
                return;
            }
            let owner = if round.is_multiple_of(2) { "me" } else { "" };
            let status = json!({"state": format!("s{round}"), "owner": owner, "lastUpdate": "2026-01-01T00:00:01Z"});
            let meta = &object.metadata;
            let patched = objects.patch(&meta.name, meta.resource_version, json!({"status": status})).await;
            *object = patched.expect("nobody else changes it");
            done.fetch_add(1, Ordering::Relaxed);
        }
        round += 1;
    }
}

/// Acquires and releases per second: each is one write.
fn our_rate(server: &Server, connections: usize, length: Duration) -> anyhow::Result<f64> {
    let stop = &AtomicBool::new(false);
    let http = server.http;
    let begin = Instant::now();
    let counts = thread::scope(|scope| {
        let callers: Vec<_> = (0..connections).map(|number| scope.spawn(move || call(http, number, stop))).collect();
        thread::sleep(length);
        stop.store(true, Ordering::Relaxed);
        callers
            .into_iter()
            .map(|caller| caller.join().expect("it does not panic"))
            .collect::<anyhow::Result<Vec<u64>>>()
    })?;
    Ok(counts.iter().sum::<u64>() as f64 / begin.elapsed().as_secs_f64())
}

fn call(http: SocketAddr, number: usize, stop: &AtomicBool) -> anyhow::Result<u64> {
    let mut client = Client::connect(http)?;
    let acquire = format!("/acquire?type=gce-project&state=free&dest=busy&owner=o{number}");
    let mut writes = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = client.must_post(&acquire)?;
        let granted: serde_json::Value = serde_json::from_slice(&body)?;
        let name = granted["name"].as_str().unwrap_or_default();
        ensure!(!name.is_empty(), "a grant without a name");
        client.must_post(&format!("/release?name={name}&dest=free&owner=o{number}"))?;
        writes += 2;
    }
    Ok(writes)
}
