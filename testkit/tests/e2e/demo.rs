//! `make demo`, by itself and with Ctrl-C.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use boskos_testkit::{eventually, free_port};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::fleet::{binaries, binary};

/// A demo that runs, in a process group of its own, as a terminal would have it.
struct Demo {
    child: Child,
    dir: TempDir,
}

// === impl Demo ===

impl Demo {
    /// Starts `command` at the top of the workspace with these variables.
    fn start(command: &[&str], variables: &[(&str, &str)]) -> Self {
        binary("boskos-server");
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        let ports = [free_port(), free_port()].map(|port| port.to_string());
        let output = fs::File::create(dir.path().join("output")).unwrap();
        let child = Command::new(command[0])
            .args(&command[1..])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            // What is built already need not be built again.
            .env("CARGO", "true")
            .env("DEMO_BINARIES", binaries())
            .env("TMPDIR", dir.path().join("tmp"))
            .env("DEMO_PORT", &ports[0])
            .env("DEMO_PAGE_PORT", &ports[1])
            .env_remove("MAKEFLAGS")
            .envs(variables.iter().copied())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("output")).unwrap()
    }

    async fn says(&self, text: &str) {
        eventually(text, async || self.output().contains(text)).await;
    }

    async fn ended(&mut self) -> ExitStatus {
        eventually("its end", async || self.child.try_wait().unwrap().is_some()).await;
        self.child.wait().unwrap()
    }

    /// Processes that it started and that still run: their environment names its folder.
    fn left_behind(&self) -> Vec<OsString> {
        let own = self.dir.path().to_str().unwrap().as_bytes();
        let names_it = |path: &Path| {
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            environment.windows(own.len()).any(|window| window == own)
        };
        let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| names_it(path)).map(|path| path.file_name().unwrap().to_owned()).collect()
    }

    /// Nothing of it is left, neither process nor file.
    fn is_gone(&self) {
        assert!(self.left_behind().is_empty(), "{:?} {}", self.left_behind(), self.output());
        assert_eq!(fs::read_dir(self.dir.path().join("tmp")).unwrap().count(), 0, "{}", self.output());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_number_of_seconds_everything_happens_and_everything_comes_back() {
    let mut demo = Demo::start(&["make", "demo"], &[("DEMO_SECONDS", "7")]);
    demo.says("http://127.0.0.1:").await;
    assert!(demo.left_behind().len() > 6, "server, daemons and more");
    let status = demo.ended().await;
    let output = demo.output();
    assert!(status.success(), "{output}");
    for said in [
        "job-1    acquired account-",
        "dies with account-",
        "reaper   takes account-",
        "janitor  has cleaned account-",
        "mason    constructed cluster ",
        "cleaner  tore down cluster ",
        "==       aws-account: ",
        "demo     stopped; nothing is left behind",
    ] {
        assert!(output.contains(said), "{said}: {output}");
    }
    // The counts at the end: all are free or part of a cluster.
    let last = output.rsplit("aws-account: ").next().unwrap().lines().next().unwrap();
    let known = last.split(", ").all(|count| count.ends_with(" free") || count.ends_with(" in clusters"));
    assert!(known, "{last}");
    demo.is_gone();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_it_in_order_and_leaves_nothing() {
    // At a terminal make hears of it too, and says so by its own end.
    let mut demo = Demo::start(&["make", "demo"], &[]);
    demo.says("acquired").await;
    kill_process_group(Pid::from_child(&demo.child), Signal::INT).unwrap();
    let status = demo.ended().await;
    assert!(status.signal() == Some(2) || !status.success(), "{status}");
    assert!(demo.output().contains("stopped; nothing is left behind"), "{}", demo.output());
    demo.is_gone();

    let folder = binaries();
    for signal in [Signal::INT, Signal::TERM] {
        let mut demo = Demo::start(&["deploy/demo/demo", folder.to_str().unwrap()], &[]);
        demo.says("dies with").await;
        kill_process(Pid::from_child(&demo.child), signal).unwrap();
        assert_eq!(demo.ended().await.code(), Some(0), "{}", demo.output());
        demo.is_gone();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_its_way_is_one_clear_line() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variables, said) in [
        (("DEMO_PORT", &*port), format!("demo: port {port} is taken: choose another with DEMO_PORT=PORT")),
        (("DEMO_PAGE_PORT", &*port), format!("demo: port {port} is taken: choose another with DEMO_PAGE_PORT=PORT")),
        (
            ("DEMO_BINARIES", "/nowhere"),
            "demo: /nowhere/boskos-server is missing: run cargo build --workspace".to_owned(),
        ),
    ] {
        let mut demo = Demo::start(&["make", "-s", "demo"], &[variables]);
        assert!(!demo.ended().await.success());
        assert_eq!(demo.output().lines().next(), Some(&*said));
        demo.is_gone();
    }
}
