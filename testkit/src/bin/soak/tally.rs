//! What a soak came to.

use std::fmt;

use anyhow::{Result, bail};
use boskos_client::Resource;
use boskos_core::state::FREE;

use crate::{
    audit::{Findings, Testimony},
    havoc::Kills,
    scene,
};

/// The length that the floors are for.
const LONG_SECONDS: u64 = 300;

/// Least grants, kills and resets of a soak of that length.
const FLOORS: [u64; 3] = [1_000, 20, 20];

/// The state of what could not be cleaned, and the key of the reason.
const QUARANTINED: &str = "quarantined";
const REASON: &str = "janitor-reason";

/// The numbers.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) clients: u64,
    pub(crate) kills: Kills,
    pub(crate) testimony: &'a Testimony,
    pub(crate) findings: &'a Findings,
    /// All resources at the end.
    pub(crate) resources: &'a [Resource],
}

/// What a resource is in that is neither free nor quarantined with a reason.
pub(crate) fn unsettled(resource: &Resource) -> Option<String> {
    let is_settled = match resource.state.as_str() {
        FREE => true,
        QUARANTINED => resource.user_data.get(REASON).is_some_and(|reason| !reason.is_empty()),
        _ => false,
    };
    let owner = resource.owner.as_ref().map_or("nobody", |owner| owner.as_str());
    (!is_settled || resource.owner.is_some()).then(|| format!("{} is {} of {owner}", resource.name, resource.state))
}

/// Whether all that must be there is, and nothing else, settled.
///
/// # Errors
///
/// What is not.
pub(crate) fn settled(resources: &[Resource]) -> Result<()> {
    let mut names: Vec<_> = resources.iter().map(|resource| resource.name.as_str().to_owned()).collect();
    let mut expected = scene::fixed_names();
    names.sort();
    expected.sort();
    let odd: Vec<_> = resources.iter().filter_map(unsettled).collect();
    if !odd.is_empty() {
        bail!("{}", odd.join(", "));
    }
    if names != expected {
        bail!("there should be {expected:?}, and there are {names:?}");
    }
    Ok(())
}

// === impl Tally ===

impl Tally<'_> {
    /// # Errors
    ///
    /// If too little happened for this soak to prove anything.
    pub(crate) fn check(&self) -> Result<()> {
        let counts = [self.findings.read, self.kills.all(), self.findings.resets];
        for ((count, floor), what) in counts.into_iter().zip(FLOORS).zip(["grants", "kills", "resets"]) {
            let floor = floor * self.seconds / LONG_SECONDS;
            if count < floor {
                bail!("{count} {what} in {} s are too few: at least {floor}", self.seconds);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Tally<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, testimony, findings, .. } = self;
        let quarantined = self.resources.iter().filter(|resource| resource.state.as_str() == QUARANTINED).count();
        let free = self.resources.len() - quarantined;
        writeln!(f, "soak        {} s, seed {}, {} clients lived", self.seconds, self.seed, self.clients)?;
        writeln!(f, "grants      {}, after {:.1} s at worst", findings.read, testimony.worst_wait.as_secs_f64())?;
        writeln!(f, "kills       {}: {kills}", kills.all())?;
        writeln!(f, "stopped     {} clients, past their leases", kills.stopped)?;
        writeln!(f, "died        {} clients with what they held", testimony.died)?;
        writeln!(f, "resets      {}; {} files of former holders taken over", findings.resets, testimony.taken_over)?;
        writeln!(f, "lost        {} leases, told to their holders", testimony.lost)?;
        writeln!(f, "released    {}", findings.releases)?;
        writeln!(f, "undone      {} grants that nobody used", findings.undone)?;
        writeln!(
            f,
            "audited     {} transitions; {} grants of what was deleted unseen",
            findings.rows, findings.unseen
        )?;
        write!(f, "at the end  {free} free, {quarantined} quarantined with a reason")
    }
}

#[cfg(test)]
mod tests {
    use boskos_core::{Owner, UserData, WallTime};

    use super::*;

    fn resource(state: &str) -> Resource {
        Resource::new("r".into(), "t".into(), state.into(), WallTime::default())
    }

    #[test]
    fn free_and_quarantined_with_a_reason_are_settled_and_nothing_else() {
        assert_eq!(unsettled(&resource("free")), None);
        assert!(unsettled(&resource("dirty")).is_some());
        assert!(unsettled(&resource("quarantined")).is_some());
        let mut noted = resource("quarantined");
        noted.user_data = UserData::default().merged(&[(REASON.to_owned(), Some("why".to_owned()))].into());
        assert_eq!(unsettled(&noted), None);
        noted.owner = Owner::from_wire("somebody");
        assert!(unsettled(&noted).is_some());
    }

    #[test]
    fn too_little_is_an_error_in_proportion_to_the_length() {
        let check = |seconds, read, kills, resets| {
            let findings = Findings { read, resets, ..Findings::default() };
            let kills = Kills { clients: kills, ..Kills::default() };
            let testimony = Testimony::default();
            let (findings, testimony) = (&findings, &testimony);
            Tally { seconds, seed: 0, clients: 0, kills, testimony, findings, resources: &[] }.check()
        };
        assert!(check(300, 1_000, 20, 20).is_ok());
        assert!(check(300, 999, 20, 20).is_err() && check(300, 1_000, 19, 20).is_err());
        assert!(check(300, 1_000, 20, 19).is_err());
        assert!(check(60, 200, 4, 4).is_ok() && check(60, 199, 4, 4).is_err());
    }
}
