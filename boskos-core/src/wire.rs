//! Answers as JSON, byte for byte as the wire has them.

use std::collections::BTreeMap;

use crate::{Owner, ResourceName, go_json, ranch::Metric};

/// What a reset took from whom: an object by name, names sorted.
#[must_use]
pub fn names_to_owners(taken: &BTreeMap<ResourceName, Owner>) -> String {
    object(taken.iter().map(|(name, owner)| (name.as_str(), owner)), |out, owner| {
        go_json::push_string(out, owner.as_str());
    })
}

/// The counts of one type. Keys that existing clients do not know come last.
#[must_use]
pub fn metric(metric: &Metric) -> String {
    let count = |out: &mut String, count: &u64| out.push_str(itoa::Buffer::new().format(*count));
    let counts = |by: &BTreeMap<String, u64>| object(by.iter().map(|(key, value)| (key.as_str(), value)), count);
    let mut out = String::from("{\"type\":");
    go_json::push_string(&mut out, &metric.r#type);
    out.push_str(",\"current\":");
    out.push_str(&counts(&metric.current));
    out.push_str(",\"owner\":");
    out.push_str(&counts(&metric.owner));
    out.push_str(",\"total\":");
    out.push_str(&counts(&metric.total));
    out.push('}');
    out
}

/// The same as a server told it: an older one tells no totals.
#[must_use]
pub fn metric_as_told(told: &Metric) -> String {
    let json = metric(told);
    if told.total.is_empty() { json.replace(",\"total\":{}", "") } else { json }
}

fn object<'a, V: 'a>(entries: impl Iterator<Item = (&'a str, &'a V)>, push_value: impl Fn(&mut String, &V)) -> String {
    let mut out = String::from("{");
    for (key, value) in entries {
        if out.len() > 1 {
            out.push(',');
        }
        go_json::push_string(&mut out, key);
        out.push(':');
        push_value(&mut out, value);
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::{metric, metric_as_told, names_to_owners};
    use crate::ranch::Metric;

    #[test]
    fn metric_is_the_contracts_to_the_byte_with_totals_behind() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
        let counted = Metric {
            r#type: "t".to_owned(),
            current: counts(&[("free", 2), ("busy", 1)]),
            owner: counts(&[("alice", 1), ("", 2)]),
            total: counts(&[("free", 3)]),
        };
        assert_eq!(
            metric(&counted),
            r#"{"type":"t","current":{"busy":1,"free":2},"owner":{"":2,"alice":1},"total":{"free":3}}"#
        );
        let older = Metric { total: counts(&[]), ..counted };
        assert_eq!(metric_as_told(&older), r#"{"type":"t","current":{"busy":1,"free":2},"owner":{"":2,"alice":1}}"#);
    }

    #[test]
    fn resets_are_sorted_by_name() {
        let taken = [("b".into(), "y".into()), ("a".into(), "x\"".into())].into();
        assert_eq!(names_to_owners(&taken), r#"{"a":"x\"","b":"y"}"#);
        assert_eq!(names_to_owners(&std::collections::BTreeMap::new()), "{}");
    }
}
