//! Following the config while plans are in flight: one step after the other, as the server does.

use std::collections::VecDeque;

use boskos_core::{
    Comparison,
    ranch::command::{CallId, Command, Reply, SyncChange},
};

use super::{Check, Loose};
use crate::ranch::dice::Dice;

/// How far the config is applied.
#[derive(Debug, Default)]
pub(super) struct Following {
    stage: Stage,
    /// The step that is not answered yet.
    open: Option<CallId>,
    steps: VecDeque<Vec<SyncChange>>,
    /// Whether the last try was given up.
    pub(super) failed: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Done,
    Lifecycles,
    Names,
}

impl Following {
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done && !self.failed
    }
}

impl Loose<'_> {
    /// The config is edited, or what could not be applied is tried again.
    pub(super) fn follow_config(&mut self, dice: &mut Dice) -> Check {
        if self.following.stage != Stage::Done {
            return Ok(());
        }
        if !self.following.failed || dice.chance(50) {
            self.plot.edit(dice);
        }
        self.begin_following()
    }

    pub(super) fn begin_following(&mut self) -> Check {
        let wanted = self.plot.wanted();
        self.say(|| format!("sync {wanted:?}"));
        self.ranch.begin_sync(self.plot.states());
        let config = self.plot.config();
        let changes = Comparison::new(&config).lifecycle_changes(&self.ranch.lifecycles());
        self.following = Following { stage: Stage::Lifecycles, ..Following::default() };
        self.next_step(changes)
    }

    fn next_step(&mut self, changes: Vec<SyncChange>) -> Check {
        // The reply may come at once.
        self.following.open = Some(CallId(self.last_call + 1));
        self.ask(Command::Sync(changes)).map(drop)
    }

    pub(super) fn sync_answered(&mut self, call: CallId, reply: &Reply) -> Check {
        if self.following.open != Some(call) {
            return Err(format!("{call:?} is no open step of a sync"));
        }
        self.following.open = None;
        if !matches!(reply, Reply::Synced) {
            self.following = Following { failed: true, ..Following::default() };
            self.ranch.end_sync();
        }
        Ok(())
    }

    /// Takes the next step if the one before is answered.
    pub(super) fn go_on_following(&mut self, dice: &mut Dice) -> Check {
        while self.following.open.is_none() {
            match self.following.stage {
                Stage::Done => return Ok(()),
                Stage::Lifecycles => {
                    let config = self.plot.config();
                    let mut comparison = Comparison::new(&config);
                    let mut changes = Vec::new();
                    comparison.name_changes(&self.ranch.names_page(None, usize::MAX), &mut changes);
                    changes.extend(comparison.rest(usize::MAX));
                    let size = 1 + dice.below(5);
                    self.following.steps = changes.chunks(size).map(<[SyncChange]>::to_vec).collect();
                    self.following.stage = Stage::Names;
                }
                Stage::Names => match self.following.steps.pop_front() {
                    Some(step) => self.next_step(step)?,
                    None => {
                        self.following.stage = Stage::Done;
                        self.ranch.end_sync();
                    }
                },
            }
        }
        Ok(())
    }

    pub(super) fn changes_left(&self) -> Vec<SyncChange> {
        let config = self.plot.config();
        let mut comparison = Comparison::new(&config);
        let mut changes = comparison.lifecycle_changes(&self.ranch.lifecycles());
        comparison.name_changes(&self.ranch.names_page(None, usize::MAX), &mut changes);
        changes.extend(comparison.rest(usize::MAX));
        changes
    }
}
