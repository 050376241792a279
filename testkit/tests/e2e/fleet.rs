//! A server that can be killed and started again, the daemons around it, and the scripts that they run.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use boskos_client::{Client, Filter, Resource};
use boskos_testkit::{Daemon, PATIENCE, command, eventually, free_port, look};
use tempfile::TempDir;

/// A server's folder and port, and the server while it runs.
pub(crate) struct Fleet {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    pub(crate) server: Option<Daemon>,
}

/// The folder of the binaries: the test's own executable is in its `deps`.
pub(crate) fn binaries() -> PathBuf {
    env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// The path of a binary of this workspace.
pub(crate) fn binary(name: &str) -> String {
    let path = binaries().join(name);
    let path = path.display().to_string();
    assert!(Path::new(&path).is_file(), "{path} is missing: `make test` or `cargo build --workspace` builds it");
    path
}

/// What became of a resource, oldest first: state and owner after each transition.
pub(crate) async fn journey(client: &Client, name: &str) -> Vec<String> {
    let mut rows = client.history(name, 1_000).await.unwrap();
    rows.reverse();
    let standing = |to: boskos_core::shown::ShownStanding| format!("{} {}", to.state, to.owner).trim().to_owned();
    rows.into_iter().map(|row| row.to.map_or_else(|| "gone".to_owned(), standing)).collect()
}

/// Waits for the end of a process that is to end by itself: whether it did well, its output and errors.
pub(crate) async fn ended(mut child: Child) -> (bool, String, String) {
    eventually("the end of a process", async || child.try_wait().unwrap().is_some()).await;
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Waits until there is a resource of `type` in `state`.
pub(crate) async fn first(client: &Client, r#type: &str, state: &str) -> Resource {
    let filter = Filter { types: vec![r#type.into()], states: vec![state.into()], owners: Vec::new() };
    let mut found = Vec::new();
    eventually(&format!("a {type} that is {state}"), async || {
        found = client.list(&filter).await.unwrap();
        !found.is_empty()
    })
    .await;
    found.remove(0)
}

/// Waits until `name` is `state` and nobody's.
pub(crate) async fn becomes(client: &Client, name: &str, state: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stands = look(client, name).await;
        if stands == (state.to_owned(), String::new()) {
            return;
        }
        if Instant::now() > deadline {
            panic!("{name} never becomes {state}: {stands:?} after {:#?}", journey(client, name).await);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// === impl Fleet ===

impl Fleet {
    /// A server with these `resources:` in its config.
    pub(crate) async fn start(resources: &str) -> Self {
        let mut fleet = Self::prepare(resources);
        fleet.serve().await;
        fleet
    }

    /// The same, with no server yet.
    pub(crate) fn prepare(resources: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("config.yaml"), format!("resources:\n{resources}")).unwrap();
        Self { dir, port: free_port(), server: None }
    }

    /// Starts the server, again if there was one: its port and its store stay the same.
    pub(crate) async fn serve(&mut self) {
        self.serve_with(&[], &[]).await;
    }

    pub(crate) async fn serve_with(&mut self, args: &[&str], variables: &[(&str, &str)]) {
        let (config, data) = (self.path("config.yaml"), self.path("data"));
        let port = self.port.to_string();
        let own = ["--config", &*config, "--data-dir", &*data, "--port", &*port];
        self.server = Some(Daemon::start_with(&binary("boskos-server"), &[&own[..], args].concat(), variables));
        let client = self.client("test");
        eventually("the server answers", async || client.info().await.is_ok()).await;
    }

    /// Ends the server by `kill -9`.
    pub(crate) fn kill_server(&mut self) {
        drop(self.server.take().expect("there is one"));
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self, owner: &str) -> Client {
        Client::builder(self.url(), owner).without_proxies().build().unwrap()
    }

    /// Starts a daemon of this server, with words for arguments.
    pub(crate) fn daemon(&self, name: &str, args: &str) -> Daemon {
        let (binary, url) = (binary(&format!("boskos-{name}")), self.url());
        let args: Vec<&str> = ["--boskos-url", &*url].into_iter().chain(args.split_whitespace()).collect();
        Daemon::start(&binary, &args)
    }

    /// A `boskosctl` of this server for `owner`.
    pub(crate) fn ctl(&self, owner: &str, args: &[&str]) -> Command {
        let url = self.url();
        command(&binary("boskosctl"), &[&["--server-url", &*url, "--owner-name", owner], args].concat())
    }

    /// Starts a job: a `boskosctl` that takes a free `type` and runs `script` with it, heartbeats every 200 ms. In the
    /// script `$D` is the fleet's folder.
    pub(crate) fn job(&self, owner: &str, r#type: &str, script: &str) -> Child {
        let script = format!("D={}\n{script}", self.dir.path().display());
        let acquire = ["acquire", "--type", r#type, "--state", "free", "--target-state", "busy", "--timeout=60s"];
        let exec = ["--period=200ms", "--exec", "sh", "-c", &*script];
        self.ctl(owner, &[&acquire[..], &exec].concat()).spawn().unwrap()
    }

    /// A script called `name`. In it `$D` is the fleet's folder, and `$N` the resource's name if a janitor runs it.
    pub(crate) fn script(&self, name: &str, body: &str) -> String {
        let head = format!("#!/bin/sh\nD={}\nN=${{1#--*=}}\n", self.dir.path().display());
        // Moved into place: a file that is being written cannot be run.
        let draft = self.path("draft");
        fs::write(&draft, head + body).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(draft, self.path(name)).unwrap();
        self.path(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The lines of a file in the fleet's folder, sorted; none if there is no such file.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }
}
