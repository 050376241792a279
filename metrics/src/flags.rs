//! The command line.

use boskos_client::{State, flags::DaemonFlags, types::TypeFlags};
use boskos_core::state::KNOWN;
use clap::Parser;

/// Show how many resources are in which state: JSON and a page on --port, Prometheus on --metrics-port
///
/// Without --resource-type and --resource-type-from-config all types of the server are shown.
#[derive(Clone, Debug, Parser)]
#[command(name = "boskos-metrics")]
pub struct Flags {
    /// Which types to show.
    #[command(flatten)]
    pub types: TypeFlags,
    /// The states to show by themselves, comma separated; all others together are "other" [default: the known seven]
    #[arg(long = "resource-state", value_name = "STATES", default_value = "", hide_default_value = true)]
    pub resource_state: String,
    /// The port of the JSON and the page
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// What every daemon has.
    #[command(flatten)]
    pub daemon: DaemonFlags,
}

// === impl Flags ===

impl Flags {
    /// The states to show by themselves.
    #[must_use]
    pub fn states(&self) -> Vec<State> {
        states(&self.resource_state)
    }
}

fn states(text: &str) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if !states.iter().any(|state| state.as_str() == word) {
            states.push(word.into());
        }
    }
    if states.is_empty() { KNOWN.map(State::from).to_vec() } else { states }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_listed_once_and_default_to_the_known() {
        assert_eq!(states("free, busy,,free"), ["free".into(), "busy".into()]);
        for nothing in ["", " ,"] {
            assert_eq!(states(nothing), KNOWN.map(State::from));
        }
    }
}
