//! The pass: every dirty resource of a composite type gets a construction.

use std::{sync::Arc, time::Duration};

use boskos_client::{
    Client, Error, Filter, Resource, ResourceType,
    frame::{Pass, Pool, Progress, Work},
    types,
};
use boskos_core::state::{CLEANING, DIRTY};

use crate::{
    ConfigConverter, ConfigSource, Converters, Storage, config::MasonConfig, construction::Construction, shop::Shop,
    source::Configs, storage::StorageError,
};

/// Constructions under way at once, those included that wait for what they need: the size of the pool.
pub const MAX_JOBS: usize = 1_000;

/// The longest time between two passes; with a server that tells of nothing, the only one.
const INTERVAL: Duration = Duration::from_secs(10);

/// The shortest: what is paused for no longer is not worth a timer.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Makes composite resources.
#[derive(Debug)]
pub struct Mason {
    shop: Arc<Shop>,
    source: ConfigSource,
    storage: Storage,
    converters: Converters,
    /// What it made of the configs last: the types that have a converter.
    serving: Vec<ResourceType>,
    /// Which of them comes first, so that none is always last.
    turn: usize,
    /// The last pass ended for want of a slot.
    is_short: bool,
}

// === impl Mason ===

impl Mason {
    /// A mason whose constructions work `workers` at a time.
    #[must_use]
    pub fn new(client: Client, work: Work, source: ConfigSource, workers: usize) -> Self {
        Self {
            shop: Arc::new(Shop::new(client, work, workers)),
            source,
            storage: Storage::default(),
            converters: Converters::default(),
            serving: Vec::new(),
            turn: 0,
            is_short: false,
        }
    }

    /// Registers `converter` for configs of type `config_type`; returns the one that it replaces.
    pub fn register_config_converter(
        &mut self,
        config_type: impl Into<String>,
        converter: ConfigConverter,
    ) -> Option<ConfigConverter> {
        self.converters.register(config_type, converter)
    }

    /// Whether anything can be made at all.
    #[must_use]
    pub fn has_converters(&self) -> bool {
        !self.converters.is_empty()
    }

    /// The configs as they were at the last pass.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Those that there is a converter for, beginning with another one each time.
    async fn orders(&mut self) -> Result<Vec<(MasonConfig, ConfigConverter)>, StorageError> {
        let converters = &self.converters;
        let with_converter = |config: MasonConfig| {
            let converter = converters.get(&config.config.r#type)?.clone();
            Some((config, converter))
        };
        let mut orders: Vec<_> = self.storage.list().await?.into_iter().filter_map(with_converter).collect();
        self.serving = orders.iter().map(|(config, _)| config.name.clone()).collect();
        if !orders.is_empty() {
            self.turn = (self.turn + 1) % orders.len();
            orders.rotate_left(self.turn);
        }
        Ok(orders)
    }

    /// A dirty resource that is not paused, taken.
    async fn take(&self, r#type: &ResourceType) -> Result<Option<Resource>, Error> {
        let client = &self.shop.client;
        if !self.shop.pauses.has(r#type) {
            return found(client.acquire(r#type.as_str(), DIRTY, CLEANING).await);
        }
        let filter = Filter { types: vec![r#type.clone()], states: vec![DIRTY.into()], owners: vec![None] };
        let mut dirty = match client.list(&filter).await {
            Ok(dirty) => dirty,
            // It cannot be asked for one in particular that is there: the whole type waits.
            Err(Error::OlderServer { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        dirty.sort_by_key(|resource| resource.last_update);
        for resource in dirty.into_iter().filter(|resource| !self.shop.pauses.is_paused(&resource.name)) {
            let taken = client.acquire_by_state(DIRTY, CLEANING, &[resource.name]).await;
            if let Some(taken) = found(taken)?.and_then(|all| all.into_iter().next()) {
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }
}

fn found<T>(taken: Result<T, Error>) -> Result<Option<T>, Error> {
    match taken {
        Ok(taken) => Ok(Some(taken)),
        Err(error) if error.is_none_now() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Pass for Mason {
    async fn pass(&mut self, pool: &mut Pool) -> Result<Progress, Error> {
        let Configs { configs, dynamic } = self.source.current(&self.shop.client).await?;
        let synced = match self.storage.sync(configs).await {
            Ok(_) => self.orders().await,
            Err(error) => Err(error),
        };
        let mut orders = match synced {
            Ok(orders) => orders,
            Err(error) => {
                tracing::error!(%error, "the configs cannot be kept");
                return Ok(Progress::Idle);
            }
        };
        let dynamic = Arc::new(dynamic);
        self.is_short = false;
        let mut progress = Progress::Idle;
        // One of each type in turn, until there is none of any.
        while !orders.is_empty() {
            let mut left = Vec::new();
            for (config, converter) in orders {
                if pool.room() == 0 {
                    return Ok(progress);
                }
                let Ok(slot) = Arc::clone(&self.shop.slots).try_acquire_owned() else {
                    self.is_short = true;
                    return Ok(progress);
                };
                let Some(resource) = self.take(&config.name).await? else { continue };
                progress = Progress::Did;
                let whole = self.shop.lease(resource);
                let construction = Construction {
                    shop: Arc::clone(&self.shop),
                    config: config.clone(),
                    converter: Arc::clone(&converter),
                    dynamic: Arc::clone(&dynamic),
                    stop: pool.stop(),
                    slot: Some(slot),
                };
                pool.spawn(construction.run(whole));
                left.push((config, converter));
            }
            orders = left;
        }
        Ok(progress)
    }

    fn wakes_on(&self) -> Option<Filter> {
        if self.is_short {
            // A slot that becomes free calls.
            return None;
        }
        types::unowned(&self.serving, &[DIRTY])
    }

    fn interval(&self) -> Duration {
        self.shop.pauses.next().map_or(INTERVAL, |pause| pause.clamp(MIN_INTERVAL, INTERVAL))
    }

    async fn called(&mut self) {
        let slots = async {
            match self.is_short {
                true => drop(self.shop.slots.acquire().await),
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = slots => {}
            () = self.source.changed() => {}
        }
    }
}
