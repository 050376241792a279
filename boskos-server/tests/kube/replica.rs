//! A server process on the API server.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::client::{Client, Response};

const PATIENCE: Duration = Duration::from_secs(60);

/// One server process.
pub(crate) struct Replica {
    pub(crate) http: SocketAddr,
    pub(crate) health: SocketAddr,
    metrics: SocketAddr,
    child: Child,
    log: Arc<Log>,
    dir: TempDir,
}

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<Value>, bool)>,
    more: Condvar,
}

impl Replica {
    /// Starts a server with this config; it has its ports and has reached the API server when this
    /// returns.
    pub(crate) fn start(kubeconfig: &Path, namespace: &str, config: &str, more: &[&str]) -> Self {
        Self::spawn(kubeconfig, namespace, config, more).standing_by()
    }

    /// Waits until it has its ports and has reached the API server.
    pub(crate) fn standing_by(self) -> Self {
        let mut replica = self;
        let line = replica.logged("standing by");
        let address = |key: &str| line[key].as_str().unwrap().parse().unwrap();
        (replica.http, replica.health, replica.metrics) = (address("http"), address("health"), address("metrics"));
        replica
    }

    /// Starts one that may not get as far.
    pub(crate) fn spawn(kubeconfig: &Path, namespace: &str, config: &str, more: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
        Self::spawn_in(dir, namespace, &[&[kubeconfig.as_str()], more].concat(), &[])
    }

    /// Starts one with that folder, where its config is, and environment.
    pub(crate) fn spawn_in(dir: TempDir, namespace: &str, args: &[&str], env: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_boskos-server"))
            .args(["--listen-address=127.0.0.1", "--port=0", "--health-port=0", "--metrics-port=0"])
            .arg(format!("--namespace={namespace}"))
            .args(args)
            .envs(env.iter().map(|(key, value)| (key, value)))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let line = serde_json::from_str(&line.unwrap()).unwrap();
                reader.lines.lock().0.push(line);
                reader.more.notify_all();
            }
            reader.lines.lock().1 = true;
            reader.more.notify_all();
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { http: nowhere, health: nowhere, metrics: nowhere, child, log, dir }
    }

    /// The same, once it serves.
    pub(crate) fn serving(kubeconfig: &Path, namespace: &str, config: &str, more: &[&str]) -> Self {
        let replica = Self::start(kubeconfig, namespace, config, more);
        replica.logged("serving");
        replica
    }

    /// Waits until it logs `msg`; that line.
    #[track_caller]
    pub(crate) fn logged(&self, msg: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock();
        loop {
            if let Some(line) = lines.0.iter().find(|line| line["msg"] == msg) {
                return line.clone();
            }
            let late = lines.1 || self.log.more.wait_until(&mut lines, until).timed_out();
            assert!(!late, "{msg:?} was not logged: {:#?}", lines.0);
        }
    }

    /// All that it logged so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lines.lock().0.clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it in order: its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code().unwrap()
    }

    /// Waits for its end by itself: its exit code, once all is logged.
    pub(crate) fn ended(&mut self) -> i32 {
        let code = self.child.wait().unwrap().code().unwrap();
        let mut lines = self.log.lines.lock();
        while !lines.1 {
            self.log.more.wait(&mut lines);
        }
        code
    }

    pub(crate) fn call(&self, method: &str, target: &str) -> Response {
        Client::connect(self.http).request(method, target)
    }

    pub(crate) fn post(&self, target: &str) -> Response {
        self.call("POST", target)
    }

    /// How many objects it holds while it stands by.
    pub(crate) fn standby_objects(&self) -> u64 {
        standby_objects(self.metrics)
    }

    /// Has it read another config.
    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.dir.path().join("config.yaml"), config).unwrap();
        self.signal(Signal::HUP);
    }

    /// A resource as the API shows it.
    pub(crate) fn resource(&self, name: &str) -> Option<Value> {
        let answer = self.call("GET", &format!("/api/v1/resources/{name}"));
        (answer.status == 200).then(|| answer.json())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How many objects the server with these metrics holds while it stands by.
pub(crate) fn standby_objects(metrics: SocketAddr) -> u64 {
    let text = Client::connect(metrics).request("GET", "/metrics").text().to_owned();
    let value = text.lines().find_map(|line| line.strip_prefix("boskos_standby_objects "));
    value.expect("every replica has it").parse().unwrap()
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
