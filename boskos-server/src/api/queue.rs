//! `/api/v1/queue`: who waits, for what, since when, at which rank.

use boskos_core::{ranch::PlaceView, shown::ShownPlace};
use tokio::task::yield_now;

use crate::{app::App, http::Reply};

/// Places that are read in one go.
const PAGE: usize = 1_000;

/// Each page is as of its own moment: in a queue longer than one, a place may show the rank that it had before another
/// left.
pub(super) async fn answer(app: &App) -> Reply {
    let mut queues = app.steward.read(|ranch, _| ranch.queues());
    queues.sort_unstable();
    let mut out = String::new();
    for (r#type, state) in queues {
        let mut last = None;
        loop {
            let page = app.steward.read(|ranch, now| ranch.queue_page(&r#type, &state, last, PAGE, now));
            let Some(place) = page.last() else { break };
            last = Some(place.number);
            for place in page {
                out.push(if out.is_empty() { '[' } else { ',' });
                out.push_str(&serde_json::to_string(&shown(place)).expect("keys are text and no value refuses"));
            }
            // Requests come in between.
            yield_now().await;
        }
    }
    out.push_str(if out.is_empty() { "[]" } else { "]" });
    Reply::json(out)
}

fn shown(place: PlaceView) -> ShownPlace {
    ShownPlace {
        r#type: place.r#type,
        state: place.state,
        rank: place.rank,
        request_id: place.request_id,
        owner: place.owner,
        since: place.since,
        waited_seconds: place.waited.as_secs_f64(),
        parked: place.parked,
    }
}
