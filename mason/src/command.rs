//! A converter that is a command.

use std::{borrow::Cow, collections::BTreeSet, io, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use boskos_client::{Clock, Resource, UserDataPatch, process};
use boskos_core::LifecycleConfig;
use boskos_runtime::{signal::Shutdown, text};
use serde::Serialize;

use crate::{
    ConfigConverter, Constructing, Masonable,
    run::{self, Ended, MAX_OUTPUT, RunError},
};

/// Values shorter than this are not looked for in what a command says: they are in everything.
const MIN_SECRET: usize = 4;

/// What stands in `--converter`: a config type and the command that makes resources of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandConverter {
    /// The config type.
    pub config_type: String,
    /// The command.
    pub path: PathBuf,
}

/// Why a command cannot be a converter.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Not of the form.
    #[error("not of the form TYPE=COMMAND: {0:?}")]
    Form(String),
    /// There is no such command.
    #[error("the converter {path:?} cannot be run")]
    NotRunnable {
        /// The command.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// How a command failed. None of it holds user data.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{path:?} {source}")]
    Run { path: PathBuf, source: RunError },
    #[error("{path:?} failed ({status}){}", said(.errors))]
    Status { path: PathBuf, status: ExitStatus, errors: String },
    #[error("{path:?} printed more than {MAX_OUTPUT} bytes")]
    TooLong { path: PathBuf },
    #[error("{path:?} printed something else than one JSON object of text by key")]
    NoObject { path: PathBuf },
    #[error("what it is to get cannot be written as JSON")]
    Input,
}

/// What a command is told.
#[derive(Serialize)]
struct Input<'a> {
    resource: &'a Resource,
    leased: &'a [Resource],
    config: &'a LifecycleConfig,
}

struct Construct {
    path: PathBuf,
    config: LifecycleConfig,
    timeout: Duration,
    clock: Clock,
}

// === impl CommandConverter ===

impl CommandConverter {
    /// Finds the command, on the `PATH` if its name has no slash.
    ///
    /// # Errors
    ///
    /// If it is not there or may not be run.
    pub fn find(&self) -> Result<PathBuf, CommandError> {
        let not_runnable = |source| CommandError::NotRunnable { path: self.path.clone(), source };
        process::find_on_path(self.path.as_os_str()).map_err(not_runnable)
    }

    /// The converter: each run may take `timeout`.
    ///
    /// # Errors
    ///
    /// If the command is not there or may not be run.
    pub fn converter(&self, timeout: Duration, clock: &Clock) -> Result<ConfigConverter, CommandError> {
        let (path, config_type, clock) = (self.find()?, self.config_type.clone(), clock.clone());
        Ok(Arc::new(move |content| {
            let config = LifecycleConfig { r#type: config_type.clone(), content: content.to_owned() };
            Ok(Box::new(Construct { path: path.clone(), config, timeout, clock: clock.clone() }))
        }))
    }
}

impl std::str::FromStr for CommandConverter {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        match text.split_once('=') {
            Some((config_type, path)) if !config_type.is_empty() && !path.is_empty() => {
                Ok(Self { config_type: config_type.to_owned(), path: path.into() })
            }
            _ => Err(CommandError::Form(text.to_owned())),
        }
    }
}

// === impl Construct ===

impl Masonable for Construct {
    fn construct<'a>(&'a self, resource: &'a Resource, leased: &'a [Resource], stop: &'a Shutdown) -> Constructing<'a> {
        Box::pin(async move { Ok(self.run(resource, leased, stop).await?) })
    }
}

impl Construct {
    async fn run(&self, resource: &Resource, leased: &[Resource], stop: &Shutdown) -> Result<UserDataPatch, Failed> {
        let path = || self.path.clone();
        let input = serde_json::to_vec(&Input { resource, leased, config: &self.config }).map_err(|_| Failed::Input)?;
        let run = run::run(&self.path, input, self.timeout, &self.clock, stop).await;
        let Ended { status, output, errors } = run.map_err(|source| Failed::Run { path: path(), source })?;
        let output = output.ok_or_else(|| Failed::TooLong { path: path() })?;
        // What serde says would quote it.
        let printed = serde_json::from_slice::<UserDataPatch>(&output);
        if !status.success() {
            let told = leased.iter().chain([resource]).flat_map(|resource| resource.user_data.to_map().into_values());
            let made = printed.into_iter().flatten().filter_map(|(_, value)| value);
            let errors = without(&String::from_utf8_lossy(&errors), told.chain(made));
            return Err(Failed::Status { path: path(), status, errors });
        }
        printed.map_err(|_| Failed::NoObject { path: path() })
    }
}

/// `text` with `***` in place of every secret in it, of each line of one too, as it is and as JSON has it.
fn without(text: &str, secrets: impl Iterator<Item = String>) -> String {
    let mut forms = BTreeSet::new();
    for secret in secrets {
        for part in secret.lines().chain([secret.as_str()]).map(str::trim) {
            let json = serde_json::to_string(part).unwrap_or_default();
            let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            forms.extend(inner.map(str::to_owned));
            forms.insert(part.to_owned());
        }
    }
    let mut forms: Vec<String> = forms.into_iter().filter(|form| form.len() >= MIN_SECRET).collect();
    // A secret may begin with another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    let clean = forms.iter().fold(Cow::Borrowed(text), |text, form| match text.contains(form.as_str()) {
        true => Cow::Owned(text.replace(form.as_str(), "***")),
        false => text,
    });
    text::one_line(&text::without_userinfo(clean.trim())).into_owned()
}

fn said(errors: &str) -> String {
    if errors.is_empty() { String::new() } else { format!(": {errors}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converters_are_read() {
        let converter: CommandConverter = "AWSClusterCreator=/bin/make=cluster".parse().unwrap();
        assert_eq!(
            (converter.config_type.as_str(), converter.path.to_str()),
            ("AWSClusterCreator", Some("/bin/make=cluster"))
        );
        for bad in ["", "=", "a=", "=b", "a"] {
            assert!(bad.parse::<CommandConverter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn commands_are_found_as_a_shell_finds_them() {
        let find = |path: &str| CommandConverter { config_type: "t".into(), path: path.into() }.find();
        assert!(find("sh").unwrap().ends_with("sh"));
        assert!(find("/bin/sh").is_ok());
        for bad in ["/", "/etc/passwd", "/nothing/there", "nothing-like-this"] {
            assert!(find(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_taken_out_in_every_form() {
        let secrets = ["c4n4ry", "c4n4ry-long", "one line\ntwo \"lines\"", "ab"].map(str::to_owned);
        let text = "c4n4ry-long c4n4ry\n\"one line\\ntwo \\\"lines\\\"\" one line, ab\n";
        assert_eq!(without(text, secrets.into_iter()), "*** ***\\n\"***\" ***, ab");
    }
}
