//! `/api/v1/config/diff`: what applying a config would change.

use ::http::StatusCode;
use boskos_core::config::Config;

use super::{error, json};
use crate::{
    app::App,
    http::{Reply, RequestBody},
    sync,
};

pub(super) async fn answer(app: &App, body: RequestBody) -> Reply {
    let body = match body.read().await {
        Ok(body) => body,
        Err(failure) => return error(failure.reply().status(), &failure.to_string()).closing(),
    };
    let steward = app.steward.clone();
    let compared = tokio::task::spawn_blocking(move || {
        let (config, _) = Config::parse(&body)?;
        Ok(sync::difference(&steward, &config))
    });
    match compared.await {
        Ok(Ok(difference)) => json(&difference),
        Ok(Err(invalid)) => {
            let invalid: boskos_core::config::ConfigError = invalid;
            error(StatusCode::BAD_REQUEST, &invalid.to_string())
        }
        Err(panicked) => {
            tracing::error!(error = %panicked, "comparing configs failed");
            error(StatusCode::INTERNAL_SERVER_ERROR, "comparing configs failed")
        }
    }
}
