//! One resource on its way from dirty to free.

use std::{collections::BTreeSet, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use boskos_client::{Error, Filter, Lease, Lost, Resource, ResourceName, ResourceType, State, UserDataPatch};
use boskos_core::{
    leased::{LEASED_RESOURCES, format_leased, leased_resources},
    state::{DIRTY, FREE, LEASED, is_known},
};
use boskos_runtime::signal::{Cause, Shutdown};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    ConfigConverter,
    config::MasonConfig,
    failure::Failure,
    needs::{Attempt, Needs},
    shop::Shop,
};

/// How long what is needed is waited for; then others of the type get their turn.
const NEEDS_WAIT: Duration = Duration::from_secs(600);

/// Names asked for in one call: a request line has a bound.
const AT_ONCE: usize = 50;

/// One resource on its way from dirty to free.
///
/// Killed at any point, what is held becomes dirty by the reaper. So the list of what a resource is made of is written
/// before the first part is let go into the state called after it, and deleted only while all of them are held:
/// nothing is ever in such a state without being listed. A list may name parts that are not in that state, or not any
/// more; whoever takes parts back goes by their state.
pub(crate) struct Construction {
    pub(crate) shop: Arc<Shop>,
    pub(crate) config: MasonConfig,
    pub(crate) converter: ConfigConverter,
    /// Types that the server makes on demand.
    pub(crate) dynamic: Arc<BTreeSet<ResourceType>>,
    pub(crate) stop: Shutdown,
    /// Given up while waiting for what is needed.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
}

// === impl Construction ===

