//! File systems of their own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A file system in memory, for as long as this lives.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts one of `size` bytes, as `mount` reads them, on the folder, which is created.
    pub(crate) fn new(at: &Path, size: &str) -> Self {
        std::fs::create_dir(at).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "boskos-test"], at);
        Self(at.to_owned())
    }

    /// Lets nobody write from now on.
    pub(crate) fn make_read_only(&self) {
        run("mount", &["-o", "remount,ro"], &self.0);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let ended = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
        assert!(std::thread::panicking() || ended.is_ok_and(|status| status.success()), "{:?} stays mounted", self.0);
    }
}

fn run(program: &str, args: &[&str], at: &Path) {
    let output = Command::new(program).args(args).arg(at).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test must be run by a user who may mount file systems: {program}: {said}");
}
