//! `get`, `history`, `queue`: tables for eyes, JSON for programs.

use boskos_client::{Client, Filter, HistoryRow, Owner, Resource, ShownPlace};
use boskos_runtime::{stdout, text};
use serde::Serialize;

use crate::{
    args::{Get, Output},
    error::CtlError,
};

pub(crate) async fn get(client: &Client, asked: &Get) -> Result<(), CtlError> {
    let resources = match &asked.name {
        Some(name) => vec![client.resource(name).await?],
        None => {
            let filter = Filter {
                types: asked.r#type.iter().map(|text| text.as_str().into()).collect(),
                states: asked.state.iter().map(|text| text.as_str().into()).collect(),
                owners: asked.owner.iter().map(|text| Owner::from_wire(text)).collect(),
            };
            client.list(&filter).await?
        }
    };
    match asked.output.output {
        Output::Json => json(&resources),
        Output::Table => {
            let row = |resource: &Resource| {
                [
                    resource.name.as_str().to_owned(),
                    resource.r#type.as_str().to_owned(),
                    resource.state.as_str().to_owned(),
                    resource.owner.as_ref().map_or("-", Owner::as_str).to_owned(),
                    resource.last_update.to_string(),
                ]
            };
            table(["NAME", "TYPE", "STATE", "OWNER", "UPDATED"], resources.iter().map(row))
        }
    }
}

pub(crate) async fn history(client: &Client, name: &str, limit: usize, output: Output) -> Result<(), CtlError> {
    let rows = client.history(name, limit).await?;
    match output {
        Output::Json => json(&rows),
        Output::Table => {
            let row = |row: &HistoryRow| {
                let owner = |owner: &str| if owner.is_empty() { "-" } else { owner }.to_owned();
                let (from, to) = (row.from.as_ref(), row.to.as_ref());
                [
                    row.time.to_string(),
                    row.r#type.clone(),
                    from.map_or("(new)", |standing| standing.state.as_str()).to_owned(),
                    to.map_or("(deleted)", |standing| standing.state.as_str()).to_owned(),
                    to.map_or_else(|| "-".to_owned(), |standing| owner(&standing.owner)),
                ]
            };
            table(["TIME", "TYPE", "FROM", "TO", "OWNER"], rows.iter().map(row))
        }
    }
}

pub(crate) async fn queue(client: &Client, output: Output) -> Result<(), CtlError> {
    let places = client.queue().await?;
    match output {
        Output::Json => json(&places),
        Output::Table => {
            let row = |place: &ShownPlace| {
                [
                    place.r#type.as_str().to_owned(),
                    place.state.as_str().to_owned(),
                    place.rank.to_string(),
                    place.owner.clone().unwrap_or_else(|| "-".to_owned()),
                    place.request_id.clone().unwrap_or_else(|| "-".to_owned()),
                    format!("{:.0}s", place.waited_seconds),
                ]
            };
            table(["TYPE", "STATE", "RANK", "OWNER", "REQUEST", "WAITED"], places.iter().map(row))
        }
    }
}

/// One JSON text on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CtlError> {
    let json = serde_json::to_string(value).expect("keys are text and no value refuses");
    stdout::print_line(&text::printable_json(&json))?;
    Ok(())
}

/// Columns as wide as what stands in them, two blanks between.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Result<(), CtlError> {
    let shown = |cells: [String; N]| cells.map(|cell| text::one_line(&cell).into_owned());
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.map(shown));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for line in &lines {
        let mut padded = String::new();
        for (cell, width) in line.iter().zip(widths) {
            padded.push_str(cell);
            padded.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        out.push_str(padded.trim_end());
        out.push('\n');
    }
    stdout::print(&out)?;
    Ok(())
}