impl Construction {
    /// All stages of `whole`, which is cleaning, and ours; in the end everything is free, or dirty.
    pub(crate) async fn run(mut self, whole: Lease) {
        let resource = whole.resource();
        let (name, r#type) = (&resource.name, &resource.r#type);
        let mut parts = Vec::new();
        let mut made = self.make(&whole, &mut parts).await;
        if made.is_ok() {
            made = self.let_go(&whole, &mut parts).await;
        } else {
            self.unname(&whole, &parts).await;
        }
        for part in parts {
            self.release(part, DIRTY).await;
        }
        if let Err(failure) = made {
            // Before it is dirty: the next pass begins at that moment.
            let pause = self.pause(&failure, name, r#type);
            self.release(whole, DIRTY).await;
            self.failed(&failure, name, r#type, pause);
        } else if let Err(error) = whole.release(FREE).await {
            let failure = Failure::Free(error);
            let pause = self.pause(&failure, name, r#type);
            self.failed(&failure, name, r#type, pause);
        } else {
            tracing::info!(%name, r#type = %r#type, "made");
            self.shop.pauses.made(name);
            self.shop.work.did(r#type.as_str(), 1);
        }
    }

    /// Leaves it alone for a while, if it is to blame; for how long.
    fn pause(&self, failure: &Failure, name: &ResourceName, r#type: &ResourceType) -> Duration {
        if failure.is_its_own() { self.shop.pauses.failed(name, r#type) } else { Duration::ZERO }
    }

    fn failed(&self, failure: &Failure, name: &ResourceName, r#type: &ResourceType, pause: Duration) {
        self.shop.work.failed(r#type.as_str(), failure.reason());
        tracing::warn!(%name, r#type = %r#type, error = %failure, again_in_s = pause.as_secs_f64(), "not made");
    }

    async fn make(&mut self, whole: &Lease, parts: &mut Vec<Lease>) -> Result<(), Failure> {
        self.recycle(whole).await?;
        self.check(whole, &[])?;
        self.fulfil(whole, parts).await?;
        self.check(whole, parts)?;
        self.construct(whole, parts).await
    }

    /// Whether there is a reason to stop.
    fn check(&self, whole: &Lease, parts: &[Lease]) -> Result<(), Failure> {
        if self.stop.is_triggered() {
            return Err(Failure::Stopping);
        }
        match [whole].into_iter().chain(parts).find(|lease| lease.is_lost()) {
            Some(lost) => Err(Failure::LostPart(lost.name())),
            None => Ok(()),
        }
    }

    /// Gives back what the resource was made of, if it was.
    async fn recycle(&self, whole: &Lease) -> Result<(), Failure> {
        let resource = whole.resource();
        let text = resource.user_data.get(LEASED_RESOURCES);
        let strays = self.strays(&resource).await;
        let mut names = match leased_resources(text.as_deref()) {
            Ok(names) => names,
            // What is in the state called after it says as much.
            Err(error) if strays.is_ok() && !self.config.needs.is_empty() => {
                tracing::warn!(name = %resource.name, %error, "its list of leased resources is dropped");
                Vec::new()
            }
            Err(error) => return Err(Failure::Leased(error)),
        };
        match strays {
            Ok(strays) => names.extend(strays),
            Err(Error::OlderServer { .. }) => {}
            Err(error) => return Err(Failure::Recycle(error)),
        }
        names.sort();
        names.dedup();
        let mut taken = Vec::new();
        for some in names.chunks(AT_ONCE) {
            self.take_back(&resource.name, some, &mut taken).await.map_err(Failure::Recycle)?;
        }
        if text.is_some() {
            whole.update(&unnamed()).await.map_err(Failure::Recycle)?;
        }
        for lease in taken {
            let released = lease.release(DIRTY).await;
            match released {
                // Somebody took it from us: it is theirs to clean.
                Err(error) if !error.is_lost() => return Err(Failure::Recycle(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is in the state called after the resource though its list may not name it: two masons, one of which had
    /// lost the resource without knowing, may leave such.
    async fn strays(&self, whole: &Resource) -> Result<Vec<ResourceName>, Error> {
        let types: Vec<_> = self.config.needs.keys().cloned().collect();
        if types.is_empty() || is_known(whole.name.as_str()) {
            return Ok(Vec::new());
        }
        let filter = Filter { types, states: vec![State::from(whole.name.as_str())], owners: vec![None] };
        Ok(self.shop.client.list(&filter).await?.into_iter().map(|resource| resource.name).collect())
    }

    /// Takes those of `names` that are in the state called after the resource.
    async fn take_back(
        &self,
        whole: &ResourceName,
        names: &[ResourceName],
        taken: &mut Vec<Lease>,
    ) -> Result<(), Error> {
        let client = &self.shop.client;
        match client.acquire_by_state(whole.as_str(), LEASED, names).await {
            Ok(all) => taken.extend(all.into_iter().map(|resource| self.shop.lease(resource))),
            Err(error) if !error.is_none_now() => return Err(error),
            Err(_) if names.len() == 1 => {}
            // Not all of them are there: those that are count one by one.
            Err(_) => {
                for name in names {
                    match client.acquire_by_state(whole.as_str(), LEASED, std::slice::from_ref(name)).await {
                        Ok(one) => taken.extend(one.into_iter().map(|resource| self.shop.lease(resource))),
                        Err(error) if error.is_none_now() => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(())
    }

    /// Gets what the resource is made of and writes that down.
    async fn fulfil(&mut self, whole: &Lease, parts: &mut Vec<Lease>) -> Result<(), Failure> {
        *parts = self.gather(whole).await?;
        self.check(whole, parts)?;
        let names: Vec<_> = parts.iter().map(Lease::name).collect();
        let list = [(LEASED_RESOURCES.to_owned(), Some(format_leased(&names)))].into();
        whole.update(&list).await.map_err(Failure::Write)
    }

    async fn gather(&mut self, whole: &Lease) -> Result<Vec<Lease>, Failure> {
        let (shop, needs) = (Arc::clone(&self.shop), self.config.needs.clone());
        let dynamic = Arc::clone(&self.dynamic);
        let needs = Needs { shop: &shop, needs: &needs, dynamic: &dynamic };
        let clock = shop.client.clock();
        let mut delays = Needs::delays();
        let deadline = clock.mono().saturating_add(NEEDS_WAIT);
        let (mut first, mut waited) = (None, false);
        loop {
            let short = match needs.attempt(first.take()).await.map_err(Failure::Fulfil)? {
                Attempt::All(parts) => {
                    self.work_again(whole, &parts).await?;
                    return Ok(parts);
                }
                Attempt::Short(short) => short,
            };
            self.check(whole, &[])?;
            if !waited {
                tracing::info!(name = %whole.name(), needs = %short, "waits for what it needs");
            }
            // Others may work meanwhile.
            self.slot = None;
            let wait = async {
                if waited {
                    clock.sleep(delays.next_delay()).await;
                }
                needs.wait(&short).await
            };
            let resource = tokio::select! {
                biased;
                failure = self.interrupted(whole, &[]) => return Err(failure),
                () = clock.sleep_until(deadline) => return Err(Failure::Short(short.clone())),
                resource = wait => resource.map_err(Failure::Fulfil)?,
            };
            first = Some(shop.lease(resource));
            waited = true;
        }
    }

    /// Waits for the slot that was given up. Who has one waits for nothing that is held here.
    async fn work_again(&mut self, whole: &Lease, parts: &[Lease]) -> Result<(), Failure> {
        if self.slot.is_some() {
            return Ok(());
        }
        let slots = Arc::clone(&self.shop.slots);
        self.slot = tokio::select! {
            biased;
            failure = self.interrupted(whole, parts) => return Err(failure),
            slot = slots.acquire_owned() => slot.ok(),
        };
        Ok(())
    }

    /// Makes the resource of its parts.
    async fn construct(&self, whole: &Lease, parts: &[Lease]) -> Result<(), Failure> {
        let masonable = (self.converter)(&self.config.config.content).map_err(Failure::Construct)?;
        let leased: Vec<Resource> = parts.iter().map(Lease::resource).collect();
        let (resource, halt) = (whole.resource(), Shutdown::new());
        let mut work = pin!(masonable.construct(&resource, &leased, &halt));
        let made = tokio::select! {
            biased;
            failure = self.interrupted(whole, parts) => {
                halt.trigger(Cause::Requested);
                // Not before all that works on them has ended are they anybody else's.
                work.await.ok();
                return Err(failure);
            }
            made = &mut work => made,
        };
        let mut patch = made.map_err(Failure::Construct)?;
        if patch.remove(LEASED_RESOURCES).is_some() {
            tracing::warn!(name = %resource.name, "its converter tried to set {LEASED_RESOURCES}, which is mason's");
        }
        self.check(whole, parts)?;
        // Counts as a heartbeat where there is nothing to write.
        whole.update(&patch).await.map_err(Failure::Write)
    }

    /// Lets the parts go into the state called after the resource. On a failure some may be: the list stays.
    async fn let_go(&self, whole: &Lease, parts: &mut Vec<Lease>) -> Result<(), Failure> {
        self.check(whole, parts)?;
        // Just before: a part that goes into the state of a resource that is another's would be lost sight of.
        whole.update(&UserDataPatch::new()).await.map_err(Failure::Free)?;
        let name = whole.name();
        while let Some(part) = parts.pop() {
            self.check(whole, &[])?;
            part.release(name.as_str()).await.map_err(Failure::Free)?;
        }
        Ok(())
    }

    /// Forgets the list, all of whose parts are held still.
    async fn unname(&self, whole: &Lease, parts: &[Lease]) {
        if parts.is_empty() || whole.is_lost() {
            return;
        }
        if let Err(error) = whole.update(&unnamed()).await {
            // The next mason finds that they are not in the state called after it.
            tracing::debug!(%error, "the list stays");
        }
    }

    async fn release(&self, lease: Lease, dest: &str) {
        let name = lease.name();
        match lease.release(dest).await {
            Err(error) if !error.is_lost() => tracing::warn!(%name, %error, dest, "not released"),
            _ => {}
        }
    }

    /// Waits until there is a reason to stop.
    async fn interrupted(&self, whole: &Lease, parts: &[Lease]) -> Failure {
        tokio::select! {
            lost = first_lost(whole, parts) => Failure::Lost(lost),
            _ = self.stop.triggered() => Failure::Stopping,
        }
    }
}

fn unnamed() -> UserDataPatch {
    [(LEASED_RESOURCES.to_owned(), None)].into()
}

/// Waits until one of the leases is lost.
async fn first_lost(whole: &Lease, parts: &[Lease]) -> Lost {
    let mut losses: Vec<_> = [whole].into_iter().chain(parts).map(|lease| Box::pin(lease.lost())).collect();
    poll_fn(|context| {
        let lost = losses.iter_mut().find_map(|loss| match loss.as_mut().poll(context) {
            Poll::Ready(lost) => Some(lost),
            Poll::Pending => None,
        });
        lost.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
