//! `/api/v1/resources`: all resources, filtered, in name order; and one by name.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderName, HeaderValue, StatusCode};
use boskos_core::{
    Owner, Resource, ResourceName, ResourceType, State,
    ranch::{
        SnapshotId, SnapshotRead,
        command::{self, Command, Filter, Watch},
    },
};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{error, no_such_resource};
use crate::{
    app::App,
    http::{BrokenOff, Reply, ReplyBody, query},
    steward::Steward,
    verb::acquire::wait_of,
};

/// Resources looked at under the lock in one go.
const PAGE: usize = 256;

/// How long a listing waits for others to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon it looks again whether it may begin.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The header that tells up to where a listing goes, for `since`. Opaque to callers.
const SEQUENCE: HeaderName = HeaderName::from_static("boskos-sequence");

struct Asked {
    filter: Filter,
    /// Waits for what is newer than the listing that said so.
    since: Option<String>,
    after: Option<ResourceName>,
    limit: usize,
    wait: Duration,
}

pub(super) async fn list(app: &App, query: &str) -> Reply {
    let asked = match read(query, app.max_wait) {
        Ok(asked) => asked,
        Err(text) => return error(StatusCode::BAD_REQUEST, &text),
    };
    // Of another ranch, before a restart say: anything is news.
    let since = asked.since.as_deref().and_then(|text| app.steward.sequence_of(text));
    let with_sequence = |reply: Reply, up_to: String| match HeaderValue::try_from(up_to) {
        Ok(value) => reply.with_header(SEQUENCE, value),
        Err(_) => reply,
    };
    // Before each look: what lands meanwhile is told twice rather than not at all.
    let mut up_to = app.steward.sequence_text();
    if since.is_some() || !asked.wait.is_zero() {
        let watch = Watch { filter: asked.filter.clone(), since, wait: asked.wait };
        let (watched, _) = app.steward.call(Command::Watch(watch)).await.open();
        if let command::Reply::Refused(refusal) = watched {
            return error(StatusCode::SERVICE_UNAVAILABLE, &refusal.to_string()).with_retry_after(1);
        }
        if matches!(watched, command::Reply::Watched { found: false }) {
            return with_sequence(Reply::json("[]\n"), up_to);
        }
        up_to = app.steward.sequence_text();
    }
    let Some(mut listing) = Listing::open(&app.steward, asked).await else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "too many listings are under way, try again later")
            .with_retry_after(1);
    };
    with_sequence(Reply::json_stream(ReplyBody::pages(move || listing.next())), up_to)
}

pub(super) fn one(app: &App, name: &str) -> Reply {
    match app.steward.read(|ranch, _| ranch.resource(name).map(|(resource, _)| resource.clone())) {
        Some(resource) => Reply::json(resource.to_json()),
        None => no_such_resource(name),
    }
}

fn read(text: &str, max_wait: Duration) -> Result<Asked, String> {
    let mut asked =
        Asked { filter: Filter::default(), since: None, after: None, limit: usize::MAX, wait: Duration::ZERO };
    for (key, value) in query::pairs(text) {
        match &*key {
            "type" => asked.filter.types.push(ResourceType::from(&*value)),
            "state" => asked.filter.states.push(State::from(&*value)),
            "owner" => asked.filter.owners.push(Owner::from_wire(&value)),
            "after" => asked.after = Some(ResourceName::from(&*value)),
            "limit" => {
                asked.limit = value.parse().map_err(|_| format!("limit must be a whole number, not {value:?}"))?;
            }
            "since" => asked.since = Some(value.into_owned()),
            "wait" => asked.wait = wait_of(&value, max_wait).map_err(|error| error.to_string())?,
            _ => {}
        }
    }
    Ok(asked)
}

/// A snapshot on its way out.
struct Listing {
    steward: Arc<Steward>,
    snapshot: SnapshotId,
    filter: Filter,
    left: usize,
    stage: Stage,
    page: Vec<Resource>,
}

#[derive(PartialEq)]
enum Stage {
    First,
    Further,
    Ended,
}

impl Listing {
    /// Opens a listing once there are few enough, of which many may be asked for at one moment: when the first match of
    /// many who wait is there, or their waits end. `None` if that takes too long.
    async fn open(steward: &Arc<Steward>, asked: Asked) -> Option<Self> {
        let give_up = Instant::now() + PATIENCE;
        let snapshot = loop {
            let closed = steward.listing_closed().notified();
            if let Some(snapshot) = steward.with_ranch(|ranch, now| ranch.open_snapshot(asked.after.clone(), now)) {
                break snapshot;
            }
            if Instant::now() >= give_up {
                return None;
            }
            // One that ends because it took too long is not told of.
            let _ = timeout_at(give_up.min(Instant::now() + LOOK_AGAIN), closed).await;
        };
        Some(Self {
            steward: steward.clone(),
            snapshot,
            filter: asked.filter,
            left: asked.limit,
            stage: Stage::First,
            page: Vec::with_capacity(PAGE),
        })
    }

    /// The next chunk of the array.
    fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        if self.stage == Stage::Ended {
            return None;
        }
        self.page.clear();
        let read =
            self.steward.with_ranch(|ranch, _| ranch.read_snapshot(self.snapshot, &self.filter, PAGE, &mut self.page));
        if read == SnapshotRead::Closed {
            return Some(Err(BrokenOff::default()));
        }
        let mut out = String::with_capacity(self.page.len() * 200 + 2);
        for resource in self.page.drain(..).take(self.left) {
            self.left -= 1;
            out.push(if self.stage == Stage::First { '[' } else { ',' });
            self.stage = Stage::Further;
            resource.write_json(&mut out);
        }
        if read == SnapshotRead::Last || self.left == 0 {
            if self.stage == Stage::First {
                out.push('[');
            }
            out.push_str("]\n");
            self.stage = Stage::Ended;
        }
        Some(Ok(Bytes::from(out)))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.steward.with_ranch(|ranch, _| ranch.close_snapshot(self.snapshot));
        self.steward.listing_closed().notify_one();
    }
}
