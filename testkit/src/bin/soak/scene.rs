//! What is leased, and who looks after it.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Static, cleaned by the janitor.
pub(crate) const SLOT: &str = "soak-slot";

/// Dynamic, with a short life.
pub(crate) const ROOM: &str = "soak-room";

/// Dynamic, made by mason of parts.
pub(crate) const CLUSTER: &str = "soak-cluster";

/// What clusters are made of; no client asks for one.
const PART: &str = "soak-part";

/// Of [`SLOT`].
const SLOTS: u32 = 24;

/// Of [`PART`]: more than all clusters need.
const PARTS: u32 = 12;

/// The one that can never be cleaned.
pub(crate) const BROKEN: &str = "soak-slot-00";

/// The file that tells clients to come to an end.
pub(crate) const CLOSED: &str = "closed";

/// The converter of clusters.
const CONVERTER: &str = "SoakCluster";

/// The folder of a soak.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) folder: PathBuf,
}

// === impl Scene ===

impl Scene {
    /// Writes the config and the commands.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub(crate) fn set(folder: &Path) -> io::Result<Self> {
        let scene = Self { folder: folder.to_owned() };
        fs::write(scene.config(), config(true))?;
        scene.script("clean", &format!("case \"$1\" in --*={BROKEN}) exit 1;; esac\nexit 0\n"))?;
        scene.script("make", "cat >/dev/null\necho '{\"made-by\":\"soak\"}'\n")?;
        Ok(scene)
    }

    /// Takes the dynamic types out of the config: clusters and rooms are given up, parts come back.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn drain(&self) -> io::Result<()> {
        let draft = self.folder.join("config.draft");
        fs::write(&draft, config(false))?;
        fs::rename(draft, self.config())
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.yaml")
    }

    /// Has clients take nothing more.
    ///
    /// # Errors
    ///
    /// If that cannot be noted.
    pub(crate) fn close(&self) -> io::Result<()> {
        fs::write(self.folder.join(CLOSED), "")
    }

    fn script(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    }

    /// The server's arguments.
    pub(crate) fn server(&self, port: u16) -> Vec<String> {
        let (config, data) = (self.config(), self.folder.join("data"));
        vec![
            format!("--config={}", config.display()),
            format!("--data-dir={}", data.display()),
            format!("--port={port}"),
            // Places of the dead would keep the living waiting: 30 s is longer than this server ever lives, and
            // each start gives them all that time anew.
            "--request-ttl=2s".to_owned(),
        ]
    }

    /// The daemons: each one's binary and arguments.
    pub(crate) fn daemons(&self, url: &str, expire: std::time::Duration) -> Vec<(&'static str, Vec<String>)> {
        let own = |arguments: &[String]| {
            let mut all = vec![format!("--boskos-url={url}")];
            all.extend_from_slice(arguments);
            all
        };
        let command = |name: &str| self.folder.join(name).display().to_string();
        vec![
            ("boskos-reaper", own(&[format!("--expire={}ms", expire.as_millis()), "--interval=500ms".to_owned()])),
            (
                "boskos-janitor",
                own(&[
                    format!("--resource-type={SLOT},{PART},{ROOM}"),
                    format!("--janitor-path={}", command("clean")),
                    "--update-frequency=1s".to_owned(),
                    "--backoff=200ms".to_owned(),
                ]),
            ),
            ("boskos-cleaner", own(&[])),
            ("boskos-mason", own(&[format!("--converter={CONVERTER}={}", command("make"))])),
            ("boskos-metrics", own(&["--port=0".to_owned()])),
        ]
    }
}

/// The names that are there from beginning to end.
pub(crate) fn fixed_names() -> Vec<String> {
    names(SLOT, SLOTS).chain(names(PART, PARTS)).collect()
}

fn names(r#type: &str, count: u32) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{type}-{number:02}"))
}

fn config(with_dynamic: bool) -> String {
    let fixed = |r#type, count| {
        let names: Vec<_> = names(r#type, count).collect();
        format!("- type: {type}\n  state: free\n  names: [{}]\n", names.join(", "))
    };
    let dynamic = format!(
        "- type: {ROOM}\n  state: free\n  min-count: 2\n  max-count: 8\n  lifespan: 15s\n\
         - type: {CLUSTER}\n  state: dirty\n  min-count: 3\n  max-count: 4\n  lifespan: 20s\n  needs: {{{PART}: 2}}\n  \
         config: {{type: {CONVERTER}, content: soak}}\n"
    );
    format!("resources:\n{}{}{}", fixed(SLOT, SLOTS), fixed(PART, PARTS), if with_dynamic { &dynamic } else { "" })
}
