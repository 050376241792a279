//! The board for Prometheus.

use boskos_core::{WallTime, state::OTHER};
use prometheus::{GaugeVec, IntGaugeVec, Opts, core::Desc, proto::MetricFamily};

use crate::Board;

/// `boskos_resources{type,state}` of what is fresh, `boskos_metrics_stale{type}` and
/// `boskos_metrics_last_success_timestamp_seconds{type}` of everything, read at each scrape.
#[derive(Debug)]
pub struct Collector {
    board: Board,
    resources: IntGaugeVec,
    stale: IntGaugeVec,
    last_success: GaugeVec,
}

// === impl Collector ===

impl Collector {
    /// Collects what is on `board`.
    ///
    /// # Errors
    ///
    /// When the library refuses one of the names, which none has a reason to.
    pub fn new(board: Board) -> Result<Self, prometheus::Error> {
        let resources = Opts::new("boskos_resources", "Resources by type and state; none where that is not known now.");
        let stale = Opts::new("boskos_metrics_stale", "Whether the counts of a type could not be refreshed.");
        let last = Opts::new(
            "boskos_metrics_last_success_timestamp_seconds",
            "When the counts of a type were refreshed last, in seconds since 1970.",
        );
        Ok(Self {
            board,
            resources: IntGaugeVec::new(resources, &["type", "state"])?,
            stale: IntGaugeVec::new(stale, &["type"])?,
            last_success: GaugeVec::new(last, &["type"])?,
        })
    }

    fn gather(&self) {
        self.resources.reset();
        self.stale.reset();
        self.last_success.reset();
        for shown in self.board.shown() {
            let r#type = shown.r#type.as_str();
            self.stale.with_label_values(&[r#type]).set(shown.counts.is_none().into());
            if let Some(at) = shown.refreshed {
                self.last_success.with_label_values(&[r#type]).set(seconds(at));
            }
            let Some((by_state, other)) = shown.counts else { continue };
            for (state, count) in self.board.states().iter().zip(by_state) {
                self.resources.with_label_values(&[r#type, state.as_str()]).set(signed(count));
            }
            if other > 0 {
                self.resources.with_label_values(&[r#type, OTHER]).add(signed(other));
            }
        }
    }
}

impl prometheus::core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        [self.resources.desc(), self.stale.desc(), self.last_success.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gather();
        [self.resources.collect(), self.stale.collect(), self.last_success.collect()].concat()
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "seconds with more digits than anybody asks for")]
fn seconds(at: WallTime) -> f64 {
    at.as_nanos() as f64 / 1e9
}
