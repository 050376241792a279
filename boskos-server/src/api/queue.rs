//! `/api/v1/queue`: who waits, for what, since when, at which rank.

use boskos_core::{ranch::PlaceView, shown::ShownPlace};

use super::json;
use crate::{app::App, http::Reply};

/// Places that are read in one go.
const PAGE: usize = 1_000;

/// Each page is as of its own moment: in a queue longer than one, a place may show the rank that it had before another
/// left.
pub(super) fn answer(app: &App) -> Reply {
    let mut places = Vec::new();
    for (r#type, state) in app.steward.read(|ranch, _| ranch.queues()) {
        let mut last = None;
        loop {
            let page = app.steward.read(|ranch, now| ranch.queue_page(&r#type, &state, last, PAGE, now));
            let Some(place) = page.last() else { break };
            last = Some(place.number);
            places.extend(page);
        }
    }
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
