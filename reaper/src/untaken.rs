//! States that nobody takes resources from.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use boskos_client::{Client, Error, Filter, Resource, ResourceName, ResourceType, State};
use boskos_core::{MonoTime, WallTime, state};
use prometheus::{IntGaugeVec, Opts, Registry};

/// How long the oldest resource of a state must have been left alone.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// All resources are listed for it: not in every pass.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Says once of each type and state that nobody has taken anything from it for a day: no janitor for that type, a
/// cleaner that is gone, a state that was misspelt.
#[derive(Debug)]
pub(crate) struct Untaken {
    /// How many there are of each type.
    states: IntGaugeVec,
    looked: Option<MonoTime>,
    seen: BTreeMap<(ResourceType, State), Seen>,
}

/// The resource of a type and state that was left alone the longest.
#[derive(Debug)]
struct Seen {
    name: ResourceName,
    last_update: WallTime,
    /// Since when it is the one, on this process's clock.
    since: MonoTime,
    /// How many there are beside it.
    count: usize,
    reported: bool,
}

// === impl Untaken ===

impl Untaken {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "States that nobody has taken resources from for a day.";
        let states = IntGaugeVec::new(Opts::new("boskos_reaper_untaken_states", help), &["type"])?;
        registry.register(Box::new(states.clone()))?;
        Ok(Self { states, looked: None, seen: BTreeMap::new() })
    }

    /// Looks if it is time to; an older server cannot tell.
    pub(crate) async fn look(&mut self, client: &Client, types: &[ResourceType]) -> Result<(), Error> {
        let now = client.clock().mono();
        if self.looked.is_some_and(|looked| now.saturating_since(looked) < LOOK_EVERY) {
            return Ok(());
        }
        self.looked = Some(now);
        let mut newest = WallTime::from_nanos(i64::MIN);
        let mut oldest: BTreeMap<(ResourceType, State), (Resource, usize)> = BTreeMap::new();
        for r#type in types {
            let filter = Filter { types: vec![r#type.clone()], ..Filter::default() };
            let resources = match client.list(&filter).await {
                Ok(resources) => resources,
                Err(Error::OlderServer { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            for resource in resources {
                newest = newest.max(resource.last_update);
                gather(&mut oldest, resource);
            }
        }
        self.remember(oldest, now);
        self.report(client, newest, now).await
    }

    fn remember(&mut self, oldest: BTreeMap<(ResourceType, State), (Resource, usize)>, now: MonoTime) {
        self.seen.retain(|key, _| oldest.contains_key(key));
        for (key, (resource, count)) in oldest {
            let (name, last_update) = (resource.name, resource.last_update);
            let fresh = Seen { name, last_update, since: now, count, reported: false };
            match self.seen.entry(key) {
                Entry::Occupied(mut known)
                    if known.get().name == fresh.name && known.get().last_update == fresh.last_update =>
                {
                    known.get_mut().count = count;
                }
                Entry::Occupied(mut known) => drop(known.insert(fresh)),
                Entry::Vacant(unknown) => drop(unknown.insert(fresh)),
            }
        }
    }

    /// Ages are the server's: how far the newest stamp of the server is beyond the oldest, or, where nothing happens
    /// at all, how long this process has seen the same.
    async fn report(&mut self, client: &Client, newest: WallTime, now: MonoTime) -> Result<(), Error> {
        for ((r#type, state), seen) in &mut self.seen {
            let by_stamps = u64::try_from(newest.nanos_since(seen.last_update)).unwrap_or(0);
            let age = Duration::from_nanos(by_stamps).max(now.saturating_since(seen.since));
            if seen.reported || age < LONG {
                continue;
            }
            if is_name(client, state).await? {
                continue;
            }
            seen.reported = true;
            let (hours, oldest) = (age.as_secs() / 3600, &seen.name);
            tracing::warn!(%r#type, %state, hours, resources = seen.count, %oldest, "nobody takes from this state");
        }
        self.states.reset();
        for ((r#type, _), _) in self.seen.iter().filter(|(_, seen)| seen.reported) {
            self.states.with_label_values(&[r#type.as_str()]).inc();
        }
        Ok(())
    }
}

fn gather(oldest: &mut BTreeMap<(ResourceType, State), (Resource, usize)>, resource: Resource) {
    // What is free may stay so.
    if resource.state.as_str() == state::FREE {
        return;
    }
    match oldest.entry((resource.r#type.clone(), resource.state.clone())) {
        Entry::Vacant(first) => drop(first.insert((resource, 1))),
        Entry::Occupied(mut known) => {
            let (longest, count) = known.get_mut();
            *count += 1;
            if (resource.last_update, &resource.name) < (longest.last_update, &longest.name) {
                *longest = resource;
            }
        }
    }
}

/// Parts of a composite wait in the state that is called after it for as long as it lives.
async fn is_name(client: &Client, state: &State) -> Result<bool, Error> {
    if state::is_known(state.as_str()) {
        return Ok(false);
    }
    match client.resource(state.as_str()).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. } | Error::OlderServer { .. }) => Ok(false),
        Err(error) if error.is_away() => Err(error),
        // Not a text that could be a name.
        Err(_) => Ok(false),
    }
}
