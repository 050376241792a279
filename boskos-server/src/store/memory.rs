//! temporary
use super::*;
/// t
#[derive(Debug, Default)]
pub struct MemoryStore;
impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn load(&self, _sink: &mut dyn LoadSink) -> Result<(), StoreError> {
        Ok(())
    }
    fn start(&self, _outcomes: std::sync::Arc<dyn Outcomes>) {}
    fn submit(&self, plans: &mut Vec<Plan>, known: &mut Vec<(PlanId, Outcome)>) {
        known.extend(plans.drain(..).map(|plan| (plan.id, Outcome::Committed(Default::default()))));
    }
    fn history(&self, _newest: Sequence, _limit: usize) -> Result<Vec<HistoryRow>, StoreError> {
        Ok(vec![])
    }
    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
