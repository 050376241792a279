//! What `/api/v1` answers, shared by who writes it and who reads it.
//!
//! Readers take answers of newer and older servers: keys that are missing get a default, keys that are unknown are
//! left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{GoDuration, Lifecycle, ResourceName, ResourceType, State, WallTime};

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownError {
    /// What is wrong.
    pub error: String,
}

/// One change of a resource's state or owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownTransition {
    /// Its number, larger than that of every transition before it.
    pub id: u64,
    /// When it happened, by the server's clock.
    pub time: WallTime,
    /// The resource's type.
    pub r#type: String,
    /// How the resource stood before; `None` for a creation.
    pub from: Option<ShownStanding>,
    /// How it stands after; `None` for a deletion.
    pub to: Option<ShownStanding>,
}

/// A state, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownStanding {
    /// The state.
    pub state: State,
    /// The owner, empty for nobody.
    pub owner: String,
}

/// A dynamic type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownLifecycle {
    /// What the config says of it.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    /// Whether it left the config and ends with its last resource.
    #[serde(default)]
    pub draining: bool,
}

/// Somebody who waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownPlace {
    /// The type waited for.
    pub r#type: ResourceType,
    /// The state waited for.
    pub state: State,
    /// Which place in that queue, from 1.
    pub rank: usize,
    /// The id of the request, if it has one.
    pub request_id: Option<String>,
    /// Who waits.
    pub owner: Option<String>,
    /// Since when, by the server's clock.
    pub since: WallTime,
    /// How long so far.
    pub waited_seconds: f64,
    /// Whether a call waits at this moment.
    pub parked: bool,
}

/// What the server tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The server's version.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
    /// The kind of store.
    pub store: String,
    /// Where that is, if it is somewhere.
    pub data_dir: Option<String>,
    /// The bounds that clients meet.
    pub limits: InfoLimits,
}

/// The bounds that clients meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoLimits {
    /// How long a queue place lasts after the last call of its id.
    #[serde(serialize_with = "as_text")]
    pub request_ttl: GoDuration,
    /// The longest wait.
    #[serde(serialize_with = "as_text")]
    pub max_wait: GoDuration,
    /// Connections at once.
    pub connections: usize,
    /// Calls parked at once.
    pub parked: usize,
    /// Queue places at once.
    pub places: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
}

/// What applying a config would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// Names to be created.
    pub add: Names,
    /// Names to be deleted, as soon as nobody owns them.
    pub delete: Names,
    /// Names to be made anew under another type, as soon as nobody owns them.
    pub remake: Names,
    /// Names that go from the config's care to their type's lifecycle, or the other way.
    pub adopt: Names,
    /// Types whose lifecycle is set.
    pub lifecycles: Vec<String>,
    /// Types that are no longer dynamic: what is there of them is given up.
    pub drain: Vec<String>,
}

/// Names, of which the first are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// How many.
    pub count: usize,
    /// The first of them.
    pub names: Vec<String>,
    /// How many of each type; not sent.
    #[serde(skip)]
    pub by_type: BTreeMap<ResourceType, usize>,
}

fn as_text<S: serde::Serializer>(duration: &GoDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(duration)
}

// === impl Difference ===

impl Difference {
    /// Whether applying the config would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { add, delete, remake, adopt, lifecycles, drain } = self;
        [add, delete, remake, adopt].iter().all(|names| names.count == 0) && lifecycles.is_empty() && drain.is_empty()
    }
}

// === impl Names ===

impl Names {
    /// Names listed for each kind of change; further ones are only counted.
    pub const MAX_NAMED: usize = 1_000;

    /// Counts a name, and lists it if it is one of the first.
    pub fn note(&mut self, name: &ResourceName, r#type: &ResourceType) {
        self.count += 1;
        *self.by_type.entry(r#type.clone()).or_insert(0) += 1;
        if self.names.len() < Self::MAX_NAMED {
            self.names.push(name.as_str().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let info = Info {
            version: "1".to_owned(),
            commit: "c".to_owned(),
            store: "memory".to_owned(),
            data_dir: None,
            limits: InfoLimits {
                request_ttl: GoDuration::parse("30s").unwrap(),
                max_wait: GoDuration::parse("50s").unwrap(),
                connections: 1,
                parked: 2,
                places: 3,
                body_bytes: 4,
                head_bytes: 5,
            },
        };
        let json = serde_json::to_string(&info).unwrap();
        assert!(json.contains(r#""request_ttl":"30s""#), "{json}");
        assert_eq!(serde_json::from_str::<Info>(&json).unwrap(), info);

        let lifecycle = ShownLifecycle { lifecycle: Lifecycle::new("t".into()), draining: true };
        let json = serde_json::to_string(&lifecycle).unwrap();
        assert_eq!(json, r#"{"type":"t","state":"free","min-count":0,"max-count":0,"draining":true}"#);
        assert_eq!(serde_json::from_str::<ShownLifecycle>(&json).unwrap(), lifecycle);
    }

    #[test]
    fn a_difference_with_anything_in_it_is_not_empty() {
        assert!(Difference::default().is_empty());
        let names = || Names { count: 1, ..Names::default() };
        for some in [
            Difference { add: names(), ..Difference::default() },
            Difference { delete: names(), ..Difference::default() },
            Difference { remake: names(), ..Difference::default() },
            Difference { adopt: names(), ..Difference::default() },
            Difference { lifecycles: vec!["t".to_owned()], ..Difference::default() },
            Difference { drain: vec!["t".to_owned()], ..Difference::default() },
        ] {
            assert!(!some.is_empty(), "{some:?}");
        }
    }

    #[test]
    fn names_beyond_the_bound_are_counted() {
        let mut names = Names::default();
        for number in 0..=Names::MAX_NAMED {
            names.note(&number.to_string().into(), &"t".into());
        }
        assert_eq!((names.count, names.names.len()), (Names::MAX_NAMED + 1, Names::MAX_NAMED));
        assert_eq!(names.by_type, [("t".into(), Names::MAX_NAMED + 1)].into());
    }
}
