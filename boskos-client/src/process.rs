//! Commands that daemons and boskosctl run on what they hold: found as a shell finds them, ended as a whole.

mod group;
mod running;

use std::{
    env,
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

pub use self::{
    group::{GRACE, Group, Members},
    running::kill_all,
};

/// The file that a shell would run for `command`: as it is if there is a slash in it, else from `path`.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] if there is none; another kind if what is there cannot be run.
pub fn find(command: &OsStr, path: Option<&OsStr>) -> io::Result<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        return runnable(Path::new(command)).map(|()| command.into());
    }
    let mut why = io::Error::new(io::ErrorKind::NotFound, "not found in PATH");
    for dir in env::split_paths(path.unwrap_or_default()).filter(|_| !command.is_empty()) {
        let file = dir.join(command);
        match runnable(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// The same with the `PATH` of this process.
///
/// # Errors
///
/// The same.
pub fn find_on_path(command: &OsStr) -> io::Result<PathBuf> {
    find(command, env::var_os("PATH").as_deref())
}

fn runnable(file: &Path) -> io::Result<()> {
    let metadata = fs::metadata(file)?;
    let is_runnable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    if is_runnable { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, "not an executable file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let (tool, text) = (dir.path().join("tool"), dir.path().join("text"));
        fs::write(&tool, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&text, "").unwrap();
        let path = env::join_paths([dir.path().join("nothing").as_path(), dir.path()]).unwrap();
        let find = |command: &OsStr| find(command, Some(&path)).map_err(|error| error.kind());
        assert_eq!(find("tool".as_ref()), Ok(tool.clone()));
        assert_eq!(find(tool.as_os_str()), Ok(tool));
        assert_eq!(find("text".as_ref()), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(find(dir.path().as_os_str()), Err(io::ErrorKind::PermissionDenied));
        for missing in ["nothing", "", "/nothing/there"] {
            assert_eq!(find(missing.as_ref()), Err(io::ErrorKind::NotFound), "{missing}");
        }
    }
}
