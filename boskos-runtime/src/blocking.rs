//! Work that may wait for a disk.

use std::panic;

use tokio::task::spawn_blocking;

/// Does `work` on a thread of its own, so that no other task waits where it does: a folder may hang, and one thread may
/// be all that serves. Dropped before, the work goes on and its result is lost.
///
/// # Panics
///
/// If `work` does.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => panic::resume_unwind(failed.into_panic()),
    }
}
