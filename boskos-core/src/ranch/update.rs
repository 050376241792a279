//! Update: the heartbeat, and user data.

use super::{
    Ranch,
    command::{CallId, Command, Refusal, Update},
    flight::{Age, Purpose, Role},
};
use crate::Now;

impl Ranch {
    pub(super) fn update(&mut self, call: CallId, update: Update, now: Now) {
        let Some(key) = self.inventory.find(update.name.as_str()) else {
            return self.refuse(call, Refusal::NotFound(update.name));
        };
        if self.inventory.get(key).flight.is_some() {
            return self.wait_for(key, call, Command::Update(update));
        }
        if let Some(refusal) = self.owned_by_another(key, &update.owner) {
            return self.refuse(call, refusal);
        }
        let mut record = self.record_of(key);
        if record.resource.state != update.state {
            let current = record.resource.state;
            return self.refuse(call, Refusal::WrongState { asked: update.state, current });
        }
        record.resource.user_data = record.resource.user_data.merged(&update.patch);
        let mut draft = self.draft();
        self.draft_put(&mut draft, key, record, Age::Fresh, Role::Plain, now);
        self.launch(draft, Purpose::Mutation { call, command: Command::Update(update) });
    }
}
