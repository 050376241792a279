//! The forms that a config comes in.

use super::{
    check::Checker,
    entry::{Entry, Field, read_mapping},
    events::{Event, Reader, SyntaxError},
    scalar::Scalar,
    violation::Problem,
};

/// The key of the entries.
const RESOURCES: &str = "resources";

/// Whether the first line is a whole entry or resource in braces.
pub(super) fn is_entry_per_line(text: &str) -> bool {
    let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')) else {
        return false;
    };
    if !line.starts_with('{') || !line.ends_with('}') {
        return false;
    }
    let Ok(Some(mut reader)) = Reader::new(line) else { return false };
    if !matches!(reader.next(), Ok(Event::MappingStart)) {
        return false;
    }
    // The first key that means something tells: the line may be a whole config of many megabytes.
    while let Ok(Event::Scalar(key)) = reader.next() {
        let key = key.into_text().unwrap_or_default();
        if key.eq_ignore_ascii_case(RESOURCES) {
            return false;
        }
        if Field::of(&key).is_some() {
            return true;
        }
        let Ok(value) = reader.next() else { return false };
        if reader.skip(&value).is_err() {
            return false;
        }
    }
    false
}

pub(super) fn read_lines(text: &str, checker: &mut Checker) -> Result<(), SyntaxError> {
    for (at, line) in text.lines().enumerate() {
        let in_text = |error: SyntaxError| SyntaxError { line: at + error.line, ..error };
        let Some(mut reader) = Reader::new(line).map_err(in_text)? else { continue };
        read_line(&mut reader, checker).map_err(in_text)?;
        if reader.finish().map_err(in_text)? {
            return Err(SyntaxError { line: at + 1, column: 1, reason: "more than one document on a line".into() });
        }
    }
    Ok(())
}

fn read_line(reader: &mut Reader<'_>, checker: &mut Checker) -> Result<(), SyntaxError> {
    match reader.next()? {
        Event::MappingStart => {
            let mut entry = Entry::read(reader)?;
            entry.names.extend(entry.name.take());
            checker.take(entry);
        }
        other => {
            reader.skip(&other)?;
            checker.take_other(other.kind());
        }
    }
    Ok(())
}

pub(super) fn read_document(reader: &mut Reader<'_>, checker: &mut Checker) -> Result<(), SyntaxError> {
    match reader.next()? {
        Event::MappingStart => read_mapping(reader, &mut |reader, key| {
            let value = reader.next()?;
            if key.into_text().is_some_and(|key| key.eq_ignore_ascii_case(RESOURCES)) {
                // Of a key that comes twice the last counts.
                *checker = Checker::new();
                read_entries(reader, &value, checker)
            } else {
                reader.skip(&value)
            }
        }),
        Event::Scalar(Scalar::Null) => Ok(()),
        value @ Event::SequenceStart => read_entries(reader, &value, checker),
        other => {
            let expected = "a mapping with the key resources, or a list";
            checker.reject("", Problem::Kind { expected, found: other.kind() });
            reader.skip(&other)
        }
    }
}

fn read_entries(reader: &mut Reader<'_>, value: &Event<'_>, checker: &mut Checker) -> Result<(), SyntaxError> {
    match value {
        Event::SequenceStart => {}
        Event::Scalar(Scalar::Null) => return Ok(()),
        other => {
            checker.reject(".resources", Problem::Kind { expected: "a list", found: other.kind() });
            return reader.skip(other);
        }
    }
    loop {
        match reader.next()? {
            Event::SequenceEnd => return Ok(()),
            Event::MappingStart => {
                let mut entry = Entry::read(reader)?;
                // Means something on a line of its own only.
                entry.name = None;
                entry.flaws.retain(|flaw| flaw.field != Field::Name);
                checker.take(entry);
            }
            other => {
                reader.skip(&other)?;
                checker.take_other(other.kind());
            }
        }
    }
}
