//! What one line of the log holds.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde_json::Value;
use tracing::{
    Level,
    field::{Field, Visit},
};

use crate::text;

/// Characters kept of one message or field.
pub(crate) const VALUE_CHARS: usize = 16 * 1024;

/// Names of every line; a field called like one of them is written as `fields.NAME`.
const OWN_NAMES: [&str; 5] = ["time", "level", "severity", "component", "msg"];

/// How grave a line is.
#[derive(Clone, Copy)]
pub(crate) enum Rank {
    Fatal,
    Of(Level),
}

impl Rank {
    /// The level as its readers know it, and Google Cloud's severity.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Fatal => ("fatal", "CRITICAL"),
            Self::Of(Level::ERROR) => ("error", "ERROR"),
            Self::Of(Level::WARN) => ("warning", "WARNING"),
            Self::Of(Level::INFO) => ("info", "INFO"),
            Self::Of(Level::DEBUG) => ("debug", "DEBUG"),
            Self::Of(Level::TRACE) => ("trace", "DEBUG"),
        }
    }
}

/// One line while it is written.
pub(crate) struct Line(String);

// === impl Line ===

impl Line {
    pub(crate) fn new(component: &str, rank: Rank, message: &str) -> Self {
        let (level, severity) = rank.names();
        let mut line = Self(String::with_capacity(256));
        write!(line.0, "{{\"time\":\"{:.6}\"", Timestamp::now()).expect("a String takes what is written");
        line.pair("level", &Value::from(level));
        line.pair("severity", &Value::from(severity));
        line.pair("component", &Value::from(component));
        line.pair("msg", &Value::from(shortened(message)));
        line
    }

    pub(crate) fn field(&mut self, name: &str, value: &Value) {
        match OWN_NAMES.contains(&name) {
            true => self.pair(&format!("fields.{name}"), value),
            false => self.pair(name, value),
        }
    }

    fn pair(&mut self, name: &str, value: &Value) {
        write!(self.0, ",{}:{value}", Value::from(name)).expect("a String takes what is written");
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.push('}');
        let mut line = text::printable_json(&self.0).into_owned().into_bytes();
        line.push(b'\n');
        line
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Values by name, in the order first told; the last value of a name counts.
#[derive(Default)]
pub(crate) struct Fields(pub(crate) Vec<(&'static str, Value)>);

// === impl Fields ===

impl Fields {
    pub(crate) fn put(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        self.put(field.name(), Value::from(shortened(text)));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut next = value.source();
        while let Some(source) = next {
            write!(chain, ": {source}").expect("a String takes what is written");
            next = source.source();
        }
        self.put_text(field, &chain);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }
}
