//! `completions` and `man`: both from the tree that the command line is read with.

use std::{fs, path::Path};

use boskos_runtime::{flags, stdout};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{args::Cli, error::CtlError};

pub(crate) fn completions(shell: Shell) -> Result<(), CtlError> {
    let mut command = flags::command::<Cli>();
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, "boskosctl", &mut out);
    stdout::print(&String::from_utf8_lossy(&out))?;
    Ok(())
}

pub(crate) fn man(dir: Option<&Path>) -> Result<(), CtlError> {
    let command = flags::command::<Cli>();
    match dir {
        None => {
            stdout::print(&page(&command, "boskosctl"))?;
            Ok(())
        }
        Some(dir) => write(dir, &command, "boskosctl"),
    }
}

/// Writes the page of a command and those of its verbs.
fn write(dir: &Path, command: &Command, name: &str) -> Result<(), CtlError> {
    let file = dir.join(format!("{name}.1"));
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&file, page(command, name)))
        .map_err(|error| CtlError::Write(file, error))?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        write(dir, verb, &format!("{name}-{}", verb.get_name()))?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> String {
    let mut out = Vec::new();
    let title = name.to_uppercase();
    Man::new(command.clone().name(name.to_owned())).title(title).render(&mut out).expect("a Vec takes what is written");
    String::from_utf8_lossy(&out).into_owned()
}
