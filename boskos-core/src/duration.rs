//! Durations as Go spells them (`48h`, `1h30m0.5s`), which flags, queries and configs use.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A signed span of time in nanoseconds, up to about 292 years either way.
///
/// As text it is what Go's `time.Duration` reads and writes; serialized, the number of
/// nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is no duration. Its own text is what Go's `time.ParseDuration` says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number with a unit, or beyond the span.
    #[error("time: invalid duration {}", quoted(text))]
    Invalid {
        /// The whole text.
        text: String,
    },
    /// A number that no unit follows.
    #[error("time: missing unit in duration {}", quoted(text))]
    MissingUnit {
        /// The whole text.
        text: String,
    },
    /// A unit that is none of `ns us µs ms s m h`.
    #[error("time: unknown unit {} in duration {}", quoted(unit), quoted(text))]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The magnitude of the longest (negative) duration.
const MAX_MAGNITUDE: u64 = 1 << 63;

// === impl GoDuration ===

impl GoDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest duration.
    pub const MAX: Self = Self(i64::MAX);
    /// The longest negative duration.
    pub const MIN: Self = Self(i64::MIN);

    /// A duration of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The nanoseconds of this duration.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// A duration as long as `duration`; [`Self::MAX`] if that is too long.
    #[must_use]
    pub fn from_std(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }

    /// The duration as an unsigned one; `None` if it is negative.
    #[must_use]
    pub fn to_std(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }

    /// The duration as an unsigned one; zero if it is negative.
    #[must_use]
    pub fn to_std_or_zero(self) -> Duration {
        self.to_std().unwrap_or_default()
    }

    /// Reads what Go's `time.ParseDuration` reads: an optional sign, then numbers with an optional
    /// fraction and a unit each, or a bare `0`.
    ///
    /// # Errors
    ///
    /// If the text is no such duration or one beyond the span of this type.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid { text: text.to_owned() };
        let negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut magnitude = 0_u64;
        while !rest.is_empty() {
            let (number, after) = split_digits(rest);
            let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
            if number.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let unit_len = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_len);
            if unit.is_empty() {
                return Err(DurationError::MissingUnit { text: text.to_owned() });
            }
            let Some(nanos) = unit_nanos(unit) else {
                return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
            };
            magnitude = number_nanos(number, fraction, nanos)
                .and_then(|part| magnitude.checked_add(part))
                .filter(|sum| *sum <= MAX_MAGNITUDE)
                .ok_or_else(invalid)?;
            rest = after;
        }
        let signed = if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
        signed.map(Self).ok_or_else(invalid)
    }
}

/// `text` parted behind its leading digits.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// The nanoseconds of `number.fraction` units of `unit` nanoseconds each; `None` beyond the span.
fn number_nanos(number: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole = if number.is_empty() { 0 } else { number.parse::<u64>().ok()? };
    whole.checked_mul(unit)?.checked_add(fraction_nanos(fraction, unit)).filter(|nanos| *nanos <= MAX_MAGNITUDE)
}

/// The nanoseconds of `0.digits` units, rounded down after the same steps in floating point as Go
/// takes, so that both come to the same nanosecond.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "below one unit, so at most 3.6e12; rounding is the point"
)]
fn fraction_nanos(digits: &str, unit: u64) -> u64 {
    let mut value = 0_u64;
    let mut scale = 1_f64;
    for digit in digits.bytes() {
        // Digits beyond what 63 bits hold are below any nanosecond.
        if value > i64::MAX.unsigned_abs() / 10 {
            break;
        }
        value = value * 10 + u64::from(digit - b'0');
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

/// `text` in quotes, with quotes, backslashes, control characters and all beyond ASCII escaped.
fn quoted(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte.into()]),
            b' '..=0x7f => out.push(byte.into()),
            _ => write!(out, "\\x{byte:02x}").expect("a String takes all that is written"),
        }
    }
    out.push('"');
    out
}

impl fmt::Display for GoDuration {
    /// As Go writes it: `48h0m0s`, `1.5s`, `250ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let mut out = String::with_capacity(32);
        if self.0 < 0 {
            out.push('-');
        }
        match nanos {
            0 => out.push_str("0s"),
            1..MICROSECOND => push_decimal(&mut out, nanos, 1, "ns"),
            MICROSECOND..MILLISECOND => push_decimal(&mut out, nanos, MICROSECOND, "\u{b5}s"),
            MILLISECOND..SECOND => push_decimal(&mut out, nanos, MILLISECOND, "ms"),
            SECOND.. => {
                if nanos >= HOUR {
                    push_decimal(&mut out, nanos / HOUR, 1, "h");
                }
                if nanos >= MINUTE {
                    push_decimal(&mut out, nanos / MINUTE % 60, 1, "m");
                }
                push_decimal(&mut out, nanos % MINUTE, SECOND, "s");
            }
        }
        f.pad(&out)
    }
}

/// Appends `value / unit` as a decimal without trailing zeros; `unit` is a power of ten.
fn push_decimal(out: &mut String, value: u64, unit: u64, name: &str) {
    out.push_str(itoa::Buffer::new().format(value / unit));
    let mut fraction = value % unit;
    if fraction > 0 {
        out.push('.');
        let mut place = unit / 10;
        while fraction > 0 {
            out.push_str(itoa::Buffer::new().format(fraction / place));
            fraction %= place;
            place /= 10;
        }
    }
    out.push_str(name);
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        Self::parse(text)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    /// From an integer of nanoseconds, or from text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = GoDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer of nanoseconds or a duration like 48h")
            }

            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<GoDuration, E> {
                Ok(GoDuration(nanos))
            }

            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<GoDuration, E> {
                i64::try_from(nanos).map(GoDuration).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                GoDuration::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests;
