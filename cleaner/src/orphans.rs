//! Parts whose composite is gone: nobody would ever take them again.

use std::collections::{BTreeMap, BTreeSet};

use boskos_client::{Client, Error, Filter, Owner, Resource, ResourceName, ResourceType, ShownLifecycle, State};
use boskos_core::state;
use uuid::Uuid;

use crate::parts;

/// Who puts parts into the state called after their composite, and from which state.
const MAKER: (&str, &str) = ("mason", state::LEASED);

/// Where to look for orphans.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The types that composites have.
    composites: Vec<ResourceType>,
    /// The types that parts have; `None` is any.
    parts: Option<BTreeSet<ResourceType>>,
    /// States in which resources of dynamic types begin.
    initial: BTreeSet<State>,
}

// === impl Scope ===

impl Scope {
    /// Among the parts of the types in `serving`, or of all types if `is_all`.
    pub(crate) fn new(lifecycles: &[ShownLifecycle], serving: &[ResourceType], is_all: bool) -> Self {
        let lifecycles = lifecycles.iter().map(|shown| &shown.lifecycle);
        let served = lifecycles.clone().filter(|lifecycle| serving.contains(&lifecycle.r#type));
        let needs = served.flat_map(|lifecycle| lifecycle.needs.keys().cloned());
        Self {
            composites: lifecycles.clone().map(|lifecycle| lifecycle.r#type.clone()).collect(),
            parts: (!is_all).then(|| needs.chain(serving.iter().cloned()).collect()),
            initial: lifecycles.map(|lifecycle| lifecycle.state.clone()).collect(),
        }
    }

    /// Gives unowned parts back dirty whose state is the name of a resource that no longer exists.
    ///
    /// Any text is a state, so that must be certain: the state is a name that the server made up, or the part came to
    /// it from the hands of the one who calls states after resources.
    ///
    /// # Errors
    ///
    /// What went wrong; the rest is looked at again the next time.
    pub(crate) async fn adopt(&self, client: &Client) -> Result<usize, Error> {
        let mut count = 0;
        for (state, types) in self.candidates(client).await? {
            // Right before anything is taken: names are not given twice, so that it stays gone.
            if !is_gone(client, &state).await? {
                continue;
            }
            let filter = Filter { types, states: vec![state.clone()], owners: vec![None::<Owner>] };
            let names = self.orphaned(client, &state, client.list(&filter).await?).await?;
            let given_back = parts::give_back(client, &state, &names).await?;
            if given_back > 0 {
                let names: Vec<&str> = names.iter().map(ResourceName::as_str).collect();
                tracing::warn!(composite = %state, parts = names.join(","), "gone, its parts go back dirty");
            }
            count += given_back;
        }
        Ok(count)
    }

    /// States that might be names, and the types with something in them.
    async fn candidates(&self, client: &Client) -> Result<BTreeMap<State, Vec<ResourceType>>, Error> {
        let mut candidates: BTreeMap<State, Vec<ResourceType>> = BTreeMap::new();
        for metric in client.types().await? {
            let r#type = ResourceType::from(metric.r#type);
            if self.parts.as_ref().is_some_and(|parts| !parts.contains(&r#type)) {
                continue;
            }
            for state in metric.current.into_keys().filter(|state| !state::is_known(state)).map(State::from) {
                if !self.initial.contains(&state) {
                    candidates.entry(state).or_default().push(r#type.clone());
                }
            }
        }
        if !candidates.is_empty() && !self.composites.is_empty() {
            // Most of them are there: one listing tells, rather than a call for each.
            let filter = Filter { types: self.composites.clone(), ..Filter::default() };
            for composite in client.list(&filter).await? {
                candidates.remove(composite.name.as_str());
            }
        }
        Ok(candidates)
    }

    async fn orphaned(&self, client: &Client, state: &State, parts: Vec<Resource>) -> Result<Vec<ResourceName>, Error> {
        let is_made_up = Uuid::try_parse(state.as_str()).is_ok();
        let mut orphaned = Vec::new();
        for part in parts {
            if is_made_up || was_put_there(client, &part).await? {
                orphaned.push(part.name);
            }
        }
        Ok(orphaned)
    }
}

async fn is_gone(client: &Client, state: &State) -> Result<bool, Error> {
    match client.resource(state.as_str()).await {
        Ok(_) => Ok(false),
        Err(Error::NotFound { .. }) => Ok(true),
        // Not a text that could be a name.
        Err(Error::BadRequest { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the part came to its state from one who calls states after resources.
async fn was_put_there(client: &Client, part: &Resource) -> Result<bool, Error> {
    let rows = match client.history(part.name.as_str(), 1).await {
        Ok(rows) => rows,
        Err(Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let came_from = rows.into_iter().next().and_then(|newest| {
        let is_this = newest.to.is_some_and(|to| to.state == part.state && to.owner.is_empty());
        newest.from.filter(|_| is_this)
    });
    Ok(came_from.is_some_and(|from| (from.owner.as_str(), from.state.as_str()) == MAKER))
}
