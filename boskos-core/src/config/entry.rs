//! One entry of a config as it is read, key by key.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{GoDuration, LifecycleConfig, ResourceName, ResourceType};

use super::{
    Config,
    events::{Event, Reader, SyntaxError},
    scalar::Scalar,
    violation::{Problem, in_place},
};

/// What an entry says, and what is wrong with its parts.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) r#type: String,
    pub(super) state: String,
    pub(super) names: Vec<ResourceName>,
    pub(super) min_count: u32,
    pub(super) max_count: u32,
    pub(super) lifespan: Option<GoDuration>,
    pub(super) config: LifecycleConfig,
    pub(super) needs: BTreeMap<ResourceType, u32>,
    /// The name of a resource that has a line of its own.
    pub(super) name: Option<ResourceName>,
    pub(super) flaws: Vec<Flaw>,
}

/// Something wrong in one field.
pub(super) struct Flaw {
    pub(super) field: Field,
    /// The place within the entry.
    pub(super) place: String,
    pub(super) problem: Problem,
}

/// A key of an entry that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Type,
    State,
    Names,
    Name,
    MinCount,
    MaxCount,
    Lifespan,
    Config,
    Needs,
}

impl Field {
    const ALL: [(&'static str, Field); 9] = [
        ("type", Field::Type),
        ("state", Field::State),
        ("names", Field::Names),
        ("name", Field::Name),
        ("min-count", Field::MinCount),
        ("max-count", Field::MaxCount),
        ("lifespan", Field::Lifespan),
        ("config", Field::Config),
        ("needs", Field::Needs),
    ];

    /// The field with this key, whatever its case.
    pub(super) fn of(key: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, field)| *field)
    }

    pub(super) fn key(self) -> &'static str {
        Self::ALL.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
}

/// Reads the mapping that has just begun: `each` is called with the key of every pair and reads
/// the value. What `<<` brings in counts as if it stood there.
pub(super) fn read_mapping<'text>(
    reader: &mut Reader<'text>,
    each: &mut dyn FnMut(&mut Reader<'text>, Scalar<'text>) -> Result<(), SyntaxError>,
) -> Result<(), SyntaxError> {
    read_pairs(reader, each, 0)
}

fn read_pairs<'text>(
    reader: &mut Reader<'text>,
    each: &mut dyn FnMut(&mut Reader<'text>, Scalar<'text>) -> Result<(), SyntaxError>,
    merges: usize,
) -> Result<(), SyntaxError> {
    loop {
        match reader.next_key()? {
            Event::MappingEnd => return Ok(()),
            Event::Scalar(key) => each(reader, key)?,
            Event::Merge => read_merge(reader, each, merges + 1)?,
            // No key that means something is a list or a mapping.
            key => {
                reader.skip(&key)?;
                let value = reader.next()?;
                reader.skip(&value)?;
            }
        }
    }
}

/// Reads the value of `<<`: a mapping, or a list of them of which the first counts most.
fn read_merge<'text>(
    reader: &mut Reader<'text>,
    each: &mut dyn FnMut(&mut Reader<'text>, Scalar<'text>) -> Result<(), SyntaxError>,
    merges: usize,
) -> Result<(), SyntaxError> {
    const REASON: &str = "the value of << must be a mapping or a list of mappings";
    if merges > Config::MAX_MERGES {
        return Err(reader.error("too many << within each other"));
    }
    match reader.next()? {
        Event::MappingStart => read_pairs(reader, each, merges),
        Event::SequenceStart => {
            let mut nodes = Vec::new();
            while let Some(node) = reader.capture()? {
                nodes.push(node);
            }
            // Backwards, so that the first one is read last and counts.
            for node in nodes.into_iter().rev() {
                reader.play(node);
                match reader.next()? {
                    Event::MappingStart => read_pairs(reader, each, merges)?,
                    _ => return Err(reader.error(REASON)),
                }
            }
            Ok(())
        }
        _ => Err(reader.error(REASON)),
    }
}

