//! A ranch whose plans are settled by hand, one by one.

use std::time::Duration;

use boskos_core::{
    Lifecycle, MonoTime, Now, Resource, WallTime,
    ranch::{
        Limits, Loader, Ranch,
        command::{Acquire, CallId, Command, Effects, Granted, Reply},
        plan::{LifecycleRecord, Outcome, Plan, Record, Stored},
    },
};
use smallvec::SmallVec;

/// So many seconds after both clocks began.
pub(crate) fn at(seconds: u32) -> Now {
    let since = Duration::from_secs(seconds.into());
    Now {
        wall: WallTime::default().saturating_add_nanos(i64::from(seconds) * 1_000_000_000),
        mono: MonoTime::new(since),
    }
}

/// A resource that is not there yet: name, type, state and owner.
pub(crate) fn resource(name: &str, r#type: &str, state: &str, owner: Option<&str>) -> Resource {
    let resource = Resource::new(name.into(), r#type.into(), state.into(), at(0).wall);
    Resource { owner: owner.map(Into::into), ..resource }
}

/// A resource of type `t` that nobody owns.
pub(crate) fn free(name: &str) -> Resource {
    resource(name, "t", "free", None)
}

/// A resource of type `t` that Alice holds.
pub(crate) fn busy(name: &str) -> Resource {
    resource(name, "t", "busy", Some("alice"))
}

/// A type of which there may be nine resources.
pub(crate) fn dynamic(r#type: &str) -> Lifecycle {
    Lifecycle { max_count: 9, ..Lifecycle::new(r#type.into()) }
}

/// Alice takes a free resource of type `t`.
pub(crate) fn acquire() -> Acquire {
    Acquire {
        r#type: "t".into(),
        state: "free".into(),
        dest: "busy".into(),
        owner: "alice".into(),
        request_id: None,
        wait: Duration::ZERO,
    }
}

pub(crate) fn committed() -> Outcome {
    Outcome::Committed(SmallVec::new())
}

pub(crate) struct Stage {
    pub(crate) ranch: Ranch,
    pub(crate) now: Now,
    /// What is in flight, in the order in which it was decided.
    pub(crate) flying: Vec<Plan>,
    replies: Vec<(CallId, Reply)>,
    calls: u64,
}

impl Stage {
    /// Resources, the least recently updated first; those of dynamic types are not in the config.
    pub(crate) fn new(limits: Limits, resources: impl IntoIterator<Item = Resource>, lifecycles: &[Lifecycle]) -> Self {
        let mut made = 0;
        let names = move || {
            made += 1;
            format!("made-{made}").into()
        };
        let mut loader = Loader::new(limits, Box::new(names), at(0));
        for lifecycle in lifecycles {
            loader.lifecycle(LifecycleRecord { lifecycle: lifecycle.clone(), draining: false });
        }
        for (sequence, resource) in (1..).zip(resources) {
            let listed = lifecycles.iter().all(|lifecycle| lifecycle.r#type != resource.r#type);
            let record = Record { resource, sequence, last_transition: 0, leaving: false };
            loader.resource(Stored { key: None, record, version: 0 }, listed);
        }
        Self { ranch: loader.finish(), now: at(0), flying: Vec::new(), replies: Vec::new(), calls: 0 }
    }

    pub(crate) fn absorb(&mut self) {
        let Effects { plans, replies } = self.ranch.take_effects();
        self.flying.extend(plans);
        self.replies.extend(replies);
    }

    pub(crate) fn ask(&mut self, command: Command) -> CallId {
        self.calls += 1;
        let call = CallId(self.calls);
        self.ranch.decide(call, command, self.now);
        self.absorb();
        call
    }

    pub(crate) fn acquire(&mut self, acquire: Acquire) -> CallId {
        self.ask(Command::Acquire(acquire))
    }

    /// Settles what was decided first of all that is in flight.
    pub(crate) fn settle(&mut self, outcome: Outcome) {
        let plan = self.flying.remove(0);
        self.ranch.settle([(plan.id, outcome)], self.now);
        self.absorb();
    }

    pub(crate) fn commit_all(&mut self) {
        while !self.flying.is_empty() {
            self.settle(committed());
        }
    }

    /// The reply to `call`, if there is one by now.
    pub(crate) fn reply(&mut self, call: CallId) -> Option<Reply> {
        let index = self.replies.iter().position(|(of, _)| *of == call)?;
        Some(self.replies.remove(index).1)
    }

    /// Works once; whether more is due at once.
    pub(crate) fn work(&mut self) -> bool {
        let more = self.ranch.work(self.now);
        self.absorb();
        more
    }

    pub(crate) fn granted(&mut self, call: CallId) -> Box<Granted> {
        match self.reply(call) {
            Some(Reply::Granted(granted)) => granted,
            other => panic!("{call:?} is answered {other:?}"),
        }
    }

    /// State and owner of a resource.
    pub(crate) fn standing(&self, name: &str) -> (&str, Option<&str>) {
        let (resource, _) = self.ranch.resource(name).unwrap_or_else(|| panic!("there is no {name}"));
        (resource.state.as_str(), resource.owner.as_ref().map(boskos_core::Owner::as_str))
    }
}
