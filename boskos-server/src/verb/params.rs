//! Parameters in the query.

use std::borrow::Cow;

use crate::http::query;

/// The first value of each of `keys`, empty where there is none.
pub(super) fn values<'q, const N: usize>(query: &'q str, keys: [&str; N]) -> [Cow<'q, str>; N] {
    let mut values = [const { None }; N];
    for (key, value) in query::pairs(query) {
        if let Some(index) = keys.iter().position(|wanted| *wanted == key) {
            values[index].get_or_insert(value);
        }
    }
    values.map(Option::unwrap_or_default)
}
