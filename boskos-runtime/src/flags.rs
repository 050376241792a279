//! The command line, read the way manifests in the field write it, and the flags that every process shares.
//!
//! `-flag` and `--flag` are the same, `--flag=value` and `--flag value` too, of a repeated flag the last counts, and
//! booleans stand alone or take `=VALUE`. Around that, clap does what it does.

use std::{env, ffi::OsString, process};

use clap::{
    Arg, ArgAction, Args, ColorChoice, Command, Parser,
    builder::ValueParser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{exit, go_args, listen::ListenAddress, log::LogLevel, stdout, text, version};

/// Why a command line is not taken, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// No error: the text that `--help` or `--version` asked for.
    #[error("{0}")]
    Asked(String),
    /// There is no such flag.
    #[error("unknown flag --{flag}; the nearest is --{nearest}")]
    Unknown {
        /// Its name without dashes.
        flag: String,
        /// The flag most like it, without dashes.
        nearest: String,
    },
    /// A flag of a command stands before it.
    #[error("flag --{flag} belongs behind its command: {commands}")]
    Misplaced {
        /// Its name without dashes.
        flag: String,
        /// The commands that have it, comma separated.
        commands: String,
    },
    /// Dashes without a name.
    #[error("not a flag: {0}")]
    NoName(String),
    /// The command line ends where a value is due.
    #[error("flag --{0} needs a value")]
    NoValue(String),
    /// A boolean's value stands apart.
    #[error("flag --{flag} takes its value as --{flag}={word}, not as a word of its own")]
    BoolWord {
        /// The boolean flag, without dashes.
        flag: String,
        /// What follows it.
        word: String,
    },
    /// A value, a missing flag or an argument is wrong.
    #[error("{0}")]
    Invalid(String),
}

/// The flag that sets how much is logged.
#[derive(Args, Clone, Debug, Default)]
pub struct LogFlags {
    /// The lowest level that is logged
    #[arg(long = "log-level", value_name = "LEVEL", default_value_t, ignore_case = true, value_enum)]
    pub log_level: LogLevel,
}

/// Flags that manifests in the field pass and that have no effect, before a verb or after it.
#[derive(Args, Clone, Debug, Default)]
pub struct IgnoredFlags {
    /// Accepted, does nothing
    #[arg(long = "pprof-port", value_name = "PORT", hide_short_help = true, global = true)]
    pub pprof_port: Option<String>,
    /// Accepted, does nothing
    #[arg(long = "profile-memory-usage", hide_short_help = true, global = true)]
    pub profile_memory_usage: bool,
    /// Accepted, does nothing
    #[arg(long = "memory-profile-interval", value_name = "DURATION", hide_short_help = true, global = true)]
    pub memory_profile_interval: Option<String>,
}

/// Where a process listens for probes and scrapes.
#[derive(Args, Clone, Debug)]
pub struct ListenFlags {
    /// The address that every port listens on [default: all, IPv6 and IPv4]
    #[arg(long = "listen-address", value_name = "IP", default_value_t, hide_default_value = true)]
    pub listen_address: ListenAddress,
    /// The port of /healthz and /healthz/ready
    #[arg(long = "health-port", value_name = "PORT", default_value_t = 8081)]
    pub health_port: u16,
    /// The port of Prometheus' /metrics
    #[arg(long = "metrics-port", value_name = "PORT", default_value_t = 9090)]
    pub metrics_port: u16,
}

/// Reads the process's own command line.
///
/// Help and version are printed and end the process with 0; an error is one line on standard error and ends it
/// with [`exit::FAILURE`].
#[must_use]
pub fn parse<T: Parser>() -> T {
    match try_parse_from(env::args_os()) {
        Ok(flags) => flags,
        Err(FlagError::Asked(answer)) => match stdout::print(&answer) {
            Ok(()) | Err(stdout::StdoutError::Closed) => process::exit(0),
            Err(error @ stdout::StdoutError::Write(_)) => fail(&exit::one_line(&error.into())),
        },
        Err(error) => fail(&error.to_string()),
    }
}

