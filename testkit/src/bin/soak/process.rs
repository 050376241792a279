//! The server and the daemons as processes.

use std::{
    fs::File,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

use crate::chance::Chance;

/// Variables that name a proxy.
pub(crate) const PROXIES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// One process that is to run, and is started again when it was killed.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: &'static str,
    arguments: Vec<String>,
    binaries: PathBuf,
    log: File,
    running: Option<Child>,
    /// When it is started again.
    pub(crate) again_at: Option<Instant>,
}

/// Becomes `command`, which ends with whoever started this process.
///
/// # Errors
///
/// If it cannot be run.
pub(crate) fn become_command(command: &[String]) -> Result<()> {
    end_with_parent()?;
    let (program, arguments) = command.split_first().context("no command")?;
    Err(Command::new(program).args(arguments).exec()).with_context(|| program.clone())
}

/// Has the kernel end this process when the one that started it ends, however that comes.
///
/// # Errors
///
/// If the kernel cannot, or if it has ended already.
pub(crate) fn end_with_parent() -> Result<()> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != parent {
        bail!("whoever started this process is gone");
    }
    Ok(())
}

/// A port that nobody has, below those that the kernel gives to callers: while the server is away, a client that
/// calls from the very port that it calls would meet itself, and keep the server from coming back.
///
/// # Errors
///
/// If there is none.
pub(crate) fn free_port(chance: &mut Chance) -> Result<u16> {
    for _ in 0..1_000 {
        let port = 20_000 + u16::try_from(chance.below(12_000))?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

// === impl Process ===

impl Process {
    /// # Errors
    ///
    /// If there is no such binary, or no log.
    pub(crate) fn new(name: &'static str, arguments: Vec<String>, binaries: &Path, folder: &Path) -> Result<Self> {
        let path = binaries.join(name);
        if !path.is_file() {
            bail!("there is no {}: build the workspace first (cargo build --workspace)", path.display());
        }
        let log = File::options().create(true).append(true).open(folder.join(format!("{name}.log")))?;
        Ok(Self { name, arguments, binaries: binaries.to_owned(), log, running: None, again_at: None })
    }

    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("run").arg("--").arg(self.binaries.join(self.name));
        command.args(["--listen-address=127.0.0.1", "--health-port=0", "--metrics-port=0"]).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log.try_clone()?);
        for variable in PROXIES {
            command.env_remove(variable);
        }
        self.running = Some(command.spawn()?);
        self.again_at = None;
        Ok(())
    }

    /// Kills it, and has it started again at `again_at`. False if it does not run.
    ///
    /// # Errors
    ///
    /// If it cannot be killed.
    pub(crate) fn kill(&mut self, again_at: Instant) -> Result<bool> {
        self.check()?;
        let Some(mut child) = self.running.take() else { return Ok(false) };
        child.kill()?;
        child.wait()?;
        self.again_at = Some(again_at);
        Ok(true)
    }

    /// # Errors
    ///
    /// If it ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(child) = &mut self.running
            && let Some(status) = child.try_wait()?
        {
            bail!("{} ended by itself: {status}", self.name);
        }
        Ok(())
    }

    /// Asks it to end.
    ///
    /// # Errors
    ///
    /// If it cannot be asked.
    pub(crate) fn ask_to_end(&mut self) -> Result<()> {
        match &self.running {
            Some(child) => Ok(kill_process(Pid::from_child(child), Signal::TERM)?),
            None => Ok(()),
        }
    }

    /// Waits until it has ended as it should.
    ///
    /// # Errors
    ///
    /// If it has not in time, or otherwise.
    pub(crate) async fn wait_in_order(&mut self, within: Duration) -> Result<()> {
        let Some(child) = &mut self.running else { return Ok(()) };
        let began = Instant::now();
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} stopped with {status}", self.name),
                None if began.elapsed() > within => bail!("{} does not stop", self.name),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
