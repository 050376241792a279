//! Who the client says it is: basic auth from a username and a password file that may be rotated.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use parking_lot::Mutex;
use reqwest::header::HeaderValue;

/// The longest password file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Why credentials are of no use.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// One of the two alone.
    #[error("--username and --password-file must be set together, or neither")]
    OneAlone,
    /// The file cannot be read.
    #[error("cannot read the password file {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is no password.
    #[error("the password file {path:?} is {what}")]
    NoPassword {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
}

/// A username and where its password is. Its `Debug` shows no password.
pub(crate) struct Credentials {
    username: String,
    password: Password,
}

enum Password {
    Fixed(HeaderValue),
    File { path: PathBuf, last: Mutex<Kept> },
}

/// The header made of the file as it was.
struct Kept {
    header: HeaderValue,
    stamp: Option<Stamp>,
    /// Whether the last look at the file failed, which is said once.
    failed: bool,
}

/// What tells a changed file from an unchanged one; a symlink that is swapped leads to another inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

// === impl Credentials ===

impl Credentials {
    /// Of a URL's userinfo.
    pub(crate) fn fixed(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: Password::Fixed(header(username, password)) }
    }

    /// Of a file, which is read now and whenever it has changed.
    pub(crate) fn from_file(username: &str, path: &Path) -> Result<Self, CredentialsError> {
        let stamp = stamp(path);
        let header = header(username, &read(path)?);
        let last = Mutex::new(Kept { header, stamp, failed: false });
        Ok(Self { username: username.to_owned(), password: Password::File { path: path.to_owned(), last } })
    }

    /// The header for the next request. Looks at the file's metadata each time, which costs microseconds; a file
    /// that has become unreadable leaves the last password in use.
    pub(crate) fn header(&self) -> HeaderValue {
        let (path, last) = match &self.password {
            Password::Fixed(header) => return header.clone(),
            Password::File { path, last } => (path, last),
        };
        let mut last = last.lock();
        let stamp = stamp(path);
        if stamp.is_none() || stamp != last.stamp {
            match read(path) {
                Ok(password) => {
                    *last = Kept { header: header(&self.username, &password), stamp, failed: false };
                }
                Err(error) if !last.failed => {
                    last.failed = true;
                    tracing::warn!(
                        error = boskos_runtime::text::chain(&error),
                        "the last password stays in use until the file can be read again"
                    );
                }
                Err(_) => {}
            }
        }
        last.header.clone()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    Some(Stamp { device: metadata.dev(), inode: metadata.ino(), bytes: metadata.len(), changed })
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable { path: path.to_owned(), source };
    let no_password = |what| CredentialsError::NoPassword { path: path.to_owned(), what };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        // Opening a pipe that nobody writes to would wait for ever.
        return Err(no_password("not a file"));
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(no_password("not text")),
        Err(error) => return Err(unreadable(error)),
        Ok(_) => {}
    }
    if text.len() as u64 > MAX_BYTES {
        return Err(no_password("longer than 64 KiB"));
    }
    match text.trim() {
        "" => Err(no_password("empty")),
        password => Ok(password.to_owned()),
    }
}

fn header(username: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")));
    let mut header = HeaderValue::from_str(&text).expect("base64 is printable");
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(credentials: &Credentials) -> String {
        let header = credentials.header();
        assert!(header.is_sensitive());
        let text = header.to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn rotated_file_is_read_again_and_a_missing_one_leaves_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, " one\n").unwrap();
        let credentials = Credentials::from_file("me", &path).unwrap();
        assert_eq!(sent(&credentials), "me:one");
        let next = dir.path().join("next");
        fs::write(&next, "two").unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(sent(&credentials), "me:two");
        fs::remove_file(&path).unwrap();
        assert_eq!(sent(&credentials), "me:two");
        fs::write(&path, "three").unwrap();
        assert_eq!(sent(&credentials), "me:three");
        assert!(!format!("{credentials:?}").contains("three"));
    }

    #[test]
    fn what_is_no_password_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let refused = |path: &Path| Credentials::from_file("me", path).unwrap_err();
        assert!(matches!(refused(&path), CredentialsError::Unreadable { .. }));
        assert!(matches!(refused(dir.path()), CredentialsError::NoPassword { what: "not a file", .. }));
        fs::write(&path, " \n").unwrap();
        assert!(matches!(refused(&path), CredentialsError::NoPassword { what: "empty", .. }));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(refused(&path), CredentialsError::NoPassword { what: "not text", .. }));
    }
}
