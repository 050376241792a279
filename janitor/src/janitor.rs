//! The janitor's pass: who is cleaned next.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use boskos_client::{
    Client, Error, Filter, Resource, ResourceName, ResourceType,
    frame::{Pass, Pool, Progress, Work},
    types::{self, TypeSelection},
};
use boskos_core::{MonoTime, WallTime, state};
use boskos_runtime::text;
use prometheus::Registry;

use crate::{Commands, breaker::Allowed, candidates::Candidates, clean::Tools, standing::Standing};

/// The longest time between two passes.
const INTERVAL: Duration = Duration::from_secs(60);

/// The shortest, where something is due: an older server is to be left in peace.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// How to clean.
#[derive(Clone, Debug)]
pub struct Options {
    /// With which command.
    pub commands: Commands,
    /// Time between heartbeats.
    pub update_frequency: Duration,
    /// How long the command may take; `None` is without end.
    pub timeout: Option<Duration>,
    /// After how many failures in a row a resource is quarantined.
    pub quarantine_after: NonZeroU32,
    /// After how many different resources in a row that failed a type pauses.
    pub breaker: NonZeroU32,
    /// How long a resource or a type is left alone after its first failure.
    pub backoff: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Finds dirty resources and has the command clean them, fairly across types.
#[derive(Debug)]
pub struct Janitor {
    types: TypeSelection,
    serving: Vec<ResourceType>,
    /// The type that was served last: the next one begins.
    last: Option<ResourceType>,
    candidates: Candidates,
    /// Candidates were listed in this pass.
    listed: bool,
    /// The server cannot list.
    is_older: bool,
    /// What a dry run told of already.
    told: BTreeMap<ResourceName, WallTime>,
    tools: Tools,
}

// === impl Janitor ===

impl Janitor {
    /// A janitor of `types`.
    ///
    /// # Errors
    ///
    /// If a metric cannot be had.
    pub fn new(
        client: Client,
        work: Work,
        registry: &Registry,
        types: TypeSelection,
        options: Options,
    ) -> Result<Self, prometheus::Error> {
        let standing = Standing::register(registry, client.clock(), options.breaker, options.backoff)?;
        Ok(Self {
            types,
            serving: Vec::new(),
            last: None,
            candidates: Candidates::new(options.backoff),
            listed: false,
            is_older: false,
            told: BTreeMap::new(),
            tools: Tools { client, work, standing, options: Arc::new(options) },
        })
    }

