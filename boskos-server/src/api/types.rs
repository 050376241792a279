//! `/api/v1/types`: the counts of every type.

use boskos_core::wire;

use crate::{app::App, http::Reply};

pub(super) fn answer(app: &App) -> Reply {
    let types = app.steward.read(|ranch, _| ranch.types());
    let mut out = String::from("[");
    for r#type in types {
        // One look per type: with many owners each takes its time.
        let metric = app.steward.read(|ranch, _| ranch.metric(r#type.as_str()));
        let metric = metric
            .unwrap_or_else(|| boskos_core::ranch::Metric { r#type: r#type.as_str().to_owned(), ..Default::default() });
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&wire::metric(&metric));
    }
    out.push_str("]\n");
    Reply::json(out)
}
