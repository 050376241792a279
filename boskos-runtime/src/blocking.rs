//! Work that may wait for a disk.

use std::{future::pending, panic};

use tokio::task::spawn_blocking;

/// Does `work` on a thread of its own, so that no other task waits where it does: a folder may hang, and one thread may
/// be all that serves. Dropped before, the work goes on and its result is lost. Where the runtime ends before the work
/// began, this never completes.
///
/// # Panics
///
/// If `work` does.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => panic::resume_unwind(panic),
        Err(Err(_cancelled)) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn others_run_while_it_waits() {
        let (go, gone) = mpsc::channel();
        let waits = blocking(move || gone.recv_timeout(Duration::from_secs(60)));
        let (waited, sent) = tokio::join!(waits, async move { go.send(()) });
        assert_eq!((waited, sent), (Ok(()), Ok(())));
    }

    #[tokio::test]
    #[should_panic(expected = "as asked")]
    async fn panics_are_passed_on() {
        blocking(|| panic!("as asked")).await;
    }
}
