//! A config's text as a stream of events, aliases expanded.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use saphyr_parser::{Event as Raw, Marker, Parser, ScanError, StrInput};

use super::{Config, scalar::Scalar};

/// One step through a document.
pub(super) enum Event<'text> {
    Scalar(Scalar<'text>),
    /// A key `<<` without quotes.
    Merge,
    SequenceStart,
    SequenceEnd,
    MappingStart,
    MappingEnd,
}

impl Event<'_> {
    /// What begins here, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Event::Scalar(scalar) => scalar.kind(),
            Event::Merge => "text",
            Event::SequenceStart | Event::SequenceEnd => "a list",
            Event::MappingStart | Event::MappingEnd => "a mapping",
        }
    }
}

/// Where and why a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    pub(super) reason: Cow<'static, str>,
}

/// A node that has been read into the log.
#[derive(Clone)]
pub(super) struct Captured(Range<usize>);

/// Reads the first document of a text.
///
/// No tree is kept: only what has an anchor is logged, to be played again where it is referred to.
pub(super) struct Reader<'text> {
    text: &'text str,
    parser: Parser<'text, StrInput<'text>>,
    /// Where the last event of the parser began.
    at: Marker,
    /// How many sequences and mappings of the parser's are open.
    depth: usize,
    log: Vec<Raw<'text>>,
    /// Where in the log the complete nodes with an anchor are.
    anchored: HashMap<usize, Range<usize>>,
    /// Nodes with an anchor that are not complete yet: anchor, begin in the log, depth around it.
    open: Vec<(usize, usize, usize)>,
    /// Whether everything is logged.
    capturing: bool,
    /// What is left of the parts of the log that are played; the last one is next.
    playing: Vec<Range<usize>>,
    /// How many events have been played in all.
    played: usize,
}

impl<'text> Reader<'text> {
    /// A reader at the begin of the first document; `None` if there is no document.
    pub(super) fn new(text: &'text str) -> Result<Option<Self>, SyntaxError> {
        let mut reader = Self {
            text,
            parser: Parser::new_from_str(text),
            at: Marker::new(0, 1, 0),
            depth: 0,
            log: Vec::new(),
            anchored: HashMap::new(),
            open: Vec::new(),
            capturing: false,
            playing: Vec::new(),
            played: 0,
        };
        loop {
            match reader.parsed()? {
                Raw::DocumentStart(_) => return Ok(Some(reader)),
                Raw::StreamEnd => return Ok(None),
                _ => {}
            }
        }
    }

    /// An error at the place that was read last.
    pub(super) fn error(&self, reason: impl Into<Cow<'static, str>>) -> SyntaxError {
        SyntaxError { line: self.at.line(), column: self.at.col() + 1, reason: reason.into() }
    }

