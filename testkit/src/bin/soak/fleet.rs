//! The clients that are alive, and what they tell.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, PipeWriter},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    chance::Chance,
    client::VIOLATION,
    event::{Event, Grant},
    process::PROXIES,
};

/// Events that are not looked at yet; beyond, clients wait with theirs.
const MAX_EVENTS: usize = 10_000;

/// What owners' names begin with.
pub(crate) const OWNER: &str = "soak-client-";

/// All clients.
#[derive(Debug)]
pub(crate) struct Fleet {
    url: String,
    folder: PathBuf,
    seed: u64,
    log: File,
    /// By owner.
    alive: BTreeMap<String, Child>,
    /// Who holds what, as far as was told.
    pub(crate) holding: BTreeMap<String, Grant>,
    started: u64,
    teller: PipeWriter,
    events: Receiver<Event>,
}

// === impl Fleet ===

impl Fleet {
    /// Nobody yet.
    ///
    /// # Errors
    ///
    /// If there is no pipe or no log.
    pub(crate) fn new(url: String, folder: PathBuf, seed: u64) -> Result<Self> {
        let (reader, teller) = std::io::pipe()?;
        let (sender, events) = sync_channel(MAX_EVENTS);
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                let event = line.map_err(anyhow::Error::from).and_then(|line| Ok(serde_json::from_str(&line)?));
                let event = event.unwrap_or_else(|error| Event::Violation { text: format!("not an event: {error}") });
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let log = File::options().create(true).append(true).open(folder.join("clients.log"))?;
        let (alive, holding) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { url, folder, seed, log, alive, holding, started: 0, teller, events })
    }

    /// Starts one more.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn start_one(&mut self) -> Result<()> {
        self.started += 1;
        let owner = format!("{OWNER}{}", self.started);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["client", "--url", &self.url, "--owner", &owner]);
        command.arg("--seed").arg(Chance::new(self.seed, self.started).number().to_string());
        command.arg("--folder").arg(&self.folder);
        command.stdin(Stdio::null()).stdout(self.teller.try_clone()?).stderr(self.log.try_clone()?);
        for variable in PROXIES {
            command.env_remove(variable);
        }
        self.alive.insert(owner, command.spawn()?);
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.alive.len()
    }

    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Buries those that ended.
    ///
    /// # Errors
    ///
    /// If one ended in a way that it must not. One that saw a violation has told of it.
    pub(crate) fn bury(&mut self) -> Result<()> {
        let mut ended = Vec::new();
        for (owner, child) in &mut self.alive {
            if let Some(status) = child.try_wait()? {
                ended.push((owner.clone(), status));
            }
        }
        for (owner, status) in ended {
            self.alive.remove(&owner);
            if !status.success() && status.code() != Some(VIOLATION) {
                bail!("{owner} ended with {status}: see clients.log");
            }
        }
        Ok(())
    }

    /// What was told since the last time.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        let events: Vec<_> = self.events.try_iter().collect();
        for event in &events {
            match event {
                Event::Granted { grant, .. } => {
                    self.holding.insert(grant.owner.clone(), grant.clone());
                }
                Event::Releasing { grant, .. } | Event::Lost { grant, .. } | Event::Dying { grant } => {
                    self.holding.remove(&grant.owner);
                }
                Event::Noting { .. } | Event::Noted { .. } | Event::Released { .. } | Event::Violation { .. } => {}
            }
        }
        events
    }

    /// One that is alive; one that holds something, if `holds` and there is such.
    fn any(&self, chance: &mut Chance, holds: bool) -> Option<String> {
        let holders: Vec<&String> = self.holding.keys().filter(|owner| self.alive.contains_key(*owner)).collect();
        let picked = match holds && !holders.is_empty() {
            true => chance.pick(&holders).copied(),
            false => chance.pick(&self.alive.keys().collect::<Vec<_>>()).copied(),
        };
        picked.cloned()
    }

    /// Kills one at random; whether there was one.
    ///
    /// # Errors
    ///
    /// If it cannot be killed.
    pub(crate) fn kill_one(&mut self, chance: &mut Chance) -> Result<bool> {
        let holds = chance.percent(50);
        let Some(owner) = self.any(chance, holds) else { return Ok(false) };
        let Some(mut child) = self.alive.remove(&owner) else { return Ok(false) };
        self.holding.remove(&owner);
        if child.try_wait()?.is_some_and(|status| status.success()) {
            return Ok(false);
        }
        child.kill()?;
        child.wait()?;
        Ok(true)
    }

    /// Stops one that holds something; returns who is to be woken.
    ///
    /// # Errors
    ///
    /// If it cannot be stopped.
    pub(crate) fn stop_one(&mut self, chance: &mut Chance) -> Result<Option<String>> {
        let Some(owner) = self.any(chance, true) else { return Ok(None) };
        self.signal(&owner, Signal::STOP)?;
        Ok(Some(owner))
    }

    /// Has one go on, if it is alive.
    ///
    /// # Errors
    ///
    /// If it cannot be woken.
    pub(crate) fn wake(&mut self, owner: &str) -> Result<()> {
        self.signal(owner, Signal::CONT)
    }

    /// Those that ended and were not buried are still there to be signalled.
    fn signal(&self, owner: &str, signal: Signal) -> Result<()> {
        match self.alive.get(owner) {
            Some(child) => Ok(kill_process(Pid::from_child(child), signal)?),
            None => Ok(()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.alive.values_mut() {
            child.kill().ok();
        }
        for child in self.alive.values_mut() {
            child.wait().ok();
        }
    }
}
