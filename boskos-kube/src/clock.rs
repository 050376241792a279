//! Time that passes while the machine is suspended, too.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the machine started, suspends counted.
pub(crate) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).expect("the machine started in the past");
    let nanos = u32::try_from(now.tv_nsec).expect("fewer than a second's");
    Duration::new(seconds, nanos)
}
