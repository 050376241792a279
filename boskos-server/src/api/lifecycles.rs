//! `/api/v1/lifecycles`: what makes types dynamic.

use boskos_core::Lifecycle;
use serde::Serialize;

use super::json;
use crate::{app::App, http::Reply};

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    lifecycle: Lifecycle,
    draining: bool,
}

pub(super) fn answer(app: &App) -> Reply {
    let all = app.steward.read(|ranch, _| ranch.lifecycles());
    let shown = all.into_iter().map(|kept| Shown { lifecycle: kept.lifecycle, draining: kept.draining });
    json(&shown.collect::<Vec<_>>())
}
