//! Three servers on one namespace, of which one leads.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use boskos_kube::{Lease, Timing};
use parking_lot::Mutex;
use rustix::process::Signal;

use crate::{
    api_server::{runtime, shared},
    diary::{Diary, Held, Note, Typed},
    harness::client::Client,
    in_process::Server,
    replica::{Replica, eventually},
    rights::make_pod,
    wire::{Fate, Wire},
};

pub(crate) const CONFIG: &str = "resources:\n- {type: t, state: free, names: [a, b, c, d, e, f, g, h, i, j, k, l]}\n- {type: one, state: free, min-count: 0, max-count: 1}\n";

const PODS: [&str; 3] = ["boskos-0", "boskos-1", "boskos-2"];

/// Calls all servers in turn, as clients behind a Service that is late would.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    /// Who was told that it holds what.
    held: BTreeMap<String, String>,
    grants: u64,
    last_grant: Option<Instant>,
}

impl Load {
    pub(crate) fn start(servers: &[SocketAddr]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let books = Arc::new(Mutex::new(Books::default()));
        let callers = (0..3)
            .map(|number| {
                let (servers, stop, books) = (servers.to_vec(), stop.clone(), books.clone());
                std::thread::spawn(move || call(&format!("caller-{number}"), &servers, &stop, &books))
            })
            .collect();
        Self { stop, callers, books }
    }

    /// How long it takes until something is granted again.
    pub(crate) fn next_grant_after(&self, moment: Instant) -> Duration {
        eventually("something is granted again", || self.books.lock().last_grant.filter(|at| *at > moment)) - moment
    }

    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.into_iter().for_each(|caller| caller.join().unwrap());
        self.books.lock().grants
    }
}

