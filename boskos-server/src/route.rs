//! Which path means what.

/// What a path is served by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/acquire`
    Acquire,
    /// `/acquirebystate`
    AcquireByState,
    /// `/release`
    Release,
    /// `/update`
    Update,
    /// `/reset`
    Reset,
    /// `/metric`
    Metric,
    /// `/api/v1/…`
    Api,
    /// `/` and whatever no one serves.
    Unmatched,
}

impl Route {
    /// How many routes there are.
    pub const COUNT: usize = 8;

    /// The route of a clean path, which may be percent-encoded.
    #[must_use]
    pub fn of(path: &str) -> Self {
        if path.contains('%') {
            return Self::of_decoded(&percent_encoding::percent_decode_str(path).decode_utf8_lossy());
        }
        Self::of_decoded(path)
    }

    fn of_decoded(path: &str) -> Self {
        match path {
            "/acquire" => Self::Acquire,
            "/acquirebystate" => Self::AcquireByState,
            "/release" => Self::Release,
            "/update" => Self::Update,
            "/reset" => Self::Reset,
            "/metric" => Self::Metric,
            _ if path.starts_with("/api/v1/") || path == "/api/v1" => Self::Api,
            _ => Self::Unmatched,
        }
    }

    /// The route's label in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Acquire => "/acquire",
            Self::AcquireByState => "/acquirebystate",
            Self::Release => "/release",
            Self::Update => "/update",
            Self::Reset => "/reset",
            Self::Metric => "/metric",
            Self::Api => "/api/v1",
            Self::Unmatched => "unmatched",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_go_by_what_an_encoded_path_says() {
        for (path, route) in [
            ("/acquire", Route::Acquire),
            ("/%61cquire", Route::Acquire),
            ("/%6Detric", Route::Metric),
            ("%2Freset", Route::Reset),
            ("/api%2fv1/info", Route::Api),
            ("/acquire%", Route::Unmatched),
            ("/%2561cquire", Route::Unmatched),
            ("/acquire%00", Route::Unmatched),
            ("/%ff", Route::Unmatched),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
