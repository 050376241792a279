//! All queues, read page by page.

use boskos_core::{
    Now,
    ranch::{PlaceView, Ranch},
};

/// Who waits for what, by type and state, each queue in the order of its places.
pub(crate) fn whole_queue(ranch: &Ranch, now: Now) -> Vec<PlaceView> {
    const PAGE: usize = 3;
    let mut all = Vec::new();
    let mut queues = ranch.queues();
    queues.sort_unstable();
    for (r#type, state) in queues {
        let mut last = None;
        loop {
            let page = ranch.queue_page(&r#type, &state, last, PAGE, now);
            assert!(page.len() <= PAGE);
            let Some(place) = page.last() else { break };
            last = Some(place.number);
            all.extend(page);
        }
    }
    all
}