fn call(owner: &str, servers: &[SocketAddr], stop: &AtomicBool, books: &Mutex<Books>) {
    let mut turn = 0;
    let mut ask = |target: &str| -> Option<(u16, Vec<u8>)> {
        // The server that answered last is asked first.
        for _ in 0..servers.len() {
            let answer = quick_call(servers[turn % servers.len()], target);
            match answer {
                Some((200 | 404 | 401 | 409, _)) => return answer,
                _ => turn += 1,
            }
        }
        None
    };
    while !stop.load(Ordering::Relaxed) {
        let Some((200, body)) = ask(&format!("/acquire?type=t&state=free&dest=busy&owner={owner}")) else {
            sleep(Duration::from_millis(20));
            continue;
        };
        let granted: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let name = granted["name"].as_str().unwrap().to_owned();
        {
            let mut books = books.lock();
            let other = books.held.insert(name.clone(), owner.to_owned());
            assert_eq!(other, None, "{name} is doubly owned: {owner} got it too");
            books.grants += 1;
            books.last_grant = Some(Instant::now());
        }
        // One may be made, whoever leads.
        let id = format!("/acquire?type=one&state=free&dest=busy&owner={owner}&request_id={owner}");
        if let Some((200, body)) = ask(&id) {
            let made: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let name = made["name"].as_str().unwrap();
            while !stop.load(Ordering::Relaxed) {
                if ask(&format!("/release?name={name}&dest=free&owner={owner}")).is_some() {
                    break;
                }
                sleep(Duration::from_millis(20));
            }
        }
        sleep(Duration::from_millis(10));
        // From here on others may get it: an answer that is lost was perhaps a release.
        books.lock().held.remove(&name);
        while !stop.load(Ordering::Relaxed) {
            match ask(&format!("/release?name={name}&dest=free&owner={owner}")) {
                Some((200 | 404 | 401, _)) => break,
                Some((status, body)) => panic!("release: {status} {}", String::from_utf8_lossy(&body)),
                None => sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// One call on a connection of its own that gives up soon: a stopped server never answers.
pub(crate) fn quick_call(server: SocketAddr, target: &str) -> Option<(u16, Vec<u8>)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect_timeout(&server, Duration::from_millis(200)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(1_000))).unwrap();
    write!(stream, "POST {target} HTTP/1.1\r\nHost: boskos\r\nConnection: close\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let status = text.get(9..12)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n")?.1.as_bytes().to_vec();
    Some((status, body))
}

/// The one replica that serves now.
fn leader(replicas: &[Replica]) -> Option<usize> {
    let serving = |replica: &Replica| matches!(quick_call(replica.http, "/metric-of-nothing"), Some((200, _)));
    let leaders: Vec<usize> = (0..replicas.len()).filter(|index| serving(&replicas[*index])).collect();
    assert!(leaders.len() <= 1, "{leaders:?} lead at the same time");
    leaders.first().copied()
}

fn start(namespace: &str, pod: &str) -> Replica {
    let pod = format!("--pod-name={pod}");
    let args = ["--enable-leader-election", &pod, "--boskos-label-selector=app=boskos"];
    Replica::start(shared().kubeconfig(), namespace, CONFIG, &args)
}

fn labelled(namespace: &str) -> Vec<String> {
    let pods = shared().objects(namespace, "pods");
    let led = pods.iter().filter(|pod| pod["metadata"]["labels"]["boskos-leader"] == "true");
    led.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn leadership_passes_on_when_the_leader_is_killed_stopped_and_paused() {
    let api = shared();
    let namespace = api.namespace("leaders");
    PODS.iter().for_each(|pod| make_pod(api, &namespace, pod, ""));
    let diary: Diary<Typed> = Diary::begin(api, &namespace);
    let mut replicas: Vec<Replica> = PODS.iter().map(|pod| start(&namespace, pod)).collect();
    for replica in &replicas {
        let ready = Client::connect(replica.health).request("GET", "/healthz/ready");
        assert_eq!((ready.status, ready.text()), (200, "OK"), "standbys are ready");
    }
    let first = eventually("one leads", || leader(&replicas));
    let standby = replicas[(first + 1) % 3].post("/acquire?type=t&state=free&dest=busy&owner=me");
    assert_eq!((standby.status, standby.header("retry-after")), (503, Some("3")));
    eventually("the leader's pod has the label", || (labelled(&namespace) == [PODS[first]]).then_some(()));

    // Killed: the Lease runs out.
    let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.http).collect();
    let load = Load::start(&addresses);
    load.next_grant_after(Instant::now());
    replicas[first].signal(Signal::KILL);
    let took = load.next_grant_after(Instant::now());
    println!("taken over {took:?} after a kill");
    assert!(took < Duration::from_secs(20), "{took:?}");
    replicas[first] = start(&namespace, PODS[first]);
    load.stop();
    let second = eventually("another leads", || leader(&replicas));
    assert_ne!(second, first);
    eventually("the label has moved", || (labelled(&namespace) == [PODS[second]]).then_some(()));

    // Stopped in order: the Lease is given up.
    let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.http).collect();
    let load = Load::start(&addresses);
    load.next_grant_after(Instant::now());
    let (stopped, mut pods) = (replicas.remove(second), PODS.to_vec());
    pods.remove(second);
    let moment = Instant::now();
    assert_eq!(stopped.stop(), 0);
    // What it granted while it drained does not count.
    let ended = Instant::now();
    let took = load.next_grant_after(ended) + (ended - moment);
    println!("taken over {took:?} after an orderly stop");
    assert!(took < Duration::from_secs(10), "{took:?}: the lease was not given up");
    load.stop();
    let third = eventually("another leads", || leader(&replicas));

    // Paused: it finds the Lease lost, whatever it was about to do.
    let addresses: Vec<SocketAddr> = replicas.iter().map(|replica| replica.http).collect();
    let load = Load::start(&addresses);
    load.next_grant_after(Instant::now());
    replicas[third].signal(Signal::STOP);
    let moment = Instant::now();
    let took = load.next_grant_after(moment + Duration::from_secs(3));
    println!("taken over {:?} after a pause began", took + Duration::from_secs(3));
    sleep(Duration::from_secs(20).saturating_sub(moment.elapsed()));
    replicas[third].signal(Signal::CONT);
    for _ in 0..50 {
        let answer = replicas[third].post("/acquire?type=t&state=free&dest=busy&owner=late");
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    let leads = eventually("the other leads", || leader(&replicas));
    assert_ne!(leads, third);
    // Nor does it take the label off the one that leads now.
    for _ in 0..15 {
        assert_eq!(labelled(&namespace), [pods[leads]]);
        sleep(Duration::from_millis(200));
    }
    assert!(load.stop() > 0);

    // Whoever lost the Lease may win it again.
    let killed = replicas.remove(leads);
    drop(killed);
    let moment = Instant::now();
    eventually("the one that was paused leads again", || leader(&replicas));
    assert!(moment.elapsed() < Duration::from_secs(25), "{:?}", moment.elapsed());

    // Several ask for the one that may be made: there is never a second.
    quick_call(replicas[0].http, "/reset?type=one&state=busy&expire=0s&dest=free").unwrap();
    let answers: Vec<u16> = (0..6)
        .map(|number| {
            let target = format!("/acquire?type=one&state=free&dest=busy&owner=o{number}&request_id=o{number}");
            replicas[number % replicas.len()].post(&target).status
        })
        .collect();
    let made = api.objects(&namespace, "bres").iter().filter(|object| object["spec"]["type"] == "one").count();
    assert_eq!((made, answers.iter().filter(|status| **status == 200).count()), (1, 1), "{answers:?}");
    assert_eq!(diary.count("one"), (1, 1), "one at most at any time, whoever led");
}

/// Whether the API server told that `holder` gave the Lease up, and of the next holder.
fn handed_over(notes: &[Note<Held>], holder: &str) -> Option<()> {
    let held = notes.iter().rposition(|note| note.form.spec.holder_identity.starts_with(holder))?;
    let [given_up, taken, ..] = &notes[held + 1..] else { return None };
    let (before, after) = (&given_up.form.spec, &taken.form.spec);
    assert_eq!(before.holder_identity, "", "it was given up: {notes:#?}");
    assert!(!after.holder_identity.is_empty(), "and taken next: {notes:#?}");
    assert_eq!(after.lease_transitions, before.lease_transitions + 1);
    Some(())
}

#[test]
fn a_leader_that_stops_in_order_gives_the_lease_up_and_another_takes_it_at_once() {
    let api = shared();
    let namespace = api.namespace("orderly");
    let leads = start(&namespace, "pod-0");
    leads.logged("serving");
    let diary: Diary<Held> = Diary::begin(api, &namespace);
    let wire = Arc::new(Wire::default());
    let next = Server::begin(&namespace, CONFIG, Some("pod-1"), wire.clone());
    // Its looks wait until the Lease is given up, so that they can be counted from then on.
    let of_lease = format!("GET /apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    wire.rule(&of_lease, 0, Fate::Held);
    eventually("the next one looks", || (wire.held() > 0).then_some(()));
    assert_eq!(leads.stop(), 0);
    wire.forget_reads();
    wire.clear_rules();
    wire.rule(&of_lease.replace("GET", "PUT"), 0, Fate::Held);
    wire.release();
    eventually("it is taken", || (wire.held() > 0).then_some(()));
    // Left alone, it stands for 15 s, which are 15 looks. Taking it reads it once more.
    let looks = wire.reads().iter().filter(|read| read.contains("/leases/")).count();
    assert!(looks <= 2, "it is not taken at the first look: {:#?}", wire.reads());
    assert_eq!(Timing::default().look_every, Duration::from_secs(1));
    wire.clear_rules();
    wire.release();
    next.serves();
    eventually("given up, and taken next", || handed_over(&diary.notes(), "pod-0_"));
}

/// A server of the older fleet that holds the Lease, as client-go writes it, and renews it until it gives it up.
struct Older {
    namespace: String,
    renews: JoinHandle<()>,
    ends: mpsc::Sender<()>,
}

impl Older {
    fn holds(namespace: &str) -> Self {
        let lease = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"boskos-server"},
            "spec":{"holderIdentity":"older_1","leaseDurationSeconds":15,"leaseTransitions":3,
            "acquireTime":"2026-11-23T09:31:33.000000Z","renewTime":"2026-11-23T09:31:33.000000Z"}}"#;
        shared().kubectl_with(&["-n", namespace, "create", "-f", "-"], Some(lease));
        let lease = Lease::new(shared().client(), namespace, "boskos-server");
        let (ends, ended) = mpsc::channel();
        let renews = std::thread::spawn(move || {
            let mut renewals = 0;
            while ended.recv_timeout(Duration::from_secs(2)) == Err(RecvTimeoutError::Timeout) {
                renewals += 1;
                let renewed = lease.change(|lease| {
                    assert_eq!(lease["spec"]["holderIdentity"], "older_1", "nobody touches the lease of another");
                    lease["spec"]["renewTime"] = format!("2026-11-23T09:31:34.{renewals:06}Z").into();
                    true
                });
                runtime().block_on(renewed).unwrap();
            }
        });
        Self { namespace: namespace.to_owned(), renews, ends }
    }

    /// It stops in order.
    fn gives_up(self) {
        self.ends.send(()).unwrap();
        self.renews.join().unwrap();
        let given_up = r#"{"spec":{"holderIdentity":"","leaseDurationSeconds":1}}"#;
        let patch = ["patch", "lease", "boskos-server", "--type=merge", "-p", given_up];
        shared().kubectl(&[&["-n", &self.namespace], patch.as_slice()].concat());
    }
}

#[test]
fn three_new_servers_get_ready_while_an_older_one_holds_the_lease_and_one_of_them_follows_it() {
    let api = shared();
    let namespace = api.namespace("rolling");
    PODS.iter().for_each(|pod| make_pod(api, &namespace, pod, ""));
    let older = Older::holds(&namespace);
    let diary: Diary<Held> = Diary::begin(api, &namespace);
    let replicas: Vec<Replica> = PODS.iter().map(|pod| start(&namespace, pod)).collect();
    for replica in &replicas {
        let ready = Client::connect(replica.health).request("GET", "/healthz/ready");
        assert_eq!((ready.status, ready.text()), (200, "OK"));
        replica.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(503);
    }
    let touched = diary.notes().iter().any(|note| note.form.spec.holder_identity != "older_1");
    assert!(!touched, "nobody touches the lease of another: {:#?}", diary.notes());
    older.gives_up();
    let leads = eventually("one leads", || leader(&replicas));
    replicas[leads].post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    eventually("its pod alone has the label", || (labelled(&namespace) == [PODS[leads]]).then_some(()));
    eventually("given up, and taken once", || handed_over(&diary.notes(), "older_"));
    for other in replicas.iter().enumerate().filter(|(index, _)| *index != leads).map(|(_, other)| other) {
        let ready = Client::connect(other.health).request("GET", "/healthz/ready");
        assert_eq!(ready.status, 200, "still");
        other.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(503);
    }
}

#[test]
fn a_new_server_gets_ready_while_an_older_one_holds_the_lease() {
    let api = shared();
    let namespace = api.namespace("alone");
    let older = Older::holds(&namespace);
    let diary: Diary<Held> = Diary::begin(api, &namespace);
    let server = Replica::start(api.kubeconfig(), &namespace, CONFIG, &["--enable-leader-election"]);
    let ready = Client::connect(server.health).request("GET", "/healthz/ready");
    assert_eq!(ready.status, 200);
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(503);
    older.gives_up();
    server.logged("serving");
    eventually("given up, and taken next", || handed_over(&diary.notes(), "older_"));
    let lease = api.object(&namespace, "lease", "boskos-server");
    assert_eq!(lease["spec"]["leaseTransitions"], 4, "{lease}");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(lease["spec"]["renewTime"].as_str().unwrap().len(), "2026-11-23T09:31:33.000000Z".len());
    server.post("/acquire?type=t&state=free&dest=busy&owner=me").expect_status(200);
    assert_eq!(server.stop(), 0);
}
