//! `/api/v1/resources/NAME/history`: a resource's transitions, newest first.

use ::http::StatusCode;
use boskos_core::{
    Owner, State,
    shown::{ShownStanding, ShownTransition},
};
use boskos_runtime::text;

use super::{error, json, no_such_resource};
use crate::{
    app::App,
    http::{Reply, query},
    store::HistoryRow,
};

/// Rows shown at most.
const MAX_ROWS: usize = 1_000;

pub(super) async fn answer(app: &App, name: &str, query: &str) -> Reply {
    let limit = match query::first(query, "limit").map(|text| text.parse::<usize>()) {
        None => MAX_ROWS,
        Some(Ok(limit)) => limit.min(MAX_ROWS),
        Some(Err(_)) => return error(StatusCode::BAD_REQUEST, "limit must be a whole number"),
    };
    let Some(newest) = app.steward.read(|ranch, _| ranch.resource(name).map(|(_, newest)| newest)) else {
        return no_such_resource(name);
    };
    match app.steward.history(newest, limit).await {
        Ok(rows) => json(&rows.into_iter().map(shown).collect::<Vec<_>>()),
        Err(failure) => {
            tracing::error!(error = text::chain(&failure), "history cannot be read");
            error(StatusCode::SERVICE_UNAVAILABLE, &format!("history cannot be read: {}", text::chain(&failure)))
        }
    }
}

fn shown(row: HistoryRow) -> ShownTransition {
    let standing = |(state, owner): (State, Option<Owner>)| ShownStanding {
        state,
        owner: owner.map_or_else(String::new, |owner| owner.as_str().to_owned()),
    };
    ShownTransition {
        id: row.id,
        time: row.at,
        r#type: row.r#type,
        from: row.from.map(standing),
        to: row.to.map(standing),
    }
}
