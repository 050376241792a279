//! The parameters in a request's query.

use std::{borrow::Cow, iter};

use memchr::memchr3;

/// The decoded pairs of `query`, in its order.
///
/// `+` is a space and `%XX` a byte, in keys as in values; bytes that are no UTF-8 become U+FFFD. A pair with a bad
/// escape or a `;` is left out, as is an empty one. Only pairs that need decoding allocate.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    // Most queries have nothing in them that is encoded.
    let is_plain = memchr3(b'%', b'+', b';', query.as_bytes()).is_none();
    let mut rest = query;
    iter::from_fn(move || {
        while !rest.is_empty() {
            let pair;
            (pair, rest) = split_at_byte(rest, b'&');
            if pair.is_empty() || !is_plain && pair.contains(';') {
                continue;
            }
            let (key, value) = split_at_byte(pair, b'=');
            if is_plain {
                return Some((Cow::Borrowed(key), Cow::Borrowed(value)));
            }
            if let (Some(key), Some(value)) = (decode(key), decode(value)) {
                return Some((key, value));
            }
        }
        None
    })
}

/// What is before and behind the first `byte`, an ASCII character; all and nothing if there is none.
fn split_at_byte(text: &str, byte: u8) -> (&str, &str) {
    // Too short for memchr to pay.
    text.bytes().position(|other| other == byte).map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

/// The first value of `key` in `query`.
#[must_use]
pub fn first<'q>(query: &'q str, key: &str) -> Option<Cow<'q, str>> {
    pairs(query).find_map(|(found, value)| (found == key).then_some(value))
}

/// `None` if an escape is bad.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    let Some(plain) = text.bytes().position(|byte| matches!(byte, b'%' | b'+')) else {
        return Some(Cow::Borrowed(text));
    };
    let (plain, rest) = text.as_bytes().split_at(plain);
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(plain);
    let mut rest = rest.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(*rest.next()?)? << 4 | hex(*rest.next()?)?,
            other => *other,
        });
    }
    Some(Cow::Owned(match String::from_utf8(decoded) {
        Ok(decoded) => decoded,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> Vec<(String, String)> {
        pairs(query).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
    }

    fn expect(query: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        assert_eq!(read(query), expected, "{query:?}");
    }

    #[test]
    fn pairs_are_decoded_as_forms_are() {
        expect("", &[]);
        expect("type=t&state=free", &[("type", "t"), ("state", "free")]);
        expect("a=1+2&b=%2B%20x", &[("a", "1 2"), ("b", "+ x")]);
        expect("%74ype=t&ty+pe=u", &[("type", "t"), ("ty pe", "u")]);
        expect("a&b=&=c&=", &[("a", ""), ("b", ""), ("", "c"), ("", "")]);
        expect("a=b=c&a=%3d%3D", &[("a", "b=c"), ("a", "==")]);
        expect("&&a=1&&", &[("a", "1")]);
        expect("a=é&b=%C3%A9", &[("a", "é"), ("b", "é")]);
        expect("a=%00%0a", &[("a", "\0\n")]);
    }

    #[test]
    fn bad_pairs_are_left_out_and_the_rest_counts() {
        expect("a=%&b=1", &[("b", "1")]);
        expect("a=%4&b=1", &[("b", "1")]);
        expect("a=%zz&b=1", &[("b", "1")]);
        expect("a=%+1&b=1", &[("b", "1")]);
        expect("%q=1&b=1", &[("b", "1")]);
        expect("a=1;c=2&b=1", &[("b", "1")]);
        expect("a=1&;&b=1", &[("a", "1"), ("b", "1")]);
        expect("a=%3B&b=1", &[("a", ";"), ("b", "1")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        expect("a=%ff&b=%C3x", &[("a", "\u{fffd}"), ("b", "\u{fffd}x")]);
    }

    #[test]
    fn the_first_of_a_repeated_key_counts() {
        assert_eq!(first("a=%zz&a=1&a=2", "a").as_deref(), Some("1"));
        assert_eq!(first("a=1", "b"), None);
    }

    #[test]
    fn plain_pairs_borrow() {
        assert!(
            pairs("name=res-1&é=ü").all(|(key, value)| matches!((key, value), (Cow::Borrowed(_), Cow::Borrowed(_))))
        );
    }

    proptest! {
        #[test]
        fn any_query_is_read(query in "[a%+&=;0-9A-F]{0,24}|\\PC*") {
            prop_assert!(pairs(&query).count() <= query.split('&').count());
        }

        #[test]
        fn what_was_encoded_is_read_back(key in "\\PC*", value in "\\PC*") {
            let encode = |text: &str| {
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
            };
            let query = format!("x=1&{}={}&y=2", encode(&key), encode(&value));
            let expected = [("x".into(), "1".into()), (key, value), ("y".into(), "2".into())];
            prop_assert_eq!(read(&query), expected);
        }
    }
}
