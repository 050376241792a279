//! Hearing of changes of a file, as ConfigMaps change: by a swap of symlinks.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::blocking::blocking;

/// A change of a file counts when two reads this far apart agree: half a YAML list is valid YAML, and everything after
/// the cut would be taken for deleted.
pub const SETTLE: Duration = Duration::from_millis(500);

/// Links on the way to a file, as many as the kernel follows.
const MAX_LINKS: u32 = 40;

/// The bytes of a file, at most one more than `max`: enough to tell that it is too long.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Hears of changes in the folders that a file is in: its own, and the one that it links to.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// Held while they are looked for, which takes as long as the file system does.
    folders: Arc<AsyncMutex<Folders>>,
    changes: mpsc::Receiver<()>,
}

/// The folders that are listened to.
#[derive(Debug)]
struct Folders {
    /// The file's path.
    path: PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    /// What of all that happens in them concerns the file.
    way: Arc<Mutex<Way>>,
}

/// What stands on the way to a file. A log beside it does not.
#[derive(Debug, Default)]
struct Way {
    folders: Vec<PathBuf>,
    /// The file itself, what it links to, and the links on the way there.
    names: BTreeSet<OsString>,
}

// === impl Watch ===

impl Watch {
    /// Begins to listen for changes of the file at `path`. To be done before the file is first
    /// read, or a change just after that goes unnoticed. Waits for the file system.
    #[must_use]
    pub fn begin(path: PathBuf) -> Self {
        let (changed, changes) = mpsc::channel(1);
        let way: Arc<Mutex<Way>> = Arc::default();
        let listened = Arc::clone(&way);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // What is only read has not changed: a read of our own would be followed by another.
            if !event.is_ok_and(|event| is_only_read(event.kind) || !listened.lock().concerns(&event)) {
                // A change that is not read yet says the same.
                let _ = changed.try_send(());
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::warn!(%error, "changes of the file are seen late")).ok();
        let mut folders = Folders { path: path.clone(), watcher, watched: Vec::new(), way };
        folders.follow_link();
        Self { path, folders: Arc::new(AsyncMutex::new(folders)), changes }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the file may have changed; changes since the last call count as one. For ever where changes are
    /// not heard of, so wait for a period too. Safe to cancel.
    pub async fn changed(&mut self) {
        match self.changes.recv().await {
            Some(()) => {}
            None => std::future::pending().await,
        }
    }

    /// Whether the file may have changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        self.changes.try_recv().is_ok()
    }

    /// Watches where the path leads now; to be called before the file is read again. Safe to cancel.
    pub async fn follow_link(&self) {
        let mut folders = self.folders.clone().lock_owned().await;
        blocking(move || folders.follow_link()).await;
    }
}

// === impl Folders ===

impl Folders {
    fn follow_link(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let real = self.path.canonicalize().ok();
        let folders = [Some(self.path.as_path()), real.as_deref()].into_iter().flatten().filter_map(folder_of);
        let mut folders: Vec<PathBuf> = folders.collect();
        // One folder by two names has one watch, which would go with either.
        folders.dedup_by_key(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        for gone in self.watched.iter().filter(|folder| !folders.contains(folder)) {
            // It may be gone by itself, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        self.watched.retain(|folder| folders.contains(folder));
        // Before the first event of a new one.
        *self.way.lock() = Way { folders: folders.clone(), names: names_on_the_way(&self.path) };
        for folder in folders {
            if self.watched.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.push(folder),
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "changes of the file are seen late");
                }
            }
        }
    }
}

/// The names that a change of may change what is at `path`: its own, and those of links on the way and their targets.
fn names_on_the_way(path: &Path) -> BTreeSet<OsString> {
    let (mut names, mut path) = (BTreeSet::new(), path.to_owned());
    for _ in 0..MAX_LINKS {
        names.extend(path.file_name().map(OsString::from));
        let mut prefixes: Vec<&Path> = path.ancestors().collect();
        prefixes.reverse();
        let link = prefixes.into_iter().find_map(|prefix| Some((prefix, fs::read_link(prefix).ok()?)));
        let Some((link, target)) = link else { break };
        names.extend(link.file_name().map(OsString::from));
        let rest = path.strip_prefix(link).unwrap_or(Path::new(""));
        let real = link.parent().unwrap_or(Path::new("")).join(target);
        path = if rest.as_os_str().is_empty() { real } else { real.join(rest) };
    }
    names
}

// === impl Way ===

