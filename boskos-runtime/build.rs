//! Hands the git commit to the compiler as `BOSKOS_BUILD_COMMIT`.
//!
//! The files of `.git` are read here rather than by the `git` command, which build images lack and which refuses
//! checkouts of another user.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Enough of a commit's 40 digits to be the only one.
const SHOWN_DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BOSKOS_COMMIT");
    // A name given on purpose wins: an image may be built from a checkout whose history was cut.
    let given = env::var("BOSKOS_COMMIT").ok().filter(|commit| is_printable(commit));
    let commit = given.or_else(commit_of_checkout).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BOSKOS_BUILD_COMMIT={commit}");
}

fn is_printable(commit: &str) -> bool {
    !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The commit that is checked out, where this workspace's own directory has a `.git`.
///
/// Directories further up are not searched: an unpacked archive may lie within somebody else's repository.
fn commit_of_checkout() -> Option<String> {
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).parent()?.to_owned();
    let git_dir = git_dir(&workspace.join(".git"))?;
    let head = watched(&git_dir.join("HEAD"))?;
    let commit = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_owned(),
        Some(name) => resolve(&git_dir, name)?,
    };
    let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| commit[..SHOWN_DIGITS].to_owned())
}

/// `.git` is a directory, or in a linked worktree a file that names one.
fn git_dir(dot_git: &Path) -> Option<PathBuf> {
    if dot_git.is_dir() {
        return Some(dot_git.to_owned());
    }
    let text = watched(dot_git)?;
    Some(dot_git.parent()?.join(text.trim().strip_prefix("gitdir: ")?))
}

fn resolve(git_dir: &Path, name: &str) -> Option<String> {
    let common = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim()),
        Err(_) => git_dir.to_owned(),
    };
    if let Some(commit) = watched(&common.join(name)) {
        return Some(commit.trim().to_owned());
    }
    // A packed branch gets a file of its own at the next commit, which no watched file would tell; the log of HEAD does.
    watched(&git_dir.join("logs/HEAD"));
    watched(&common.join("packed-refs"))?.lines().find_map(|line| {
        let (commit, packed) = line.split_once(' ')?;
        (packed == name).then(|| commit.to_owned())
    })
}

/// Reads a file and has cargo look at it. One that is absent must not be named: cargo would run this at every build.
fn watched(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    Some(text)
}
