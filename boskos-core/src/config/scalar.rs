//! What a scalar of a config means: plain ones are read as Go's YAML reads them.
//!
//! Older configs have names such as `123456789012` or `1.10` without quotes, and the resources in
//! the field are called what Go's YAML made of them. The rules are those of YAML 1.1 as Go's
//! library applies them, octals, underscores and all.

use std::borrow::Cow;

use saphyr_parser::{ScalarStyle, Tag};

/// One scalar, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'text> {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `yes`, `on`, `y` and their opposites.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A number with a fraction or an exponent, or one beyond the integers.
    Float(f64),
    /// Everything else, and all that is quoted.
    Text(Cow<'text, str>),
}

impl<'text> Scalar<'text> {
    /// The scalar that stands in the text with this style and tag.
    pub(super) fn resolve(text: Cow<'text, str>, style: ScalarStyle, tag: Option<&Tag>) -> Self {
        let reads_as_plain = match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) => tag.is_yaml_core_schema() && matches!(&*tag.suffix, "null" | "bool" | "int" | "float"),
        };
        let plain = if reads_as_plain { plain(&text) } else { None };
        plain.unwrap_or(Scalar::Text(text))
    }

    /// The scalar as text; `None` for null.
    pub(super) fn into_text(self) -> Option<Cow<'text, str>> {
        Some(match self {
            Scalar::Null => return None,
            Scalar::Bool(true) => "true".into(),
            Scalar::Bool(false) => "false".into(),
            Scalar::Int(value) => value.to_string().into(),
            Scalar::Uint(value) => value.to_string().into(),
            Scalar::Float(value) => float_text(value).into(),
            Scalar::Text(text) => text,
        })
    }

    /// What kind of scalar it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Scalar::Null => "null",
            Scalar::Bool(_) => "a boolean",
            Scalar::Int(_) | Scalar::Uint(_) => "an integer",
            Scalar::Float(_) => "a number",
            Scalar::Text(_) => "text",
        }
    }
}

/// Whether `text` without quotes is itself to every reader of YAML 1.1, as long as it has no
/// characters that YAML gives a meaning to.
pub(crate) fn is_text_when_plain(text: &str) -> bool {
    let like_a_date = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    plain(text).is_none() && !like_a_date
}

/// What an unquoted text means; `None` if it is itself.
fn plain<'text>(text: &str) -> Option<Scalar<'text>> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        _ => return number(text),
    })
}

fn number<'text>(text: &str) -> Option<Scalar<'text>> {
    match text.as_bytes().first()? {
        // Here an underscore has to stand between digits; behind a digit or sign it may stand anywhere.
        b'.' if separates_digits(text) => float(&text.replace('_', "")).map(Scalar::Float),
        b'+' | b'-' | b'0'..=b'9' => {
            let digits = if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) };
            integer(&digits).or_else(|| float(&digits).map(Scalar::Float))
        }
        _ => None,
    }
}

/// Whether each underscore in `text` stands between two digits.
fn separates_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit_at = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    text.match_indices('_').all(|(at, _)| at.checked_sub(1).is_some_and(digit_at) && digit_at(at + 1))
}

/// An integer in decimal, `0x`, `0o`, `0b` or, with a leading zero, in octal.
fn integer<'text>(text: &str) -> Option<Scalar<'text>> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (Some(false), &text[1..]),
        b'-' => (Some(true), &text[1..]),
        _ => (None, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // The standard library would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if sign == Some(true) {
        return 0_i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    match i64::try_from(magnitude) {
        Ok(value) => Some(Scalar::Int(value)),
        // Go reads an unsigned number without any sign only.
        Err(_) => sign.is_none().then_some(Scalar::Uint(magnitude)),
    }
}

/// A decimal number with or without fraction and exponent; `None` if it is none or too large.
fn float(text: &str) -> Option<f64> {
    // The standard library would take `inf` and `nan` too.
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// A number as text, as Go's YAML writes it where text is due: the shortest digits that tell it
/// from its neighbours in *single* precision, in exponent form below 1e-4 and from 1e6 on.
pub(crate) fn float_text(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "single precision is what Go's YAML writes")]
    let value = value as f32;
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value.is_sign_positive() { "+Inf" } else { "-Inf" }.to_owned();
    }
    let shortest = format!("{value:e}");
    let digits = shortest.split('e').next().map_or(0, |digits| digits.bytes().filter(u8::is_ascii_digit).count());
    // Written once more from the exact value: of two equally near texts Go takes the even one.
    let value = f64::from(value);
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = scientific.split_once('e').expect("LowerExp writes an e");
    let exponent: i32 = exponent.parse().expect("LowerExp writes an integer behind the e");
    if (-4..6).contains(&exponent) {
        let decimals = i32::try_from(digits).unwrap_or(i32::MAX).saturating_sub(1 + exponent);
        return format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    }
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}
