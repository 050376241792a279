//! Masons in this process and beside it, and commands that are shell scripts.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use boskos_client::{
    Client, Clock, GoDuration, ResourceName, UserDataPatch,
    frame::{Frame, Work},
};
use boskos_core::leased::leased_resources;
use boskos_mason::{ConfigSource, MAX_JOBS, Mason, command::CommandConverter};
use boskos_runtime::{
    health::Readiness,
    signal::{Cause, Shutdown},
};
pub(crate) use boskos_testkit::{PATIENCE, Server, eventually, look};
use tokio::task::JoinHandle;

/// Prints user data and ends well.
pub(crate) const GOOD: &str = "cat > /dev/null; echo '{\"endpoint\":\"https://c\"}'";

/// A mason in this process.
pub(crate) struct Daemon {
    pub(crate) work: Work,
    pub(crate) readiness: Readiness,
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<ExitCode>>,
}

pub(crate) fn client(url: &str, owner: &str) -> Client {
    Client::builder(url, owner).without_proxies().poll_pace(Duration::from_millis(300)).build().unwrap()
}

/// An executable script with `body` beside the server.
pub(crate) fn script(server: &Server, name: &str, body: &str) -> PathBuf {
    let path = server.dir.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

// === impl Daemon ===

impl Daemon {
    /// A mason whose converter `Creator` is the script, with an hour for each run.
    pub(crate) fn start(client: &Client, script: &Path) -> Self {
        Self::start_with(client, ConfigSource::Server, script, "1h")
    }

    pub(crate) fn start_with(client: &Client, source: ConfigSource, script: &Path, timeout: &str) -> Self {
        let shutdown = Shutdown::new();
        let frame = Frame::assemble("boskos-mason", client.clone(), shutdown.clone()).unwrap();
        let (work, readiness) = (frame.work.clone(), frame.readiness.clone());
        let mut mason = Mason::new(client.clone(), work.clone(), source, 15);
        let converter = CommandConverter { config_type: "Creator".to_owned(), path: script.to_owned() };
        let timeout = GoDuration::parse(timeout).unwrap().to_std_or_zero();
        mason.register_config_converter("Creator", converter.converter(timeout, &Clock::system()).unwrap());
        Self { work, readiness, shutdown, task: tokio::spawn(frame.run(mason, MAX_JOBS)) }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger(Cause::Requested);
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

// === looking ===

pub(crate) async fn is(client: &Client, name: &str, state: &str) -> bool {
    look(client, name).await == (state.to_owned(), String::new())
}

/// What the list of a resource names.
pub(crate) async fn listed(client: &Client, name: &str) -> Vec<ResourceName> {
    let data = client.resource(name).await.unwrap().user_data;
    leased_resources(data.get("leasedResources").as_deref()).unwrap()
}

/// Sets user data of a free or dirty resource, which keeps its state.
pub(crate) async fn note(client: &Client, name: &str, key: &str, value: &str) {
    let state = client.resource(name).await.unwrap().state;
    client.acquire_by_state(state.as_str(), "noting", &[name.into()]).await.unwrap();
    let patch: UserDataPatch = [(key.to_owned(), Some(value.to_owned()))].into();
    client.update(name, "noting", &patch).await.unwrap();
    client.release(name, state.as_str()).await.unwrap();
}

/// Moves an unowned resource to another state.
pub(crate) async fn shift(client: &Client, name: &str, from: &str, to: &str) {
    client.acquire_by_state(from, "shifting", &[name.into()]).await.unwrap();
    client.release(name, to).await.unwrap();
}

/// The real binary on free ports.
pub(crate) fn binary(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boskos-mason"));
    command.args(["--listen-address=127.0.0.1", "--health-port=0", "--metrics-port=0"]);
    command.args(["--boskos-url", url]).args(args).env("NO_PROXY", "127.0.0.1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}
