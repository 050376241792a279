//! `config check` and `config diff`.

use std::path::Path;

use boskos_client::{Client, Difference, config_file};
use boskos_runtime::{stdout, text};

use crate::{args::Output, error::CtlError, show};

/// Names shown of each kind of change.
const MAX_SHOWN: usize = 20;

pub(crate) fn check(file: &Path) -> Result<(), CtlError> {
    match config_file::check(file) {
        Ok(warnings) => {
            stdout::eprint_lines(warnings.iter().map(|warning| format!("warning: {warning}")));
            Ok(())
        }
        Err(error) => {
            stdout::eprint_lines(error.lines());
            Err(CtlError::Silent(1))
        }
    }
}

pub(crate) async fn diff(client: &Client, file: &Path, output: Output) -> Result<(), CtlError> {
    let bytes = config_file::read(file)?;
    // Violations are told as `check` tells them, without a server.
    config_file::parse(file, &bytes)?;
    let difference = client.config_diff(bytes).await?;
    match output {
        Output::Json => show::json(&difference),
        Output::Table => {
            stdout::print(&told(&difference))?;
            Ok(())
        }
    }
}

fn told(difference: &Difference) -> String {
    let names = [
        ("add", &difference.add),
        ("delete", &difference.delete),
        ("remake", &difference.remake),
        ("adopt", &difference.adopt),
    ];
    let mut out = String::new();
    for (what, names) in names.into_iter().filter(|(_, names)| names.count > 0) {
        line(&mut out, what, names.count, &names.names);
    }
    for (what, types) in [("set lifecycle", &difference.lifecycles), ("drain", &difference.drain)] {
        if !types.is_empty() {
            line(&mut out, what, types.len(), types);
        }
    }
    if out.is_empty() { "no changes\n".to_owned() } else { out }
}

fn line(out: &mut String, what: &str, count: usize, names: &[String]) {
    let shown: Vec<_> = names.iter().take(MAX_SHOWN).map(|name| text::one_line(name)).collect();
    let more = if count > shown.len() { format!(" and {} more", count - shown.len()) } else { String::new() };
    out.push_str(&format!("{what} {count}: {}{more}\n", shown.join(" ")));
}