    async fn look(&mut self, pool: &mut Pool) -> Result<Progress, Error> {
        self.serving = self.types.current(&self.tools.client).await?;
        (self.listed, self.is_older) = (false, false);
        if self.tools.options.dry_run {
            return self.tell().await;
        }
        let mut progress = Progress::Idle;
        // One of each type in turn, beginning behind the one that was served last.
        let mut turn = self.serving.clone();
        if let Some(last) = &self.last {
            let next = turn.partition_point(|r#type| r#type <= last);
            turn.rotate_left(next);
        }
        while !turn.is_empty() {
            let mut still = Vec::with_capacity(turn.len());
            for r#type in turn {
                if pool.room() == 0 {
                    return Ok(progress);
                }
                if let Some(resource) = self.take(&r#type).await? {
                    progress = Progress::Did;
                    self.start(resource, pool);
                    self.last = Some(r#type.clone());
                    still.push(r#type);
                }
            }
            turn = still;
        }
        Ok(progress)
    }

    fn start(&mut self, resource: Resource, pool: &mut Pool) {
        let probe = self.tools.standing.probe(&resource.r#type);
        let lease = self.tools.hold(resource);
        pool.spawn(self.tools.clone().clean(lease, pool.stop(), probe));
    }

    /// Takes one of `type`, if there is one that may be cleaned.
    async fn take(&mut self, r#type: &ResourceType) -> Result<Option<Resource>, Error> {
        loop {
            if !matches!(self.tools.standing.allowed(r#type), Allowed::All | Allowed::Probe) {
                return Ok(None);
            }
            self.list_if_needed(r#type).await?;
            if self.is_older {
                return self.take_older(r#type).await;
            }
            let Some(name) = self.candidates.next(r#type) else { return Ok(None) };
            let names = std::slice::from_ref(&name);
            match self.tools.client.acquire_by_state(state::DIRTY, state::CLEANING, names).await {
                Ok(taken) => {
                    for resource in taken {
                        if resource.r#type == *r#type {
                            return Ok(Some(resource));
                        }
                        // It was made anew under another type.
                        self.tools.hold(resource).release(state::DIRTY).await?;
                    }
                }
                Err(error) if error.is_none_now() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn list_if_needed(&mut self, r#type: &ResourceType) -> Result<(), Error> {
        if self.listed || self.is_older || self.candidates.has(r#type) {
            return Ok(());
        }
        let Some(filter) = types::unowned(&self.serving, &[state::DIRTY]) else { return Ok(()) };
        match self.tools.client.list(&filter).await {
            Ok(listed) => {
                self.listed = true;
                self.candidates.fill(listed, self.tools.client.clock().mono());
            }
            Err(Error::OlderServer { .. }) => self.is_older = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// An older server says which.
    async fn take_older(&mut self, r#type: &ResourceType) -> Result<Option<Resource>, Error> {
        match self.tools.client.acquire(r#type.as_str(), state::DIRTY, state::CLEANING).await {
            Ok(resource) if self.candidates.is_resting(&resource, self.tools.client.clock().mono()) => {
                // Those behind it were dirty for a shorter time: left for a later pass.
                self.tools.hold(resource).release(state::DIRTY).await?;
                Ok(None)
            }
            Ok(resource) => Ok(Some(resource)),
            Err(error) if error.is_none_now() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A dry run: says of each dirty resource once how it would be cleaned.
    async fn tell(&mut self) -> Result<Progress, Error> {
        let Some(filter) = types::unowned(&self.serving, &[state::DIRTY]) else { return Ok(Progress::Idle) };
        let listed = self.tools.client.list(&filter).await?;
        let mut told = BTreeMap::new();
        for resource in listed {
            if self.told.get(&resource.name) != Some(&resource.last_update) {
                let (r#type, name) = (&resource.r#type, &resource.name);
                let program = self.tools.options.commands.program(r#type);
                let program = program.map_or_else(|error| text::chain(&error), |path| path.display().to_string());
                let arguments = self.tools.options.commands.arguments(r#type, name);
                tracing::info!(%r#type, %name, program, ?arguments, "dry run: would be cleaned so");
            }
            told.insert(resource.name, resource.last_update);
        }
        self.told = told;
        Ok(Progress::Idle)
    }
}

impl Pass for Janitor {
    async fn pass(&mut self, pool: &mut Pool) -> Result<Progress, Error> {
        self.look(pool).await
    }

    fn wakes_on(&self) -> Option<Filter> {
        let allowed =
            |r#type: &&ResourceType| matches!(self.tools.standing.allowed(r#type), Allowed::All | Allowed::Probe);
        let types: Vec<ResourceType> = self.serving.iter().filter(allowed).cloned().collect();
        types::unowned(&types, &[state::DIRTY])
    }

    fn interval(&self) -> Duration {
        let now = self.tools.client.clock().mono();
        let pauses = self.serving.iter().filter_map(|r#type| match self.tools.standing.allowed(r#type) {
            Allowed::After(until) => Some(until),
            // The probe's end is not heard of here.
            Allowed::AfterProbe => Some(now.saturating_add(Duration::from_secs(1))),
            Allowed::All | Allowed::Probe => None,
        });
        let first: Option<MonoTime> = pauses.chain(self.candidates.first_due(now)).min();
        let until = first.map_or(INTERVAL, |first| first.saturating_since(now));
        until.clamp(LEAST_INTERVAL, INTERVAL)
    }

    async fn called(&mut self) {
        self.types.changed().await;
    }
}
