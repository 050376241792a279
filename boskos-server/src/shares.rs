//! How connections are shared out, so that none who waits shuts out what they wait for.

use boskos_core::ranch::Limits;

/// Of this many parts of all connections, one is kept free of calls that wait for a resource.
const FREE_OF_WAITING: usize = 4;

/// Of this many parts of what those leave, one is kept free of calls that watch, too.
const FREE_OF_WATCHING: usize = 6;

/// Calls that may wait for a resource at most.
#[must_use]
pub const fn waiting(connections: usize) -> usize {
    connections - connections.div_ceil(FREE_OF_WAITING)
}

/// Calls that may watch at most, beside `waiting` that wait for a resource.
#[must_use]
pub fn watching(connections: usize, waiting: usize) -> usize {
    let left = connections.saturating_sub(waiting);
    Limits::default().watches.min(left - left.div_ceil(FREE_OF_WATCHING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_a_release_is_left_whatever_the_number_of_connections() {
        for connections in 1..30_000 {
            let waiting = waiting(connections);
            let watching = watching(connections, waiting);
            assert!(waiting + watching < connections, "{connections}: {waiting} and {watching}");
        }
    }

    #[test]
    fn as_many_as_there_may_be_at_all_fit_into_the_connections_of_the_default() {
        let Limits { parked, watches, .. } = Limits::default();
        assert_eq!((waiting(20_000), watching(20_000, parked)), (parked, watches));
        assert_eq!((waiting(40), watching(40, 30)), (30, 8));
    }
}
