//! Servers under load, each a process of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{http::Client, machine};

const BOSKOS: &str = env!("CARGO_BIN_EXE_boskos-server");

/// Longer than a start, a stop or a re-read may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(180);

/// Longer than any run: waiters are to wait for as long as they are looked at.
const MAX_WAIT: &str = "2h";

/// Where a server keeps its resources.
#[derive(Clone, Debug)]
pub(crate) enum Keep {
    InMemory,
    Durable(PathBuf),
    /// In a namespace of the API server of this kubeconfig.
    Kubernetes(PathBuf, String),
}

/// A server that runs. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// What it says on standard error, as it comes.
    lines: Receiver<String>,
    pub(crate) http: SocketAddr,
    /// Where it is scraped; the yardstick is not.
    pub(crate) metrics: Option<SocketAddr>,
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts the yardstick: hyper alone.
    pub(crate) fn bare() -> anyhow::Result<Self> {
        let path = Path::new(BOSKOS).with_file_name("examples").join("bare");
        ensure!(
            path.exists(),
            "{} is missing: build it with cargo build --release -p boskos-server --example bare, or run make bench",
            path.display()
        );
        let (child, lines, begin) = spawn(Command::new(&path).args(["--port", "0"]))?;
        let mut server = Self::new(child, lines);
        let line = server.next_line(begin + PATIENCE)?;
        let address = line.rsplit(' ').next().and_then(|address| address.parse().ok());
        server.http = address.with_context(|| format!("the yardstick said {line:?}"))?;
        server.started_in = begin.elapsed();
        Ok(server)
    }

    /// Starts boskos on a config.
    pub(crate) fn boskos(config: &Path, keep: &Keep) -> anyhow::Result<Self> {
        let mut command = Command::new(BOSKOS);
        command.args(["--listen-address=127.0.0.1", "--port=0", "--health-port=0", "--metrics-port=0"]);
        command.args(["--max-wait", MAX_WAIT]).arg("--config").arg(config);
        match keep {
            Keep::InMemory => command.arg("--in_memory"),
            Keep::Durable(folder) => command.arg("--data-dir").arg(folder),
            Keep::Kubernetes(kubeconfig, namespace) => {
                command.arg("--kubeconfig").arg(kubeconfig).arg("--namespace").arg(namespace)
            }
        };
        let (child, lines, begin) = spawn(&mut command)?;
        let mut server = Self::new(child, lines);
        let said = server.wait_for("serving", begin + PATIENCE)?;
        let address = |name: &str| -> anyhow::Result<SocketAddr> {
            let text = said[name].as_str().with_context(|| format!("no address of {name} in {said}"))?;
            Ok(text.parse()?)
        };
        server.http = address("http")?;
        server.metrics = Some(address("metrics")?);
        let health = address("health")?;
        while Client::connect(health)?.get("/healthz/ready")?.status != 200 {
            ensure!(begin.elapsed() < PATIENCE, "the server does not get ready");
            thread::sleep(Duration::from_millis(1));
        }
        server.client()?.get("/metric?type=gce-project")?;
        server.started_in = begin.elapsed();
        Ok(server)
    }

    fn new(child: Child, lines: Receiver<String>) -> Self {
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, lines, http, metrics: None, started_in: Duration::ZERO }
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.http)
    }

    /// The processor time that it took so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        machine::cpu(self.child.id(), 2)
    }

    /// Bytes resident now.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// Waits for a line of the log and gives its fields.
    pub(crate) fn wait_for(&mut self, message: &str, deadline: Instant) -> anyhow::Result<Value> {
        loop {
            let line = self.next_line(deadline).with_context(|| format!("waiting for {message:?} in the log"))?;
            let Ok(said) = serde_json::from_str::<Value>(&line) else { bail!("the server said {line}") };
            match said["level"].as_str() {
                _ if said["msg"] == message => return Ok(said),
                Some("fatal" | "error") => bail!("the server said {line}"),
                _ => {}
            }
        }
    }

    /// Waits for a line of the log for as long as anything may take.
    pub(crate) fn wait_long_for(&mut self, message: &str) -> anyhow::Result<Value> {
        self.wait_for(message, Instant::now() + PATIENCE)
    }

    fn next_line(&mut self, deadline: Instant) -> anyhow::Result<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).context("the server ended, or says nothing")
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the server has no id")?;
        kill_process(id, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the server does not stop");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> anyhow::Result<(Child, Receiver<String>, Instant)> {
    let begin = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let stderr = child.stderr.take().context("no standard error")?;
    let (sender, lines) = mpsc::channel();
    // A log that nobody reads would fill its pipe.
    thread::spawn(move || forward(stderr, &sender));
    Ok((child, lines, begin))
}

fn forward(stderr: ChildStderr, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            break;
        }
    }
}
