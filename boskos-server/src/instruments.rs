//! What Prometheus is told.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::http::{Method, StatusCode};
use boskos_core::{Resource, ResourceType, State, state};
use hashbrown::HashMap;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts, PullingGauge, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{http::Reply, route::Route, steward::Steward};

/// Methods with a label of their own; the rest shares one.
const METHODS: [Method; 8] = [
    Method::GET,
    Method::POST,
    Method::HEAD,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::CONNECT,
];

/// Statuses that the server gives.
const STATUSES: [StatusCode; 13] = [
    StatusCode::OK,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::CONFLICT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

const OTHER: &str = "other";

/// All metrics of the server.
pub struct Instruments {
    acquire_duration: HistogramVec,
    request_duration: HistogramVec,
    response_size: HistogramVec,
    /// Duration and size by route, method and status, looked up once each.
    by_request: Vec<OnceLock<(Histogram, Histogram)>>,
    grants: parking_lot::RwLock<HashMap<GrantKey, Histogram>>,
}

/// Between which states, as labels have them, which type went, and whether there was a request id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct GrantKey {
    r#type: ResourceType,
    from: &'static str,
    to: &'static str,
    has_request_id: bool,
}

impl Instruments {
    /// Registers everything.
    ///
    /// # Errors
    ///
    /// If something of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let acquire_duration = HistogramVec::new(
            HistogramOpts::new("boskos_acquire_duration_seconds", "Time from the first request to the grant.")
                .buckets(vec![0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 10.0, 100.0, 500.0, 1000.0, 1500.0, 2000.0]),
            &["type", "state", "dest", "has_request_id"],
        )?;
        let mut durations = vec![0.005];
        durations.extend((0..18).map(|power| 0.007_812_5 * f64::from(1 << power)));
        durations.push(1200.0);
        let request_duration = HistogramVec::new(
            HistogramOpts::new("boskos_http_request_duration_seconds", "Time from a request's head to its answer.")
                .buckets(durations),
            &["path", "method", "status"],
        )?;
        let response_size = HistogramVec::new(
            HistogramOpts::new("boskos_http_response_size_bytes", "Bytes of answers' bodies.")
                .buckets((0..10).map(|power| f64::from(128 << power)).collect()),
            &["path", "method", "status"],
        )?;
        registry.register(Box::new(acquire_duration.clone()))?;
        registry.register(Box::new(request_duration.clone()))?;
        registry.register(Box::new(response_size.clone()))?;
        let by_request = 0..Route::COUNT * (METHODS.len() + 1) * (STATUSES.len() + 1);
        Ok(Self {
            acquire_duration,
            request_duration,
            response_size,
            by_request: by_request.map(|_| OnceLock::new()).collect(),
            grants: parking_lot::RwLock::default(),
        })
    }

    /// Notes an answered request.
    pub fn request(&self, route: Route, method: &Method, reply: &Reply, took: Duration) {
        let method_index = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        let status = reply.status();
        let status_index = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        let index = (route.index() * (METHODS.len() + 1) + method_index) * (STATUSES.len() + 1) + status_index;
        let (duration, size) = self.by_request[index].get_or_init(|| {
            let method = METHODS.get(method_index).map_or(OTHER, Method::as_str);
            let status = STATUSES.get(status_index).map_or(OTHER, StatusCode::as_str);
            let labels = [route.label(), method, status];
            (self.request_duration.with_label_values(&labels), self.response_size.with_label_values(&labels))
        });
        duration.observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        if let Some(bytes) = reply.size() {
            size.observe(bytes as f64);
        }
    }

    /// Notes a grant of a resource that was in state `from`.
    pub fn granted(&self, resource: &Resource, from: &State, has_request_id: bool, waited: Duration) {
        let seconds = waited.as_secs_f64();
        let (from, to) = (label_of(from), label_of(&resource.state));
        let key = GrantKey { r#type: resource.r#type.clone(), from, to, has_request_id };
        if let Some(histogram) = self.grants.read().get(&key) {
            return histogram.observe(seconds);
        }
        let labels = [key.r#type.as_str(), from, to, if has_request_id { "true" } else { "false" }];
        let histogram = self.acquire_duration.with_label_values(&labels);
        histogram.observe(seconds);
        self.grants.write().insert(key, histogram);
    }
}

/// States without a meaning of their own share one label: clients can make up any number.
fn label_of(state: &State) -> &'static str {
    state::KNOWN.into_iter().find(|known| *known == state.as_str()).unwrap_or(state::OTHER)
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").finish_non_exhaustive()
    }
}

/// Registers how many objects a replica holds while another leads.
///
/// # Errors
///
/// If something of the same name is registered already.
pub(crate) fn register_standby(
    registry: &Registry,
    held: impl Fn() -> usize + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    let help = "Objects that this replica holds while it stands by; none while it leads.";
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let read = move || held() as f64;
    registry.register(Box::new(PullingGauge::new("boskos_standby_objects", help, Box::new(read))?))
}

/// Reads gauges off the ranch whenever they are asked for.
pub struct RanchGauges {
    steward: Box<dyn Fn() -> Option<Arc<Steward>> + Send + Sync>,
    resources: IntGaugeVec,
    waiting: IntGaugeVec,
    writable: IntGauge,
}

impl RanchGauges {
    /// Registers the gauges of the ranch that `steward` keeps at the time, if there is one.
    ///
    /// # Errors
    ///
    /// If something of the same name is registered already.
    pub fn register(
        registry: &Registry,
        steward: impl Fn() -> Option<Arc<Steward>> + Send + Sync + 'static,
    ) -> Result<(), prometheus::Error> {
        let resources =
            IntGaugeVec::new(Opts::new("boskos_resources", "Resources by type and state."), &["type", "state"])?;
        let waiting = IntGaugeVec::new(
            Opts::new("boskos_queue", "Queue places, and calls parked at them until they are granted."),
            &["kind"],
        )?;
        let writable = IntGauge::new(
            "boskos_store_writable",
            "Whether the store can be written: 0 while every change is answered 503, or not at all.",
        )?;
        registry.register(Box::new(Self { steward: Box::new(steward), resources, waiting, writable }))
    }
}

impl Collector for RanchGauges {
    fn desc(&self) -> Vec<&Desc> {
        [self.resources.desc(), self.waiting.desc(), self.writable.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(steward) = (self.steward)() else { return Vec::new() };
        let (types, pools) = steward.read(|ranch, _| (ranch.types(), ranch.pools().collect::<Vec<_>>()));
        let (places, parked) = steward.read(|ranch, _| (ranch.places(), ranch.parked()));
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for r#type in &types {
            counts.extend(state::KNOWN.iter().map(|state| ((r#type.as_str(), *state), 0)));
        }
        for pool in &pools {
            *counts.entry((pool.r#type.as_str(), label_of(&pool.state))).or_insert(0) += pool.count;
        }
        self.resources.reset();
        for ((r#type, state), count) in counts {
            self.resources.with_label_values(&[r#type, state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.waiting.with_label_values(&["places"]).set(i64::try_from(places).unwrap_or(i64::MAX));
        self.waiting.with_label_values(&["parked"]).set(i64::try_from(parked).unwrap_or(i64::MAX));
        self.writable.set(i64::from(steward.is_writable()));
        [self.resources.collect(), self.waiting.collect(), self.writable.collect()].concat()
    }
}

impl fmt::Debug for RanchGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RanchGauges").finish_non_exhaustive()
    }
}
