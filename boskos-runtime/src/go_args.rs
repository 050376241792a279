//! Command lines as Go's flag package takes them, rewritten to what clap takes.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use clap::{Arg, ArgAction, Command};

use crate::flags::{FlagError, shown};

/// Rewrites `args` (without the program's name) for `root`, which is built.
///
/// Flags that clap knows come out as `--name` or `--name=value`; the rest, and all behind `--`, stays as it is.
///
/// # Errors
///
/// On a flag that is unknown, has no name or lacks its value.
pub(crate) fn read(root: &Command, args: impl Iterator<Item = OsString>) -> Result<Vec<OsString>, FlagError> {
    let mut reader = Reader { command: root, args, read: Vec::new(), positionals: 0, last_bool: None };
    while let Some(arg) = reader.args.next() {
        reader.take(arg)?;
    }
    Ok(reader.read)
}

/// A boolean as the command line may spell it, in any case.
pub(crate) fn bool_of(text: &str) -> Option<bool> {
    let spelt = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if spelt(["1", "t", "true"]) {
        Some(true)
    } else if spelt(["0", "f", "false"]) {
        Some(false)
    } else {
        None
    }
}

struct Reader<'a, I> {
    /// The command whose flags count: the root, then each verb as it is met.
    command: &'a Command,
    args: I,
    read: Vec<OsString>,
    positionals: usize,
    /// The boolean flag that stood alone just before.
    last_bool: Option<String>,
}

/// `--name=value` taken apart.
struct Spelt<'a> {
    double: bool,
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

// === impl Reader ===

impl<I: Iterator<Item = OsString>> Reader<'_, I> {
    fn take(&mut self, arg: OsString) -> Result<(), FlagError> {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            self.read.push(arg);
            self.read.extend(self.args.by_ref());
            return Ok(());
        }
        if bytes.len() < 2 || bytes[0] != b'-' {
            return self.word(arg);
        }
        self.last_bool = None;
        self.flag(&Spelt::new(bytes)?)
    }

    /// An argument that is no flag: a verb or a positional.
    fn word(&mut self, word: OsString) -> Result<(), FlagError> {
        if let Some(verb) = self.command.find_subcommand(&word) {
            self.command = verb;
            self.positionals = 0;
            self.last_bool = None;
        } else {
            let all: Vec<&Arg> = self.command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
            // Words beyond the last positional belong to it if it takes several.
            let many = all.last().filter(|arg| arg.get_num_args().is_some_and(|values| values.max_values() > 1));
            let positional = all.get(self.positionals).or(many);
            let bool_word = word.to_str().filter(|text| bool_of(text).is_some());
            if let (None, Some(flag), Some(text)) = (positional, self.last_bool.take(), bool_word) {
                return Err(FlagError::BoolWord { flag, word: text.to_owned() });
            }
            self.positionals += 1;
            if positional.is_some_and(|arg| arg.is_trailing_var_arg_set()) {
                self.read.push(word);
                self.read.extend(self.args.by_ref());
                return Ok(());
            }
        }
        self.read.push(word);
        Ok(())
    }

    fn flag(&mut self, spelt: &Spelt<'_>) -> Result<(), FlagError> {
        let Some(name) = std::str::from_utf8(spelt.name).ok() else { return Err(self.unknown(spelt)) };
        if let Some(arg) = self.command.get_arguments().find(|arg| has_long(arg, name)) {
            return self.known(arg, &format!("--{name}"), spelt.value);
        }
        // Single letters clap's way: `-o json`, `-o=json`, and `-ojson` where no other value could be meant.
        let mut letters = name.chars();
        let short = letters.next().filter(|_| !spelt.double);
        if let Some(arg) = self.command.get_arguments().find(|arg| short.is_some() && arg.get_short() == short) {
            let letter = format!("-{}", short.unwrap_or_default());
            let attached = letters.as_str();
            if attached.is_empty() {
                return self.known(arg, &letter, spelt.value);
            }
            if spelt.value.is_none() && arg.get_possible_values().iter().any(|value| value.matches(attached, false)) {
                return self.known(arg, &letter, Some(attached.as_bytes()));
            }
        }
        Err(self.unknown(spelt))
    }

    fn known(&mut self, arg: &Arg, spelling: &str, value: Option<&[u8]>) -> Result<(), FlagError> {
        if let Some(value) = value {
            self.read.push(joined(spelling, value));
            return Ok(());
        }
        let values = arg.get_num_args().unwrap_or_else(|| 0.into());
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) && values.min_values() > 0;
        if !takes_value {
            self.last_bool = Some(spelling.trim_start_matches('-').to_owned());
            self.read.push(spelling.into());
            return Ok(());
        }
        if values.max_values() > 1 && arg.is_allow_hyphen_values_set() {
            // It takes a whole command line, whose flags are not ours.
            self.read.push(spelling.into());
            self.read.extend(self.args.by_ref());
            return Ok(());
        }
        let Some(value) = self.args.next() else {
            return Err(FlagError::NoValue(spelling.trim_start_matches('-').to_owned()));
        };
        self.read.push(joined(spelling, value.as_bytes()));
        Ok(())
    }

    fn unknown(&self, spelt: &Spelt<'_>) -> FlagError {
        let name = String::from_utf8_lossy(spelt.name);
        let flag = shown(&name);
        let having: Vec<&str> = self
            .command
            .get_subcommands()
            .filter(|verb| verb.get_arguments().any(|arg| has_long(arg, &name)))
            .map(Command::get_name)
            .collect();
        if !having.is_empty() {
            return FlagError::Misplaced { flag, commands: having.join(", ") };
        }
        let plain = |text: &str| text.to_lowercase().replace('_', "-");
        let nearest = self
            .command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set())
            .filter_map(Arg::get_long)
            .min_by_key(|known| strsim::damerau_levenshtein(&plain(known), &plain(&name)));
        FlagError::Unknown { flag, nearest: nearest.unwrap_or("help").to_owned() }
    }
}

// === impl Spelt ===

impl<'a> Spelt<'a> {
    fn new(arg: &'a [u8]) -> Result<Self, FlagError> {
        let double = arg.starts_with(b"--");
        let body = &arg[if double { 2 } else { 1 }..];
        let (name, value) = match body.iter().position(|byte| *byte == b'=') {
            Some(at) => (&body[..at], Some(&body[at + 1..])),
            None => (body, None),
        };
        if name.is_empty() || name[0] == b'-' {
            // Without the value, which may be a secret.
            let dashes = &arg[..arg.len() - value.map_or(0, |value| value.len() + 1)];
            return Err(FlagError::NoName(shown(&String::from_utf8_lossy(dashes))));
        }
        Ok(Self { double, name, value })
    }
}

fn has_long(arg: &Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

fn joined(spelling: &str, value: &[u8]) -> OsString {
    let mut bytes = OsStr::new(spelling).as_bytes().to_vec();
    bytes.push(b'=');
    bytes.extend_from_slice(value);
    OsString::from_vec(bytes)
}
