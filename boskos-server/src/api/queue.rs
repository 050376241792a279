//! `/api/v1/queue`: who waits, for what, since when, at which rank.

use boskos_core::{ranch::PlaceView, shown::ShownPlace};

use super::json;
use crate::{app::App, http::Reply};

pub(super) fn answer(app: &App) -> Reply {
    let mut places = app.steward.read(|ranch, now| ranch.queue(now));
    places.sort_by(PlaceView::shown_order);
    let shown = places.into_iter().map(|place| ShownPlace {
        r#type: place.r#type,
        state: place.state,
        rank: place.rank,
        request_id: place.request_id,
        owner: place.owner,
        since: place.since,
        waited_seconds: place.waited.as_secs_f64(),
        parked: place.parked,
    });
    json(&shown.collect::<Vec<_>>())
}
