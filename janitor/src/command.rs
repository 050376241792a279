//! Which command cleans which type.

use std::{collections::BTreeMap, convert::Infallible, ffi::OsString, io, path::PathBuf, str::FromStr};

use boskos_client::{ResourceName, ResourceType, process, types::TypeFlags};

/// The command of types that have none of their own, as images in the field carry it.
const DEFAULT: &str = "/bin/gcp_janitor.py";

/// What one `--janitor-path` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathFlag {
    /// `PATH`: for all types without one of their own.
    Others(PathBuf),
    /// `TYPE=PATH`.
    Of(ResourceType, PathBuf),
}

/// Why a command is of no use.
#[derive(Debug, thiserror::Error)]
#[error("--janitor-path: cannot run {}", path.display())]
pub struct CommandError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// The commands and what they are called with.
#[derive(Clone, Debug)]
pub struct Commands {
    others: PathBuf,
    by_type: BTreeMap<ResourceType, PathBuf>,
    arguments: Vec<OsString>,
}

// === impl PathFlag ===

impl FromStr for PathFlag {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('=') {
            // A path may hold the sign too; a type holds no slash.
            Some((r#type, path)) if !r#type.is_empty() && !r#type.contains('/') => Self::Of(r#type.into(), path.into()),
            _ => Self::Others(text.into()),
        })
    }
}

// === impl Commands ===

impl Commands {
    /// The commands of `paths`, the last for a type counts, after a look whether those that `types` may need are
    /// there.
    ///
    /// # Errors
    ///
    /// If one is not, or cannot be run.
    pub fn new(paths: &[PathFlag], arguments: Vec<OsString>, types: &TypeFlags) -> Result<Self, CommandError> {
        let mut commands = Self { others: DEFAULT.into(), by_type: BTreeMap::new(), arguments };
        for path in paths {
            match path {
                PathFlag::Others(path) => commands.others.clone_from(path),
                PathFlag::Of(r#type, path) => drop(commands.by_type.insert(r#type.clone(), path.clone())),
            }
        }
        let listed = types.resource_type.as_deref().unwrap_or_default().split(',').map(str::trim);
        let mut others = listed.filter(|r#type| !r#type.is_empty() && !commands.by_type.contains_key(*r#type));
        // Types of a file come and go: any may turn up.
        let needs_others = types.file().is_some() || others.next().is_some();
        for path in commands.by_type.values().chain(needs_others.then_some(&commands.others)) {
            process::find_on_path(path.as_os_str()).map_err(|source| CommandError { path: path.clone(), source })?;
        }
        Ok(commands)
    }

    /// The command for `type`, as it is to be found now.
    ///
    /// # Errors
    ///
    /// If it is missing or cannot be run.
    pub(crate) fn program(&self, r#type: &ResourceType) -> Result<PathBuf, CommandError> {
        let path = self.by_type.get(r#type).unwrap_or(&self.others);
        process::find_on_path(path.as_os_str()).map_err(|source| CommandError { path: path.clone(), source })
    }

    /// What it is called with for one resource.
    pub(crate) fn arguments(&self, r#type: &ResourceType, name: &ResourceName) -> Vec<OsString> {
        let word = r#type.as_str().rsplit('-').next().unwrap_or_default();
        let own = OsString::from(format!("--{word}={name}"));
        std::iter::once(own).chain(self.arguments.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn types(listed: &str) -> TypeFlags {
        TypeFlags { resource_type: Some(listed.to_owned()), resource_type_from_config: None }
    }

    fn paths(texts: &[&str]) -> Vec<PathFlag> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn commands_are_called_by_the_last_word_of_the_type() {
        let arguments = vec!["--hours".into(), "0".into()];
        let commands = Commands::new(&paths(&["/nowhere", "/bin/sh"]), arguments, &types("a")).unwrap();
        for (r#type, word) in [("gce-project", "--project=n"), ("project", "--project=n"), ("a-b-c", "--c=n")] {
            let called = commands.arguments(&r#type.into(), &"n".into());
            assert_eq!(called, [word, "--hours", "0"], "{type}");
        }
    }

    #[test]
    fn types_have_commands_of_their_own_and_all_that_may_be_needed_must_be_there() {
        let both = paths(&["/bin/sh", "a=cat", "odd/x=y=z"]);
        assert_eq!(both[2], PathFlag::Others("odd/x=y=z".into()));
        let commands = Commands::new(&both[..2], Vec::new(), &types("a,b")).unwrap();
        assert!(commands.program(&"a".into()).unwrap().ends_with("cat"));
        assert_eq!(commands.program(&"b".into()).unwrap(), Path::new("/bin/sh"));
        // The default is not there, and nobody needs it.
        Commands::new(&paths(&["a=/bin/sh"]), Vec::new(), &types("a")).unwrap();
        // An unset variable in a manifest is no file.
        let unset = TypeFlags { resource_type_from_config: Some(PathBuf::new()), ..types("a") };
        Commands::new(&paths(&["a=/bin/sh"]), Vec::new(), &unset).unwrap();
        let set = TypeFlags { resource_type_from_config: Some("types.yaml".into()), ..types("a") };
        assert!(Commands::new(&paths(&["a=/bin/sh"]), Vec::new(), &set).is_err());
        let refused = |texts: &[&str], listed: &str| {
            Commands::new(&paths(texts), Vec::new(), &types(listed)).unwrap_err().path.display().to_string()
        };
        assert_eq!(refused(&["a=/bin/sh", "/nowhere"], "a,b"), "/nowhere");
        assert_eq!(refused(&["a=/nowhere"], "b"), "/nowhere");
        assert_eq!(refused(&["no-such-command"], "b"), "no-such-command");
        assert_eq!(refused(&["/bin"], "b"), "/bin");
    }
}
