//! Logs: JSON lines on standard error, fields flat beside `time`, `level`, `severity`, `component` and `msg`.

use std::{fmt, fs::File, io, os::fd::AsFd as _, panic::PanicHookInfo, sync::OnceLock, time::Duration};

use clap::ValueEnum;
use serde_json::Value;
use tracing::{
    Event, Level, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

pub use crate::log_plain::init_plain;
use crate::{
    log_line::{Fields, Line, Rank},
    log_queue::{LogQueue, QUEUE_BYTES},
};

/// How long an orderly exit waits for a log reader that stalls.
pub const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// The lowest level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Panics and fatal errors only, as at `fatal`.
    Panic,
    /// What ends the process.
    Fatal,
    /// What failed.
    Error,
    /// What is odd or about to fail.
    Warn,
    /// The same as `warn`.
    Warning,
    /// What changed.
    #[default]
    Info,
    /// A line per request.
    Debug,
    /// All there is.
    Trace,
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It runs already.
    #[error("logging was started twice")]
    Started,
    /// Standard error or a thread could not be had.
    #[error("cannot start logging")]
    Io(#[from] io::Error),
}

/// Where libraries speak of every request that fails and of every watch that is cut, gravely. Whoever made the
/// request says so, too, once: these are heard at `debug` and below.
const CHATTER: [&str; 2] = ["kube_client::client", "kube_client::client::builder"];

struct Log {
    component: &'static str,
    queue: LogQueue,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Starts logging for this process, which names itself `component` in each line, and has panics logged too.
///
/// # Errors
///
/// When it runs already, or standard error or a thread cannot be had.
pub fn init(component: &'static str, level: LogLevel) -> Result<(), LogError> {
    // A descriptor of its own: the lock of `io::stderr` would be held for as long as the reader stalls.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = LogQueue::spawn(stderr, QUEUE_BYTES, report_dropped)?;
    let layer = JsonLines { component, queue: queue.clone(), chatter: level.filter() >= LevelFilter::DEBUG };
    LOG.set(Log { component, queue }).map_err(|_| LogError::Started)?;
    tracing_subscriber::registry().with(level.filter()).with(layer).try_init().map_err(|_| LogError::Started)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs `message` as what ends the process; false where logging was not started.
///
/// Written at every log level. Call [`flush`] before the exit.
pub fn fatal(message: &str) -> bool {
    let Some(log) = LOG.get() else { return false };
    log.queue.push(&Line::new(log.component, Rank::Fatal, message).end());
    true
}

/// Waits until the lines so far are written, [`FLUSH_WAIT`] at most; tells whether they are.
pub fn flush() -> bool {
    LOG.get().is_none_or(|log| log.queue.flush(FLUSH_WAIT))
}

/// Lines dropped since the start because the reader stalled or went away.
#[must_use]
pub fn dropped_lines() -> u64 {
    LOG.get().map_or(0, |log| log.queue.dropped())
}

fn report_dropped(lines: u64) -> Vec<u8> {
    let component = LOG.get().map_or("boskos", |log| log.component);
    let mut line = Line::new(component, Rank::Of(Level::WARN), "log lines were dropped: nobody read them in time");
    line.field("dropped", &Value::from(lines));
    line.end()
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let Some(log) = LOG.get() else { return };
    let said = info.payload_as_str().unwrap_or("(no message)");
    let mut line = Line::new(log.component, Rank::Fatal, &format!("panic: {said}"));
    if let Some(place) = info.location() {
        line.field("location", &Value::from(place.to_string()));
    }
    line.field("thread", &Value::from(std::thread::current().name().unwrap_or("unnamed")));
    log.queue.push(&line.end());
}

// === impl LogLevel ===

impl LogLevel {
    /// What this level lets through. Fatal lines do not pass here and are always written.
    #[must_use]
    pub fn filter(self) -> LevelFilter {
        match self {
            Self::Panic | Self::Fatal => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn | Self::Warning => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no level is skipped").get_name())
    }
}

/// Turns events into lines of the queue.
struct JsonLines {
    component: &'static str,
    queue: LogQueue,
    /// Whether [`CHATTER`] is heard.
    chatter: bool,
}

// === impl JsonLines ===

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.chatter && CHATTER.contains(&event.metadata().target()) {
            return;
        }
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                for (name, value) in &of_span.0 {
                    fields.put(name, value.clone());
                }
            }
        }
        event.record(&mut fields);
        let message = fields.0.iter().find(|(name, _)| *name == "message").and_then(|(_, value)| value.as_str());
        let mut line = Line::new(self.component, Rank::Of(*event.metadata().level()), message.unwrap_or_default());
        for (name, value) in fields.0.iter().filter(|(name, _)| *name != "message") {
            line.field(name, value);
        }
        self.queue.push(&line.end());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use jiff::Timestamp;
    use tracing::{info, info_span, trace, warn};

    use super::*;
    use crate::{log_line::VALUE_CHARS, text};

    struct Lines(mpsc::Sender<Vec<u8>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).ok();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `body` logs, as text.
    fn logged(level: LogLevel, body: impl FnOnce()) -> String {
        let (tx, rx) = mpsc::channel();
        let queue = LogQueue::spawn(Lines(tx), QUEUE_BYTES, report_dropped).unwrap();
        let layer = JsonLines { component: "test", queue, chatter: level.filter() >= LevelFilter::DEBUG };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(level.filter()).with(layer), body);
        String::from_utf8(rx.iter().flatten().collect()).unwrap()
    }

    fn line(body: impl FnOnce()) -> Value {
        let text = logged(LogLevel::Info, body);
        assert_eq!(text.matches('\n').count(), 1, "one line: {text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn line_has_the_names_that_collectors_look_for_and_flat_fields() {
        let line = line(|| warn!(name = "r1", count = 3, share = 0.5, done = true, other = ?Some(1), "took {}", "it"));
        let time = line["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.parse::<Timestamp>().is_ok(), "{time}");
        let rest = serde_json::json!({"time": time, "level": "warning", "severity": "WARNING", "component": "test",
            "msg": "took it", "name": "r1", "count": 3, "share": 0.5, "done": true, "other": "Some(1)"});
        assert_eq!(line, rest);
    }

    #[test]
    fn fields_of_spans_are_flat_and_the_nearer_one_counts() {
        let line = line(|| {
            let _outer = info_span!("pass", kind = "gce", name = "outer").entered();
            let _inner = info_span!("run", name = "inner").entered();
            info!(kind = "mine", msg = "taken", "x");
        });
        assert_eq!((&line["kind"], &line["name"]), (&Value::from("mine"), &Value::from("inner")));
        assert_eq!((&line["msg"], &line["fields.msg"]), (&Value::from("x"), &Value::from("taken")));
    }

    #[test]
    fn no_control_character_is_written_raw() {
        let nasty = "a\n\u{0}\u{1b}[31m\u{7f}\u{9b}\u{2028}\u{202e}\"\\";
        let text = logged(LogLevel::Info, || info!(owner = nasty, "{nasty}"));
        assert!(!text.trim_end_matches('\n').contains(text::is_unprintable), "{text:?}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((line["owner"].as_str(), line["msg"].as_str()), (Some(nasty), Some(nasty)));
    }

    #[test]
    fn levels_let_through_what_is_as_grave() {
        let all = || {
            trace!("t");
            tracing::debug!("d");
            info!("i");
            warn!("w");
            tracing::error!("e");
        };
        for (level, lines) in [
            (LogLevel::Panic, 0),
            (LogLevel::Fatal, 0),
            (LogLevel::Error, 1),
            (LogLevel::Warn, 2),
            (LogLevel::Warning, 2),
            (LogLevel::Info, 3),
            (LogLevel::Debug, 4),
            (LogLevel::Trace, 5),
        ] {
            assert_eq!(logged(level, all).lines().count(), lines, "{level}");
        }
    }

    #[test]
    fn chatter_of_libraries_is_heard_at_debug_alone() {
        let all = || {
            tracing::error!(target: "kube_client::client::builder", "failed with error x");
            tracing::error!(target: "kube_client::client::tls", "y");
        };
        assert_eq!([LogLevel::Info, LogLevel::Debug].map(|level| logged(level, all).lines().count()), [1, 2]);
    }

    #[test]
    fn endless_text_is_cut() {
        let text = logged(LogLevel::Info, || info!("{}", "é".repeat(VALUE_CHARS + 5)));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["msg"].as_str().unwrap().chars().count(), VALUE_CHARS + 1);
    }
}