/// Reads `args`, the first of which is the program's name.
///
/// # Errors
///
/// What is wrong with them, or the text that `--help` or `--version` asks for.
pub fn try_parse_from<T, I>(args: I) -> Result<T, FlagError>
where
    T: Parser,
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let mut command = command::<T>();
    let mut args = args.into_iter().map(Into::into);
    let program = args.next().unwrap_or_else(|| command.get_name().into());
    let read = go_args::read(&command, args)?;
    let matches = command.try_get_matches_from_mut([program].into_iter().chain(read));
    matches
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command)))
        .map_err(|error| FlagError::of_clap(&error, &command))
}

/// The clap tree of `T` as it is parsed: what completions and man pages are made of.
#[must_use]
pub fn command<T: Parser>() -> Command {
    let mut command = with_go_bools(T::command())
        .version(version::TEXT)
        .args_override_self(true)
        .color(ColorChoice::Never)
        .arg_required_else_help(false);
    command.build();
    command
}

/// Boolean flags take `=VALUE` besides standing alone.
fn with_go_bools(command: Command) -> Command {
    command.mut_args(with_go_bool).mut_subcommands(|sub| with_go_bools(sub).arg_required_else_help(false))
}

fn with_go_bool(arg: Arg) -> Arg {
    let is_flag = arg.get_long().is_some() || arg.get_short().is_some();
    let sets_true = matches!(arg.get_action(), ArgAction::SetTrue);
    let is_bool = arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>();
    if !is_flag || !(sets_true || is_bool && matches!(arg.get_action(), ArgAction::Set)) {
        return arg;
    }
    let without_default = arg.get_default_values().is_empty();
    let arg = arg
        .action(ArgAction::Set)
        .value_parser(ValueParser::from(go_bool))
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .hide_default_value(true)
        .default_missing_value("true");
    if sets_true && without_default { arg.default_value("false") } else { arg }
}

fn go_bool(text: &str) -> Result<bool, String> {
    go_args::bool_of(text).ok_or_else(|| "not one of true, false, t, f, 1, 0".to_owned())
}

fn fail(line: &str) -> ! {
    exit::eprintln_quietly(line);
    process::exit(exit::FAILURE.into())
}

// === impl FlagError ===

impl FlagError {
    fn of_clap(error: &clap::Error, command: &Command) -> Self {
        #[allow(clippy::wildcard_enum_match_arm, reason = "clap's list grows; the text says the rest")]
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Asked(error.to_string()),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
                Self::Invalid(without_command(error, command))
            }
            _ => Self::Invalid(shown(&first_paragraphs(&error.to_string()))),
        }
    }
}

fn without_command(error: &clap::Error, command: &Command) -> String {
    let commands = match error.get(ContextKind::ValidSubcommand) {
        Some(ContextValue::Strings(names)) => names.join(", "),
        _ => {
            let names: Vec<&str> =
                command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name).collect();
            names.join(", ")
        }
    };
    format!("a command is missing, one of: {commands}")
}

/// What clap says, without the usage and the hints that follow it, on one line.
fn first_paragraphs(message: &str) -> String {
    let mut line = String::new();
    let said = message.trim_start_matches("error: ").lines().map(str::trim);
    for part in said.take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more information")) {
        if part.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push_str(if part.starts_with("tip:") { "; " } else { " " });
        }
        line.push_str(part);
    }
    line
}

/// `text` from the command line, fit for a terminal or a log.
pub(crate) fn shown(text: &str) -> String {
    text::one_line(&text::without_userinfo(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn levels_are_listed_as_the_flag_reads_them() {
        let names: Vec<_> = LogLevel::value_variants().iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), "panic fatal error warn warning info debug trace");
    }

    #[test]
    fn clap_text_becomes_one_line() {
        let said =
            "error: no such thing 'x'\n\n  tip: there is 'y'\n\nUsage: a b\n\nFor more information, try '--help'.\n";
        assert_eq!(first_paragraphs(said), "no such thing 'x'; tip: there is 'y'");
    }
}
