//! That the store cannot be written, as the log says it: at once, and once a minute while it lasts.

use crate::trouble::Trouble;

/// Whether the store can be written, and why not.
#[derive(Debug, Default)]
pub(super) struct Halt {
    why: Option<String>,
    trouble: Trouble,
}

impl Halt {
    /// It cannot be written, for this reason; `say` says so, if it is time to.
    pub(super) fn goes_on(&mut self, why: String, say: impl FnOnce(&str)) {
        self.why = Some(why);
        self.look(say);
    }

    /// Whether it lasts.
    pub(super) const fn lasts(&self) -> bool {
        self.why.is_some()
    }

    /// Time has passed: `say` says why it lasts, if it does and it is time to.
    pub(super) fn look(&mut self, say: impl FnOnce(&str)) {
        if let Some(why) = &self.why {
            self.trouble.tell(|| say(why));
        }
    }

    /// It is over. Whether it was spoken of, so that its end is to be.
    pub(super) fn end(&mut self) -> bool {
        self.why = None;
        self.trouble.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn halt_is_told_of_once_a_minute_with_its_latest_reason_and_its_end_once() {
        let (mut halt, mut told) = (Halt::default(), Vec::new());
        halt.look(|why| told.push(why.to_owned()));
        assert!(!halt.lasts() && told.is_empty());
        halt.goes_on("full".to_owned(), |why| told.push(why.to_owned()));
        halt.goes_on("broken".to_owned(), |why| told.push(why.to_owned()));
        for _ in 0..24 {
            assert!(halt.lasts());
            advance(Duration::from_secs(5)).await;
            halt.look(|why| told.push(why.to_owned()));
        }
        assert_eq!(told, ["full", "broken"], "in two minutes");
        assert!(halt.end() && !halt.end() && !halt.lasts());
    }
}
