//! Processes that do not outlive whoever started them, whatever becomes of that.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A process that ends, by SIGKILL, when this is dropped or when the process that holds it ends.
pub(crate) struct Guarded(Child);

/// Reads its input, which lasts as long as the holder, and then kills the command. What it was
/// started for is killed with it if it ends by itself.
const GUARD: &str = r#""$@" </dev/null & child=$!; cat >/dev/null; kill -9 $child 2>/dev/null; wait $child"#;

impl Guarded {
    /// Starts `command` with its output in the file `log`.
    pub(crate) fn start(command: &Path, args: &[String], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(command)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.display()));
        Self(child)
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}
