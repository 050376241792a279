//! `/api/v1/queue`: who waits, for what, since when, at which rank.

use boskos_core::{ranch::PlaceView, shown::ShownPlace};
use bytes::Bytes;

use crate::{
    app::App,
    http::{Reply, ReplyBody},
};

/// Places that are read in one go.
const PAGE: usize = 1_000;

/// Each page is as of its own moment: in a queue longer than one, a place may show the rank that it had before another
/// left.
pub(super) fn answer(app: &App) -> Reply {
    let steward = app.steward.clone();
    let mut queues = steward.read(|ranch, _| ranch.queues()).into_iter().map(|queue| (queue, None));
    let mut current = None;
    let (mut before_next, mut ended) = ("[", false);
    let next = move || {
        while let Some(((r#type, state), last)) = current.take().or_else(|| queues.next()) {
            let page = steward.read(|ranch, now| ranch.queue_page(&r#type, &state, last, PAGE, now));
            let Some(place) = page.last() else { continue };
            current = Some(((r#type, state), Some(place.number)));
            let mut out = String::with_capacity(page.len() * 160);
            for place in page {
                out.push_str(before_next);
                before_next = ",";
                out.push_str(&serde_json::to_string(&shown(place)).expect("keys are text and no value refuses"));
            }
            return Some(Ok(Bytes::from(out)));
        }
        let end = if before_next == "[" { "[]\n" } else { "]\n" };
        (!std::mem::replace(&mut ended, true)).then(|| Ok(Bytes::from_static(end.as_bytes())))
    };
    Reply::json_stream(ReplyBody::pages(next))
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
