//! The server as a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A server that was started from its binary.
pub(crate) struct Process {
    pub(crate) http: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) metrics: SocketAddr,
    /// What it logged until it served.
    pub(crate) start_log: Vec<Value>,
    child: Child,
    stderr: BufReader<ChildStderr>,
}

/// The binary with these arguments, in a folder where `config.yaml` is.
pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boskos-server"));
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Free ports of 127.0.0.1 and a store in memory.
pub(crate) const QUIET: [&str; 5] =
    ["--listen-address=127.0.0.1", "--port=0", "--health-port=0", "--metrics-port=0", "--in_memory"];

/// A folder with `config` as `config.yaml`.
pub(crate) fn folder(config: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("config.yaml"), config).unwrap();
    dir
}

/// Runs it to its end, which must come by itself: code, output, errors.
pub(crate) fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(dir, args).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

impl Process {
    /// Starts it and waits until it says that it serves, at a log level of info or below.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut started =
            Self { http: nowhere, health: nowhere, metrics: nowhere, start_log: Vec::new(), child, stderr };
        loop {
            let mut line = String::new();
            let read = started.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "{command:?} ended: {:?}", started.start_log);
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            started.start_log.push(line.clone());
            if line["msg"] == "serving" {
                let address = |key: &str| line[key].as_str().unwrap().parse().unwrap();
                (started.http, started.health, started.metrics) =
                    (address("http"), address("health"), address("metrics"));
                return started;
            }
        }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: the code and what it logged since it served.
    pub(crate) fn wait(mut self) -> (i32, Vec<Value>) {
        let log = self.rest_of_log();
        (self.child.wait().unwrap().code().unwrap(), log)
    }

    /// What it logs until it ends.
    pub(crate) fn rest_of_log(&mut self) -> Vec<Value> {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The next line that it logs.
    pub(crate) fn next_log(&mut self) -> Value {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
