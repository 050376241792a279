//! `/api/v1/queue`: who waits, for what, since when, at which rank.

use boskos_core::WallTime;
use serde::Serialize;

use super::json;
use crate::{app::App, http::Reply};

#[derive(Serialize)]
struct Shown {
    r#type: String,
    state: String,
    rank: usize,
    request_id: Option<String>,
    owner: Option<String>,
    since: WallTime,
    waited_seconds: f64,
    parked: bool,
}

pub(super) fn answer(app: &App) -> Reply {
    let places = app.steward.read(|ranch, now| ranch.queue(now));
    let shown = places.into_iter().map(|place| Shown {
        r#type: place.r#type.as_str().to_owned(),
        state: place.state.as_str().to_owned(),
        rank: place.rank,
        request_id: place.request_id,
        owner: place.owner,
        since: place.since,
        waited_seconds: place.waited.as_secs_f64(),
        parked: place.parked,
    });
    json(&shown.collect::<Vec<_>>())
}
