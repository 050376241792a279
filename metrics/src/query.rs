//! The parameters in a request's query.

use percent_encoding::percent_decode_str;

/// The first value of `key`; pairs with a bad escape or a `;` do not count.
pub(crate) fn first(query: &str, key: &str) -> Option<String> {
    let pairs = query.split('&').filter(|pair| !pair.contains(';'));
    let decoded = pairs.filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(key)?, decode(value)?))
    });
    decoded.into_iter().find(|(found, _)| found == key).map(|(_, value)| value)
}

fn decode(text: &str) -> Option<String> {
    let is_escape = |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let plain = text.replace('+', " ");
    Some(percent_decode_str(&plain).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_value_counts() {
        for (query, value) in [
            ("type=t", Some("t")),
            ("a=b&type=x&type=y", Some("x")),
            ("%74ype=a+b%2Bc", Some("a b+c")),
            ("type=%zz&type=%4", None),
            ("type=a;b", None),
            ("type", Some("")),
            ("", None),
        ] {
            assert_eq!(first(query, "type").as_deref(), value, "{query}");
        }
    }
}
