//! Flags that everything which speaks to a server has.

use std::{
    num::{IntErrorKind, ParseIntError},
    path::PathBuf,
    str::FromStr,
};

use boskos_runtime::flags::{IgnoredFlags, ListenFlags, LogFlags};
use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
};

use crate::{BuildError, Client, ClientBuilder, CredentialsError};

/// Where the server is and who calls.
#[derive(Args, Clone, Debug)]
pub struct ClientFlags {
    /// The server; a path in it is dropped
    #[arg(long = "boskos-url", value_name = "URL", default_value = "http://boskos", hide_env_values = true)]
    pub boskos_url: String,
    /// The user of basic auth
    #[arg(long)]
    pub username: Option<String>,
    /// The file with the password of basic auth, read again when it changes
    #[arg(long = "password-file", value_name = "FILE", value_parser = maybe_empty())]
    pub password_file: Option<PathBuf>,
    /// Logging.
    #[command(flatten)]
    pub log: LogFlags,
}

/// All flags that every daemon has.
#[derive(Args, Clone, Debug)]
pub struct DaemonFlags {
    /// The server.
    #[command(flatten)]
    pub client: ClientFlags,
    /// Health and metrics ports.
    #[command(flatten)]
    pub listen: ListenFlags,
    /// Flags of the past.
    #[command(flatten)]
    pub ignored: IgnoredFlags,
}

// === impl ClientFlags ===

impl ClientFlags {
    /// A client as these flags say.
    ///
    /// # Errors
    ///
    /// If URL or credentials are of no use.
    pub fn client(&self, owner: &str) -> Result<Client, BuildError> {
        self.builder(owner)?.build()
    }

    /// The same before it is built.
    ///
    /// # Errors
    ///
    /// If one of username and password file is there without the other.
    pub fn builder(&self, owner: &str) -> Result<ClientBuilder, BuildError> {
        builder(&self.boskos_url, owner, self.username.as_deref(), self.password_file.as_ref())
    }
}

/// Reads a flag's count of what cannot be none.
///
/// # Errors
///
/// Why it is no such count.
pub fn at_least_one<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|error: ParseIntError| {
        if *error.kind() == IntErrorKind::Zero {
            "must be at least 1: with 0 nothing would ever be done".to_owned()
        } else {
            format!("not a count: {error}")
        }
    })
}

/// Takes the empty path too, as an unset variable in a manifest makes it.
pub(crate) fn maybe_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// A client's builder; an empty username or file is none, as an unset variable in a manifest makes it.
///
/// # Errors
///
/// If one of username and password file is there without the other.
pub fn builder(
    url: &str,
    owner: &str,
    username: Option<&str>,
    password_file: Option<&PathBuf>,
) -> Result<ClientBuilder, BuildError> {
    let builder = Client::builder(url, owner);
    let username = username.filter(|text| !text.is_empty());
    let password_file = password_file.filter(|path| !path.as_os_str().is_empty());
    match (username, password_file) {
        (None, None) => Ok(builder),
        (Some(username), Some(file)) => Ok(builder.password_file(username, file)),
        (Some(_), None) | (None, Some(_)) => Err(CredentialsError::OneAlone.into()),
    }
}
