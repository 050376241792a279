//! When what is killed.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{EXPIRE, chance::Chance, fleet::Fleet, process::Process};

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    pub(crate) clients: u64,
    pub(crate) daemons: u64,
    pub(crate) server: u64,
    /// Clients stopped past the expiry, and woken.
    pub(crate) stopped: u64,
}

/// Kills at random, at times that are known from the seed. Each kind has a least time between two kills, so that there
/// is progress.
#[derive(Debug)]
pub(crate) struct Havoc {
    chance: Chance,
    next_client: Instant,
    next_daemon: Instant,
    next_server: Instant,
    next_stop: Instant,
    /// Who is stopped, and until when.
    asleep: Option<(String, Instant)>,
    pub(crate) kills: Kills,
}

// === impl Kills ===

impl Kills {
    pub(crate) fn all(&self) -> u64 {
        self.clients + self.daemons + self.server
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} clients, {} daemons, {} times the server", self.clients, self.daemons, self.server)
    }
}

// === impl Havoc ===

impl Havoc {
    pub(crate) fn new(mut chance: Chance) -> Self {
        let now = Instant::now();
        let mut soon = |least, most| now + chance.millis(least, most);
        Self {
            next_client: soon(1_500, 2_500),
            next_daemon: soon(2_000, 4_000),
            next_server: soon(4_000, 6_000),
            next_stop: soon(2_000, 5_000),
            asleep: None,
            kills: Kills::default(),
            chance,
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    ///
    /// If something cannot be killed, or ended before it was.
    pub(crate) fn go(&mut self, fleet: &mut Fleet, server: &mut Process, daemons: &mut [Process]) -> Result<()> {
        let now = Instant::now();
        if now >= self.next_client {
            self.next_client = now + self.chance.millis(300, 1_300);
            self.kills.clients += u64::from(fleet.kill_one(&mut self.chance)?);
        }
        if now >= self.next_daemon {
            self.next_daemon = now + self.chance.millis(2_000, 5_000);
            let again_at = now + self.chance.millis(0, 1_000);
            let at = usize::try_from(self.chance.below(daemons.len().try_into()?))?;
            self.kills.daemons += u64::from(daemons[at].kill(again_at)?);
        }
        if now >= self.next_server {
            self.next_server = now + self.chance.millis(6_000, 14_000);
            // Now and then for longer than leases live.
            let away =
                if self.chance.percent(10) { EXPIRE + Duration::from_secs(1) } else { self.chance.millis(0, 1_500) };
            self.kills.server += u64::from(server.kill(now + away)?);
        }
        self.stop_one(now, fleet)
    }

    /// A holder that sleeps past its lease and wakes while another holds the resource.
    fn stop_one(&mut self, now: Instant, fleet: &mut Fleet) -> Result<()> {
        if let Some((owner, _)) = self.asleep.take_if(|(_, until)| *until <= now) {
            fleet.wake(&owner)?;
        }
        if self.asleep.is_none() && now >= self.next_stop {
            self.next_stop = now + self.chance.millis(4_000, 9_000);
            let owner = fleet.stop_one(&mut self.chance)?;
            self.kills.stopped += u64::from(owner.is_some());
            self.asleep = owner.map(|owner| (owner, now + EXPIRE + Duration::from_secs(2)));
        }
        Ok(())
    }

    /// Leaves off: whoever sleeps goes on.
    ///
    /// # Errors
    ///
    /// If it cannot be woken.
    pub(crate) fn end(&mut self, fleet: &mut Fleet) -> Result<()> {
        match self.asleep.take() {
            Some((owner, _)) => fleet.wake(&owner),
            None => Ok(()),
        }
    }
}
