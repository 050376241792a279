//! `/api/v1/lifecycles`: what makes types dynamic.

use boskos_core::shown::ShownLifecycle;

use super::json;
use crate::{app::App, http::Reply};

pub(super) fn answer(app: &App) -> Reply {
    let all = app.steward.read(|ranch, _| ranch.lifecycles());
    let shown = all.into_iter().map(|kept| ShownLifecycle { lifecycle: kept.lifecycle, draining: kept.draining });
    json(&shown.collect::<Vec<_>>())
}
