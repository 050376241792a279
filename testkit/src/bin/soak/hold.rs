//! The file that a holder has for as long as it believes that a resource is its own.
//!
//! There is one per resource, made exclusively, and in it stands whose it is. A client that is killed leaves it behind;
//! whoever is granted the resource next finds it, and takes it over only if the former holder lost the resource.

use std::{
    fs::{self, File, FileTimes},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use boskos_core::WallTime;

use crate::event::Grant;

/// The folder with all of them.
#[derive(Clone, Debug)]
pub(crate) struct Holds {
    held: PathBuf,
    /// Files on their way into `held`, whole when they get there.
    drafts: PathBuf,
    /// One file per resource, locked for the moment in which a hold changes.
    locks: PathBuf,
}

/// A file that is ours, unless it was taken over.
#[derive(Debug)]
pub(crate) struct Hold {
    holds: Holds,
    grant: Grant,
    file: File,
}

/// Somebody's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whose.
    pub(crate) grant: Grant,
    /// Since when the server has heard from that holder: the sending of the last heartbeat that was acknowledged.
    pub(crate) alive: WallTime,
}

/// What came of a claim.
#[derive(Debug)]
pub(crate) enum Claim {
    Held(Hold),
    /// Somebody else's file is there.
    Taken(Found),
}

// === impl Holds ===

impl Holds {
    /// # Errors
    ///
    /// If the folders cannot be made.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let holds = Self { held: folder.join("held"), drafts: folder.join("drafts"), locks: folder.join("locks") };
        for folder in [&holds.held, &holds.drafts, &holds.locks] {
            fs::create_dir_all(folder)?;
        }
        Ok(holds)
    }

    /// Makes the file of `grant`; over the file that was `judged` if that one is still there. Without a judgement, or
    /// if the file is not the one that was judged, somebody else's file stays.
    ///
    /// # Errors
    ///
    /// If files cannot be written or read.
    pub(crate) fn claim(&self, grant: &Grant, judged: Option<&Grant>) -> io::Result<Claim> {
        let draft = self.drafts.join(format!("{}.{}", grant.owner, grant.at.as_nanos()));
        fs::write(&draft, serde_json::to_vec(grant)?)?;
        let file = File::options().write(true).open(&draft)?;
        touch(&file, grant.at)?;
        let path = self.held.join(&grant.name);
        let _lock = self.lock(&grant.name)?;
        // As exclusive as O_EXCL, and whole from its first moment.
        let claimed = match fs::hard_link(&draft, &path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = self.look(&grant.name)?;
                match judged == Some(&found.grant) {
                    true => fs::rename(&draft, &path).map(|()| true),
                    false => {
                        fs::remove_file(&draft)?;
                        return Ok(Claim::Taken(found));
                    }
                }
            }
            Err(error) => Err(error),
        };
        claimed?;
        fs::remove_file(&draft).or_else(absent)?;
        Ok(Claim::Held(Hold { holds: self.clone(), grant: grant.clone(), file }))
    }

    fn look(&self, name: &str) -> io::Result<Found> {
        let path = self.held.join(name);
        let grant = serde_json::from_slice(&fs::read(&path)?)?;
        let modified = fs::metadata(&path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Found { grant, alive: WallTime::from_nanos(i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX)) })
    }

    /// Ends as the file is closed, also by a kill.
    fn lock(&self, name: &str) -> io::Result<File> {
        let file = File::options().create(true).append(true).open(self.locks.join(name))?;
        file.lock()?;
        Ok(file)
    }
}

// === impl Hold ===

impl Hold {
    /// Notes that the server acknowledged a heartbeat that was sent at `sent_at`.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub(crate) fn beat(&self, sent_at: WallTime) -> io::Result<()> {
        // Of the file, not of the path: it may be another's by now.
        touch(&self.file, sent_at)
    }

    /// Lets go; false if the file was taken over.
    ///
    /// # Errors
    ///
    /// If it cannot be looked at or removed.
    pub(crate) fn let_go(self) -> io::Result<bool> {
        let _lock = self.holds.lock(&self.grant.name)?;
        let found = match self.holds.look(&self.grant.name) {
            Ok(found) => found,
            // Taken over, and let go.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if found.grant != self.grant {
            return Ok(false);
        }
        fs::remove_file(self.holds.held.join(&self.grant.name))?;
        Ok(true)
    }
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn touch(file: &File, at: WallTime) -> io::Result<()> {
    let since_epoch = Duration::from_nanos(u64::try_from(at.as_nanos()).unwrap_or(0));
    file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + since_epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(owner: &str, at: i64) -> Grant {
        Grant { name: "r".to_owned(), owner: owner.to_owned(), at: WallTime::from_nanos(at) }
    }

    fn held(claim: Claim) -> Hold {
        match claim {
            Claim::Held(hold) => hold,
            Claim::Taken(found) => panic!("{found:?}"),
        }
    }

    fn taken(claim: Claim) -> Found {
        match claim {
            Claim::Held(hold) => panic!("{hold:?}"),
            Claim::Taken(found) => found,
        }
    }

    #[test]
    fn one_holds_and_others_see_who_and_since_when_it_was_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        let holds = Holds::open(dir.path()).unwrap();
        let first = held(holds.claim(&grant("a", 1_000), None).unwrap());
        first.beat(WallTime::from_nanos(2_000)).unwrap();
        let found = taken(holds.claim(&grant("b", 3_000), None).unwrap());
        assert_eq!(found, Found { grant: grant("a", 1_000), alive: WallTime::from_nanos(2_000) });
        assert!(first.let_go().unwrap());
        assert!(held(holds.claim(&grant("b", 3_000), None).unwrap()).let_go().unwrap());
    }

    #[test]
    fn what_was_judged_is_taken_over_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let holds = Holds::open(dir.path()).unwrap();
        let first = held(holds.claim(&grant("a", 1), None).unwrap());
        let second = held(holds.claim(&grant("b", 2), Some(&grant("a", 1))).unwrap());
        // Judged too late: the file is another's by now.
        assert_eq!(taken(holds.claim(&grant("c", 3), Some(&grant("a", 1))).unwrap()).grant, grant("b", 2));
        // A beat of the former holder is none of the new one's.
        first.beat(WallTime::from_nanos(9)).unwrap();
        assert_eq!(taken(holds.claim(&grant("c", 3), None).unwrap()).alive, WallTime::from_nanos(2));
        assert!(!first.let_go().unwrap());
        assert!(second.let_go().unwrap());
        assert_eq!(fs::read_dir(dir.path().join("drafts")).unwrap().count(), 0);
    }
}
