//! The two times that decisions take as arguments.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Wall time in nanoseconds since 1970 (UTC): what stamps, expiry and reset go by.
///
/// Spans the years 1678 to 2262; arithmetic stops at the ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

/// Time since some start, not moved by clock changes, in nanoseconds: what queue places, waits
/// and backoff go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoTime(u64);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub wall: WallTime,
    /// The monotonic clock.
    pub mono: MonoTime,
}

// === impl WallTime ===

impl WallTime {
    /// The time `nanos` nanoseconds after 1970 began.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970 began.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// This time plus a signed number of nanoseconds.
    #[must_use]
    pub const fn saturating_add_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this time; negative if `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time cut to whole seconds, as Kubernetes objects keep it.
    #[must_use]
    pub const fn whole_seconds(self) -> Self {
        const SECOND: i64 = 1_000_000_000;
        let beyond = self.0.rem_euclid(SECOND);
        match self.0.checked_sub(beyond) {
            Some(whole) => Self(whole),
            // The first second of the span is not whole.
            None => Self(self.0 + (SECOND - beyond)),
        }
    }

    /// Reads RFC 3339 text. Times beyond the span are taken as its end.
    ///
    /// # Errors
    ///
    /// If the text is not RFC 3339.
    pub fn parse(text: &str) -> Result<Self, jiff::Error> {
        let nanos = text.parse::<Timestamp>()?.as_nanosecond();
        let clamped = nanos.clamp(i64::MIN.into(), i64::MAX.into());
        Ok(Self(i64::try_from(clamped).expect("clamped to the span of i64")))
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC with a `Z`, the fraction without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = Timestamp::from_nanosecond(self.0.into()).expect("the span of i64 is within jiff's");
        fmt::Display::fmt(&timestamp, f)
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

// === impl MonoTime ===

impl MonoTime {
    /// The time `since_start` after the clock's start.
    #[must_use]
    pub fn new(since_start: Duration) -> Self {
        Self(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The time since the clock's start.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// This time plus `duration`.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this time is; zero if it is not.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::WallTime;

    #[test]
    fn text_has_a_z_and_no_trailing_zeros() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_136_214_245_123_456_789, "2006-01-02T15:04:05.123456789Z"),
            (1_136_214_245_120_000_000, "2006-01-02T15:04:05.12Z"),
            (1_136_214_245_000_000_000, "2006-01-02T15:04:05Z"),
            (-500_000_000, "1969-12-31T23:59:59.5Z"),
        ] {
            let time = WallTime::from_nanos(nanos);
            assert_eq!(time.to_string(), text);
            assert_eq!(WallTime::parse(text).unwrap(), time);
        }
    }

    #[test]
    fn whole_seconds_are_cut_toward_the_past_but_not_out_of_the_span() {
        const FIRST_WHOLE: i64 = -9_223_372_036_000_000_000;
        for (nanos, whole) in [
            (0, 0),
            (1_999_999_999, 1_000_000_000),
            (2_000_000_000, 2_000_000_000),
            (-1, -1_000_000_000),
            (-1_000_000_000, -1_000_000_000),
            (FIRST_WHOLE, FIRST_WHOLE),
            (FIRST_WHOLE - 1, FIRST_WHOLE),
            (i64::MIN, FIRST_WHOLE),
            (i64::MAX, 9_223_372_036_000_000_000),
        ] {
            assert_eq!(WallTime::from_nanos(nanos).whole_seconds().as_nanos(), whole, "{nanos}");
        }
    }

    #[test]
    fn times_beyond_the_span_become_its_end() {
        assert_eq!(WallTime::parse("0001-01-01T00:00:00Z").unwrap().as_nanos(), i64::MIN);
        assert_eq!(WallTime::parse("9000-01-01T00:00:00Z").unwrap().as_nanos(), i64::MAX);
    }
}
