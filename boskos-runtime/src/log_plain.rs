//! What a command line says of what its caller should know: a line of text for each event, for eyes.

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use crate::{log::LogLevel, log_line::Fields, stdout, text};

/// Writes events as lines such as `warning: could not be given back name=project-1` on standard error. Where something
/// logs already it stays at that. Errors that end the process are told as ever.
pub fn init_plain(level: LogLevel) {
    tracing_subscriber::registry().with(level.filter()).with(PlainLines).try_init().ok();
}

struct PlainLines;

// === impl PlainLines ===

impl<S: Subscriber> Layer<S> for PlainLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        stdout::eprint_lines([line(event)]);
    }
}

fn line(event: &Event<'_>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let level = event.metadata().level().as_str().to_ascii_lowercase();
    let mut line = if level == "warn" { "warning:".to_owned() } else { format!("{level}:") };
    let (message, others): (Vec<_>, Vec<_>) = fields.0.into_iter().partition(|(name, _)| *name == "message");
    for (_, message) in message {
        line.push(' ');
        line.push_str(message.as_str().unwrap_or_default());
    }
    for (name, value) in others {
        match value.as_str() {
            Some(text) if !text.contains(char::is_whitespace) => line.push_str(&format!(" {name}={text}")),
            // As JSON has it.
            _ => line.push_str(&format!(" {name}={value}")),
        }
    }
    text::one_line(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(line(event));
        }
    }

    #[test]
    fn a_line_is_for_eyes_and_one_line() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Kept(Arc::clone(&lines)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(name = "p1", error = "no\nroute", count = 2, "could not be given back");
            tracing::info!("well");
        });
        assert_eq!(
            *lines.lock().unwrap(),
            ["warning: could not be given back name=p1 error=\"no\\nroute\" count=2", "info: well"]
        );
    }
}