    /// The next event of the document, which is no key.
    pub(super) fn next(&mut self) -> Result<Event<'text>, SyntaxError> {
        Ok(match self.next_key()? {
            Event::Merge => Event::Scalar(Scalar::Text("<<".into())),
            event => event,
        })
    }

    /// The next event of the document where a key or the end of the mapping is due.
    pub(super) fn next_key(&mut self) -> Result<Event<'text>, SyntaxError> {
        loop {
            return Ok(match self.raw()? {
                Raw::Alias(anchor) => {
                    let Some(range) = self.anchored.get(&anchor) else {
                        return Err(self.error("an anchor's value contains itself"));
                    };
                    self.playing.push(range.clone());
                    continue;
                }
                Raw::Scalar(text, style, _, tag) => match Scalar::resolve(text, style, tag.as_deref()) {
                    Scalar::Text(text) if text == "<<" && style == saphyr_parser::ScalarStyle::Plain => Event::Merge,
                    scalar => Event::Scalar(scalar),
                },
                Raw::SequenceStart(..) => Event::SequenceStart,
                Raw::SequenceEnd => Event::SequenceEnd,
                Raw::MappingStart(..) => Event::MappingStart,
                Raw::MappingEnd => Event::MappingEnd,
                Raw::Nothing | Raw::StreamStart | Raw::StreamEnd | Raw::DocumentStart(_) | Raw::DocumentEnd => {
                    return Err(self.error("the document ends too soon"));
                }
            });
        }
    }

    /// Reads on to the end of the node that began with `first`.
    pub(super) fn skip(&mut self, first: &Event<'_>) -> Result<(), SyntaxError> {
        let mut depth = usize::from(matches!(first, Event::SequenceStart | Event::MappingStart));
        while depth > 0 {
            match self.raw()? {
                Raw::SequenceStart(..) | Raw::MappingStart(..) => depth += 1,
                Raw::SequenceEnd | Raw::MappingEnd => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads the next node for later; `None` if there is none, but the end of what is around it.
    pub(super) fn capture(&mut self) -> Result<Option<Captured>, SyntaxError> {
        let outer = std::mem::replace(&mut self.capturing, true);
        self.drop_played();
        let begin = self.log_position();
        let mut depth = 0_usize;
        let complete = loop {
            match self.raw()? {
                Raw::SequenceStart(..) | Raw::MappingStart(..) => depth += 1,
                Raw::SequenceEnd | Raw::MappingEnd if depth == 0 => break false,
                Raw::SequenceEnd | Raw::MappingEnd => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break true;
            }
        };
        self.capturing = outer;
        Ok(complete.then(|| Captured(begin..self.log_position())))
    }

    /// Makes `node` the next one to be read.
    pub(super) fn play(&mut self, node: Captured) {
        self.playing.push(node.0);
    }

    /// Ends the document; whether another one follows.
    pub(super) fn finish(mut self) -> Result<bool, SyntaxError> {
        loop {
            match self.parsed()? {
                Raw::StreamEnd => return Ok(false),
                Raw::DocumentStart(_) => return Ok(true),
                _ => {}
            }
        }
    }

    fn log_position(&self) -> usize {
        self.playing.last().map_or(self.log.len(), |range| range.start)
    }

    fn drop_played(&mut self) {
        while self.playing.pop_if(|range| range.start == range.end).is_some() {}
    }

    /// The next event, aliases as they are.
    fn raw(&mut self) -> Result<Raw<'text>, SyntaxError> {
        self.drop_played();
        let Some(range) = self.playing.last_mut() else {
            return self.parsed();
        };
        let event = self.log[range.start].clone();
        range.start += 1;
        self.played += 1;
        if self.played > Config::MAX_ALIASED {
            return Err(self.error("the aliases make too much of the document"));
        }
        Ok(event)
    }

    fn parsed(&mut self) -> Result<Raw<'text>, SyntaxError> {
        let (event, span) = match self.parser.next_event() {
            Some(event) => event.map_err(|error| from_scan_error(&error, self.text))?,
            None => (Raw::StreamEnd, saphyr_parser::Span::empty(self.at)),
        };
        self.at = span.start;
        let (anchor, opens, closes) = match &event {
            Raw::Scalar(_, _, anchor, _) => (*anchor, false, false),
            Raw::SequenceStart(anchor, _) | Raw::MappingStart(anchor, _) => (*anchor, true, false),
            Raw::SequenceEnd | Raw::MappingEnd => (0, false, true),
            _ => (0, false, false),
        };
        self.depth -= usize::from(closes);
        if anchor != 0 {
            self.open.push((anchor, self.log.len(), self.depth));
        }
        if self.capturing || !self.open.is_empty() {
            self.log.push(event.clone());
        }
        self.depth += usize::from(opens);
        if !opens && let Some((anchor, begin, _)) = self.open.pop_if(|(_, _, depth)| *depth == self.depth) {
            self.anchored.insert(anchor, begin..self.log.len());
        }
        Ok(event)
    }
}

fn from_scan_error(error: &ScanError, text: &str) -> SyntaxError {
    let (mut line, mut column) = (error.marker().line(), error.marker().col() + 1);
    // The parser takes the end of the text for the begin of another line.
    let last_line = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    if column == 1 && !last_line.is_empty() && error.marker().index() >= text.chars().count() {
        line -= 1;
        column = last_line.chars().count() + 1;
    }
    SyntaxError { line, column, reason: Cow::Owned(error.info().to_owned()) }
}
