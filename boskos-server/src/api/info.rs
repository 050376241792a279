//! `/api/v1/info`: which server this is.

use super::json;
use crate::{app::App, http::Reply};

pub(super) fn answer(app: &App) -> Reply {
    json(&app.info)
}
