//! A janitor whose command is a shell script.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use boskos_client::{
    Client, Clock, Hand,
    frame::{Frame, Pass as _, Pool, Progress},
    types::TypeSelection,
};
use boskos_janitor::{Flags, Janitor, OWNER};
use boskos_runtime::{flags, signal::Shutdown};
use boskos_testkit::Server;
use tempfile::TempDir;

/// A folder for scripts and what they leave behind.
pub(crate) struct Scripts(pub(crate) TempDir);

impl Scripts {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A script called `name`; `$D` is its folder, `$N` the resource's name.
    pub(crate) fn write(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        let head = format!("#!/bin/sh\nD={}\nN=${{1#--*=}}\n", self.0.path().display());
        // Moved into place: a file that is being written cannot be run.
        let draft = self.path("draft");
        fs::write(&draft, head + body).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(draft, &path).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The lines of a file that scripts write.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// A janitor on a clock that is turned by hand.
pub(crate) struct Scene {
    pub(crate) janitor: Janitor,
    pub(crate) frame: Frame,
    pub(crate) pool: Pool,
    pub(crate) hand: Hand,
    pub(crate) stop: Shutdown,
}

impl Scene {
    pub(crate) fn new(server: &Server, types: &[&str], script: &Path, args: &[&str]) -> Self {
        Self::at(&server.url(), types, script, args)
    }

    /// The same before whatever answers at `url`.
    pub(crate) fn at(url: &str, types: &[&str], script: &Path, args: &[&str]) -> Self {
        let (clock, hand) = Clock::manual();
        let client = Client::builder(url, OWNER).without_proxies().clock(clock).build().unwrap();
        let stop = Shutdown::new();
        let frame = Frame::assemble("boskos-janitor", client.clone(), stop.clone()).unwrap();
        let (listed, path) = (types.join(","), script.to_str().unwrap());
        let own = ["boskos-janitor", "--resource-type", &listed, "--janitor-path", path];
        let flags: Flags = flags::try_parse_from([&own[..], args].concat()).unwrap();
        let selection = TypeSelection::fixed(types.iter().map(|r#type| (*r#type).into()));
        let options = flags.options().unwrap();
        let janitor = Janitor::new(client, frame.work.clone(), &frame.registry, selection, options).unwrap();
        Self { janitor, frame, pool: Pool::new(flags.pool_size.get(), stop.clone()), hand, stop }
    }

    /// One pass; what it started goes on.
    pub(crate) async fn begin(&mut self) -> Progress {
        self.janitor.pass(&mut self.pool).await.unwrap()
    }

    /// One pass and all that it started.
    pub(crate) async fn pass(&mut self) -> Progress {
        let progress = self.begin().await;
        self.pool.idle().await;
        progress
    }

    /// Passes until nothing is left to do now.
    pub(crate) async fn settle(&mut self) {
        while self.pass().await == Progress::Did {}
    }

    pub(crate) fn later(&self, duration: Duration) {
        self.hand.advance(duration);
    }
}

/// A config of `type` with these names, all dirty.
pub(crate) fn dirty(r#type: &str, names: &[&str]) -> String {
    format!("- {{type: {type}, state: dirty, names: [{}]}}\n", names.join(", "))
}

pub(crate) async fn serve(entries: &[String]) -> Server {
    Server::start(&format!("resources:\n{}", entries.concat())).await
}

/// State, owner and the janitor's notes.
pub(crate) async fn stands(client: &Client, name: &str) -> String {
    let resource = client.resource(name).await.unwrap();
    let owner = resource.owner.as_ref().map_or("", |owner| owner.as_str());
    let notes = resource.user_data.to_map().into_iter().filter(|(key, _)| key.starts_with("janitor-"));
    let notes: Vec<String> = notes.map(|(key, text)| format!("{key}={text}")).collect();
    format!("{} {owner} {}", resource.state, notes.join(" ")).trim().to_owned()
}