impl Way {
    fn concerns(&self, event: &Event) -> bool {
        let is_on_it = |path: &PathBuf| {
            self.folders.contains(path) || path.file_name().is_some_and(|name| self.names.contains(name))
        };
        // Where it is not told what happened, it may have happened to the file.
        event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(is_on_it)
    }
}

fn is_only_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn only_changes_count() {
        for read in [AccessKind::Open(AccessMode::Any), AccessKind::Read, AccessKind::Close(AccessMode::Read)] {
            assert!(is_only_read(EventKind::Access(read)), "{read:?}");
        }
        for change in [
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            EventKind::Remove(RemoveKind::File),
            EventKind::Any,
        ] {
            assert!(!is_only_read(change), "{change:?}");
        }
    }

    #[test]
    fn what_stands_beside_the_file_does_not_concern_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path();
        // As a kubelet mounts a ConfigMap.
        fs::create_dir(dir.join("..2026")).expect("a folder in it");
        fs::write(dir.join("..2026/types.yaml"), "").expect("a file in that");
        std::os::unix::fs::symlink("..2026", dir.join("..data")).expect("a link");
        std::os::unix::fs::symlink("..data/types.yaml", dir.join("types.yaml")).expect("another link");
        let folders = vec![dir.to_owned(), dir.join("..2026")];
        let way = Way { folders, names: names_on_the_way(&dir.join("types.yaml")) };
        let concerns = |names: &[&str]| {
            let event = Event::new(EventKind::Modify(ModifyKind::Any));
            way.concerns(&names.iter().fold(event, |event, name| event.add_path(dir.join(name))))
        };
        for names in
            [&["types.yaml"][..], &["..data"], &["..data_tmp", "..data"], &["..2026"], &["..2026/types.yaml"], &[]]
        {
            assert!(concerns(names), "{names:?}");
        }
        for names in [&["daemon.log"][..], &["types.yaml.swp"], &["..data_tmp"], &["a", "b"]] {
            assert!(!concerns(names), "{names:?}");
        }
        assert!(names_on_the_way(Path::new("gone.yaml")).contains(&OsString::from("gone.yaml")));
        std::os::unix::fs::symlink("ring", dir.join("ring")).expect("a link to itself");
        assert!(names_on_the_way(&dir.join("ring")).contains(&OsString::from("ring")));
    }

    async fn hears(watch: &mut Watch) {
        tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.expect("a change is heard");
    }

    #[tokio::test]
    async fn writes_beside_the_file_do_not_call_and_writes_to_it_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, beside) = (dir.path().join("types.yaml"), dir.path().join("daemon.log"));
        fs::write(&file, "").expect("a file");
        fs::write(&beside, "").expect("another");
        let (mut watch, mut sibling) = (Watch::begin(file.clone()), Watch::begin(beside.clone()));
        for round in 0..100 {
            fs::write(&beside, format!("line {round}")).expect("it is written to");
            // What is told of one folder is told to both.
            hears(&mut sibling).await;
        }
        assert!(!watch.take_changed());
        fs::write(&file, "resources: []").expect("it is written to");
        hears(&mut watch).await;
    }

    #[tokio::test]
    async fn folder_that_hangs_holds_up_nobody_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let watch = Watch::begin(dir.path().join("file"));
        let way = watch.folders.lock().await.way.clone();
        let ((held, is_held), (let_go, go)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        // In the midst of looking, it waits for this as it would for a disk.
        let hangs = std::thread::spawn(move || {
            let _way = way.lock();
            held.send(()).expect("somebody waits for it");
            go.recv_timeout(Duration::from_secs(60))
        });
        is_held.recv().expect("it hangs");
        tokio::join!(watch.follow_link(), async { let_go.send(()).expect("nobody held it up") });
        assert_eq!(hangs.join().expect("it ends"), Ok(()));
    }

    #[tokio::test]
    async fn file_in_a_folder_of_two_names_is_followed_when_it_was_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).expect("a folder in it");
        std::os::unix::fs::symlink(&real, &link).expect("a link to that");
        std::fs::write(real.join("file"), "one").expect("a file");
        let mut watch = Watch::begin(link.join("file"));
        std::fs::remove_file(real.join("file")).expect("it goes");
        hears(&mut watch).await;
        watch.follow_link().await;
        while watch.take_changed() {}
        std::fs::write(real.join("file"), "two").expect("it is back");
        hears(&mut watch).await;
    }
}
