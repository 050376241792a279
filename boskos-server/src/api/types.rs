//! `/api/v1/types`: the counts of every type.

use boskos_core::{ranch::Metric, wire};
use tokio::task::yield_now;

use crate::{app::App, http::Reply};

/// Types that are counted in one go.
const PAGE: usize = 100;

/// Each type is as of its own moment: one that goes meanwhile is shown without resources.
pub(super) async fn answer(app: &App) -> Reply {
    let types = app.steward.read(|ranch, _| ranch.types());
    let mut out = String::from("[");
    for (at, r#type) in types.into_iter().enumerate() {
        if at > 0 && at.is_multiple_of(PAGE) {
            // Requests come in between.
            yield_now().await;
        }
        // One look per type: with many owners each takes its time.
        let counts = app.steward.read(|ranch, _| ranch.counts(r#type.as_str()));
        let metric =
            counts.map_or_else(|| Metric { r#type: r#type.as_str().to_owned(), ..Metric::default() }, Metric::from);
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&wire::metric(&metric));
    }
    out.push_str("]\n");
    Reply::json(out)
}
