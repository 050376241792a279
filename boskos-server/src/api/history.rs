//! `/api/v1/resources/NAME/history`: a resource's transitions, newest first.

use ::http::StatusCode;
use boskos_core::{Owner, WallTime};
use boskos_runtime::text;
use serde::Serialize;

use super::{error, json, no_such_resource};
use crate::{
    app::App,
    http::{Reply, query},
    store::HistoryRow,
};

/// Rows shown at most.
const MAX_ROWS: usize = 1_000;

/// One transition as JSON has it.
#[derive(Serialize)]
struct Row<'a> {
    id: u64,
    time: WallTime,
    r#type: &'a str,
    from: Option<Standing<'a>>,
    to: Option<Standing<'a>>,
}

#[derive(Serialize)]
struct Standing<'a> {
    state: &'a str,
    owner: &'a str,
}

pub(super) async fn answer(app: &App, name: &str, query: &str) -> Reply {
    let limit = match query::first(query, "limit").map(|text| text.parse::<usize>()) {
        None => MAX_ROWS,
        Some(Ok(limit)) => limit.min(MAX_ROWS),
        Some(Err(_)) => return error(StatusCode::BAD_REQUEST, "limit must be a whole number"),
    };
    let Some(newest) = app.steward.read(|ranch, _| ranch.resource(name).map(|(_, newest)| newest)) else {
        return no_such_resource(name);
    };
    let steward = app.steward.clone();
    let rows = tokio::task::spawn_blocking(move || steward.store().history(newest, limit)).await;
    match rows {
        Ok(Ok(rows)) => json(&rows.iter().map(row).collect::<Vec<_>>()),
        Ok(Err(failure)) => {
            tracing::error!(error = text::chain(&failure), "history cannot be read");
            error(StatusCode::SERVICE_UNAVAILABLE, &format!("history cannot be read: {}", text::chain(&failure)))
        }
        Err(panicked) => {
            tracing::error!(error = %panicked, "reading history failed");
            error(StatusCode::INTERNAL_SERVER_ERROR, "reading history failed")
        }
    }
}

fn row(row: &HistoryRow) -> Row<'_> {
    fn standing<'a>(of: &'a (boskos_core::State, Option<Owner>)) -> Standing<'a> {
        Standing { state: of.0.as_str(), owner: of.1.as_ref().map_or("", Owner::as_str) }
    }
    Row {
        id: row.id,
        time: row.at,
        r#type: &row.r#type,
        from: row.from.as_ref().map(standing),
        to: row.to.as_ref().map(standing),
    }
}
