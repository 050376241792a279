//! A daemon as a process of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{PATIENCE, eventually};

const PROXIES: [&str; 6] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// A daemon that was started from its binary. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// Runs `binary` to its end, which must come by itself: code, output, errors.
pub fn run(binary: &str, args: &[&str]) -> (i32, String, String) {
    let output = command(binary, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// `binary` with these arguments, no input, piped outputs, and no proxies from the environment.
#[must_use]
pub fn command(binary: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in PROXIES {
        command.env_remove(variable);
    }
    command
}

// === impl Daemon ===

impl Daemon {
    /// Starts `binary` with these arguments and on free ports of 127.0.0.1.
    #[must_use]
    pub fn start(binary: &str, args: &[&str]) -> Self {
        Self::start_with(binary, args, &[])
    }

    /// The same with these variables in its environment.
    #[must_use]
    pub fn start_with(binary: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let quiet = ["--listen-address=127.0.0.1", "--health-port=0", "--metrics-port=0"];
        let mut command = command(binary, &[&quiet[..], args].concat());
        let mut child = command.envs(variables.iter().copied()).stdout(Stdio::null()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, log) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&lines));
        let reader = std::thread::spawn(move || {
            for line in stderr.lines() {
                log.lock().push(line.unwrap());
            }
        });
        Self { child, lines, reader: Some(reader) }
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits until it has logged `text`.
    ///
    /// # Panics
    ///
    /// If it never does; with what it did log.
    pub async fn logged(&self, text: &str) {
        let has = || self.lines.lock().iter().any(|line| line.contains(text));
        let waited = tokio::time::timeout(PATIENCE, async {
            while !has() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("never logged: {text}, but {:#?}", self.log()));
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it in order: the exit code and all that it logged.
    pub fn stop(mut self) -> (Option<i32>, Vec<Value>) {
        self.signal(Signal::TERM);
        let code = self.child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        (code, self.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// What its ports answer to a GET of `path`: of the two that it listens on, the one that has it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        self.ports().into_iter().find_map(|port| {
            let mut stream = TcpStream::connect(port).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            answer.starts_with("HTTP/1.1 200").then(|| answer.split_once("\r\n\r\n").unwrap().1.to_owned())
        })
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) {
        eventually("ready", async || self.get("/healthz/ready").as_deref() == Some("OK")).await;
    }

    /// Whether it listens on these ports of 127.0.0.1, as a command line has them, and on no other.
    #[must_use]
    pub fn listens_on(&self, ports: &[&str]) -> bool {
        let mut listening: Vec<String> = self.ports().into_iter().map(|address| address.port().to_string()).collect();
        let mut told = ports.to_vec();
        listening.sort();
        told.sort_unstable();
        listening == told
    }

    /// The ports that it listens on: it was told to choose them itself.
    #[must_use]
    pub fn ports(&self) -> Vec<SocketAddr> {
        let folder = format!("/proc/{}/fd", self.id());
        let links = fs::read_dir(folder).into_iter().flatten().flatten().flat_map(|entry| fs::read_link(entry.path()));
        let sockets: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
        let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        // State 0A is LISTEN; field 9 is the inode.
        let own = rows.filter(|row| row[3] == "0A" && sockets.contains(&format!("socket:[{}]", row[9])));
        let port = |row: Vec<&str>| u16::from_str_radix(row[1].rsplit(':').next().unwrap(), 16).unwrap();
        own.map(|row| SocketAddr::from(([127, 0, 0, 1], port(row)))).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
