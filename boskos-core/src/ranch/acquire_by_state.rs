//! Acquire by state: all the named resources or none.

use super::{
    Ranch,
    command::{AcquireByState, CallId, Command, Refusal},
    flight::{Age, Purpose, Role},
    plan::ResourceKey,
};
use crate::Now;

impl Ranch {
    pub(super) fn acquire_by_state(&mut self, call: CallId, acquire: AcquireByState, now: Now) {
        let refusal = || Refusal::NoneAvailable(acquire.state.as_str().to_owned());
        let keys: Option<Vec<ResourceKey>> =
            acquire.names.iter().map(|name| self.inventory.find(name.as_str())).collect();
        let Some(keys) = keys else { return self.refuse(call, refusal()) };
        if let Some(key) = self.first_in_flight(&keys) {
            return self.wait_for(key, call, Command::AcquireByState(acquire));
        }
        let there = keys.iter().all(|key| {
            let resource = &self.inventory.get(*key).record.resource;
            resource.owner.is_none() && resource.state == acquire.state
        });
        if !there || keys.is_empty() {
            return self.refuse(call, refusal());
        }
        let mut draft = self.draft();
        for key in keys {
            let record = self.moved(key, acquire.dest.clone(), Some(acquire.owner.clone()));
            self.draft_put(&mut draft, key, record, Age::Fresh, Role::Plain, now);
        }
        self.launch(draft, Purpose::GrantAll { call, command: acquire, gone: false });
    }
}