impl Entry {
    /// Reads the entry whose mapping has just begun.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
        let mut entry = Self::default();
        read_mapping(reader, &mut |reader, key| {
            let field = key.into_text().and_then(|key| Field::of(&key));
            let value = reader.next()?;
            match field {
                Some(field) => entry.read_field(reader, field, value),
                None => reader.skip(&value),
            }
        })?;
        Ok(entry)
    }

    /// Reads the field whose value begins with `value`; what was read of it before is forgotten.
    fn read_field<'text>(
        &mut self,
        reader: &mut Reader<'text>,
        field: Field,
        value: Event<'text>,
    ) -> Result<(), SyntaxError> {
        self.flaws.retain(|flaw| flaw.field != field);
        match field {
            Field::Type => self.r#type = self.keep(field, "", text(reader, value)?).into_owned(),
            Field::State => self.state = self.keep(field, "", text(reader, value)?).into_owned(),
            Field::Name => {
                let name = self.keep(field, "", text(reader, value)?);
                self.name = (!name.is_empty()).then(|| (&*name).into());
            }
            Field::Names => self.read_names(reader, &value)?,
            Field::MinCount => self.min_count = self.keep(field, "", count(reader, &value)?),
            Field::MaxCount => self.max_count = self.keep(field, "", count(reader, &value)?),
            Field::Lifespan => self.lifespan = self.keep(field, "", lifespan(reader, &value)?),
            Field::Config => self.read_config(reader, &value)?,
            Field::Needs => self.read_needs(reader, &value)?,
        }
        Ok(())
    }

    /// The value that was read; in place of a flawed one the default, and the flaw is noted.
    fn keep<T: Default>(&mut self, field: Field, below: &str, read: Result<T, Problem>) -> T {
        read.unwrap_or_else(|problem| {
            self.flaws.push(Flaw { field, place: format!(".{}{below}", field.key()), problem });
            T::default()
        })
    }

    fn read_names(&mut self, reader: &mut Reader<'_>, value: &Event<'_>) -> Result<(), SyntaxError> {
        self.names.clear();
        let list = opens_list(reader, value)?;
        if !self.keep(Field::Names, "", list) {
            return Ok(());
        }
        loop {
            let name = match reader.next()? {
                Event::SequenceEnd => break,
                name => text(reader, name)?,
            };
            let at = self.names.len();
            let name = name.unwrap_or_else(|problem| self.keep(Field::Names, &format!(".{at}"), Err(problem)));
            self.names.push((&*name).into());
        }
        self.names.shrink_to_fit();
        Ok(())
    }

    fn read_config(&mut self, reader: &mut Reader<'_>, value: &Event<'_>) -> Result<(), SyntaxError> {
        self.config = LifecycleConfig::default();
        let mapping = opens_mapping(reader, value)?;
        if !self.keep(Field::Config, "", mapping) {
            return Ok(());
        }
        read_mapping(reader, &mut |reader, key| {
            let key = key.into_text().unwrap_or_default();
            let value = reader.next()?;
            if key.eq_ignore_ascii_case("type") {
                self.config.r#type = self.keep(Field::Config, ".type", text(reader, value)?).into_owned();
            } else if key.eq_ignore_ascii_case("content") {
                self.config.content = self.keep(Field::Config, ".content", text(reader, value)?).into_owned();
            } else {
                reader.skip(&value)?;
            }
            Ok(())
        })
    }

    fn read_needs(&mut self, reader: &mut Reader<'_>, value: &Event<'_>) -> Result<(), SyntaxError> {
        self.needs.clear();
        let mapping = opens_mapping(reader, value)?;
        if !self.keep(Field::Needs, "", mapping) {
            return Ok(());
        }
        read_mapping(reader, &mut |reader, key| {
            let key = key.into_text().unwrap_or_default();
            let value = reader.next()?;
            let needed = count(reader, &value)?;
            let needed =
                needed.unwrap_or_else(|problem| self.keep(Field::Needs, &format!(".{}", in_place(&key)), Err(problem)));
            self.needs.insert((&*key).into(), needed);
            Ok(())
        })
    }
}

/// What was read, or what is wrong with it; the outer error is that of a text that is no YAML.
type Read<T> = Result<Result<T, Problem>, SyntaxError>;

fn wrong_kind<T>(reader: &mut Reader<'_>, expected: &'static str, found: &Event<'_>) -> Read<T> {
    reader.skip(found)?;
    Ok(Err(Problem::Kind { expected, found: found.kind() }))
}

/// Whether a list begins with `value`; null is none.
fn opens_list(reader: &mut Reader<'_>, value: &Event<'_>) -> Read<bool> {
    match value {
        Event::SequenceStart => Ok(Ok(true)),
        Event::Scalar(Scalar::Null) => Ok(Ok(false)),
        other => wrong_kind(reader, "a list", other),
    }
}

/// Whether a mapping begins with `value`; null is none.
fn opens_mapping(reader: &mut Reader<'_>, value: &Event<'_>) -> Read<bool> {
    match value {
        Event::MappingStart => Ok(Ok(true)),
        Event::Scalar(Scalar::Null) => Ok(Ok(false)),
        other => wrong_kind(reader, "a mapping", other),
    }
}

/// The text of `value`; null is the empty one.
fn text<'text>(reader: &mut Reader<'_>, value: Event<'text>) -> Read<Cow<'text, str>> {
    match value {
        Event::Scalar(scalar) => Ok(Ok(scalar.into_text().unwrap_or_default())),
        other => wrong_kind(reader, "text", &other),
    }
}

/// The count that `value` is; null is 0.
fn count(reader: &mut Reader<'_>, value: &Event<'_>) -> Read<u32> {
    let found = match value {
        Event::Scalar(Scalar::Null) => return Ok(Ok(0)),
        Event::Scalar(Scalar::Int(found)) => i128::from(*found),
        Event::Scalar(Scalar::Uint(found)) => i128::from(*found),
        Event::Scalar(Scalar::Float(found)) => match whole(*found) {
            Some(found) => found,
            None => return Ok(Err(Problem::Count { found: found.to_string() })),
        },
        other => return wrong_kind(reader, "an integer", other),
    };
    Ok(u32::try_from(found).map_err(|_| Problem::Count { found: found.to_string() }))
}

/// The duration that `value` is: Go's duration text, or an integer of nanoseconds.
fn lifespan(reader: &mut Reader<'_>, value: &Event<'_>) -> Read<Option<GoDuration>> {
    let nanos = match value {
        Event::Scalar(Scalar::Null) => return Ok(Ok(None)),
        Event::Scalar(Scalar::Text(text)) => return Ok(GoDuration::parse(text).map(Some).map_err(Problem::from)),
        Event::Scalar(Scalar::Int(nanos)) => i128::from(*nanos),
        Event::Scalar(Scalar::Uint(nanos)) => i128::from(*nanos),
        Event::Scalar(Scalar::Float(nanos)) => match whole(*nanos) {
            Some(nanos) => nanos,
            None => return Ok(Err(Problem::LifespanNumber { found: nanos.to_string() })),
        },
        other => return wrong_kind(reader, "a duration like 48h", other),
    };
    let nanos = i64::try_from(nanos).map_err(|_| Problem::LifespanNumber { found: nanos.to_string() });
    Ok(nanos.map(|nanos| Some(GoDuration::from_nanos(nanos))))
}

/// The integer that a number such as `1.0` or `1e3` is.
fn whole(number: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates far beyond all that is accepted")]
    (number.fract() == 0.0).then_some(number as i128)
}
