//! The columns of files of text, told by the rows at their beginning.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use watershed_core::error::{Error, Result, SqlState};

use super::csv::Nulls;
use super::fields::Fields;
use super::numbers::Seen;
use super::records::{Broken, Next, Records, Span, elements, fields, text, unescaped};
use super::{CsvDialect, TextFormat, bytes, damaged};
use crate::external::memory::{Columns, Memory, Version};
use crate::external::names::places;
use crate::external::place::Place;
use crate::layout::ColumnType;

/// What is read of a file to learn its columns, as it is stored.
const SAMPLE_BYTES: u64 = 4 << 20;
const SAMPLE_ROWS: usize = 50_000;
/// Of many files, the first are read so far, and the others for their first rows.
const FILES_IN_FULL: usize = 16;
const FEW_ROWS: usize = 100;
const FEW_BYTES: u64 = 64 << 10;
/// Files that are looked into. What others have more is an error where they are read.
const FILES_SAMPLED: usize = 1_000;
const AT_A_TIME: usize = 16;
/// Columns that a table may be found to have, and fields that an object within one may have. Objects with more are
/// maps rather, and stay JSON.
const COLUMNS_MAX: usize = 20_000;
const FIELDS_MAX: usize = 500;
/// Levels of lists and objects that become types. What is nested deeper stays JSON.
const DEPTH_MAX: usize = 32;

/// The columns that were seen in a file.
#[derive(Debug, Default)]
pub(in crate::external) struct Sample {
    pub(in crate::external) names: Vec<String>,
    kinds: Vec<Kind>,
}

impl Columns for Sample {
    fn columns(&self) -> usize {
        self.names.len()
    }
}

static REMEMBERED: LazyLock<Memory<Sample>> = LazyLock::new(Memory::new);

/// What the first files say, in their order.
pub(in crate::external) async fn sampled(place: &Place, format: &TextFormat) -> Result<Vec<Arc<Sample>>> {
    let how = format!("{format:?}");
    let files = place.files.iter().take(FILES_SAMPLED).enumerate();
    let samples: Vec<_> = files
        .map(|(index, file)| remembered(place, file, format, index < FILES_IN_FULL, &how))
        .collect();
    stream::iter(samples).buffered(AT_A_TIME).try_collect().await
}

async fn remembered(
    place: &Place,
    file: &ObjectMeta,
    format: &TextFormat,
    full: bool,
    how: &str,
) -> Result<Arc<Sample>> {
    let version = Version::of(place, file, &format!("{full} {how}"));
    if let Some(known) = REMEMBERED.get(&version) {
        return Ok(known);
    }
    let sample = Arc::new(sample(place, file, format, full).await?);
    REMEMBERED.put(version, Arc::clone(&sample));
    Ok(sample)
}

/// The columns that hold what the samples have, in the order in which they come.
pub(in crate::external) fn columns(samples: &[Arc<Sample>]) -> Result<Vec<(String, ColumnType)>> {
    let mut all = Sample::default();
    for sample in samples {
        let known = all.names.iter().map(String::as_str);
        let found = places(known, sample.names.iter().map(String::as_str))?;
        let mut new = vec![true; sample.names.len()];
        for (kind, place) in all.kinds.iter_mut().zip(found) {
            if let Some(place) = place {
                kind.merge(sample.kinds[place].clone());
                new[place] = false;
            }
        }
        for ((name, kind), new) in sample.names.iter().zip(&sample.kinds).zip(new) {
            if new {
                all.names.push(name.clone());
                all.kinds.push(kind.clone());
            }
        }
    }
    let kinds = all.kinds.iter().map(Kind::column);
    Ok(all.names.iter().cloned().zip(kinds).collect())
}

impl Sample {
    fn place(&mut self, name: &str, places: &mut HashMap<String, usize>) -> usize {
        if let Some(place) = places.get(name) {
            return *place;
        }
        self.names.push(name.to_owned());
        self.kinds.push(Kind::default());
        places.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }
}

async fn sample(place: &Place, file: &ObjectMeta, format: &TextFormat, full: bool) -> Result<Sample> {
    let (limit, rows) = match full {
        true => (SAMPLE_BYTES, SAMPLE_ROWS),
        false => (FEW_BYTES, FEW_ROWS),
    };
    let cut = file.size > limit;
    let path = file.location.to_string();
    let compression = format.compression();
    let mut pieces = bytes::read(Arc::clone(&place.store), file.clone(), compression, limit);
    let mut bytes = Vec::new();
    let mut ended = !cut;
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => break,
            // A compressed file that is cut ends in the middle of a stream.
            Err(_) if cut && !bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 >= 4 * limit {
            ended = false;
            break;
        }
    }
    let sample = match format {
        TextFormat::Csv(dialect) => csv(&bytes, dialect, &path, ended, rows),
        TextFormat::Json(_) => json(&bytes, &path, ended, rows),
    }?;
    match sample.names.len() > COLUMNS_MAX {
        true => Err(Error::new(
            SqlState::InsufficientResources,
            format!("{path:?} has more than {COLUMNS_MAX} columns"),
        )
        .with_hint("Declare the columns that the table is to have.")),
        false => Ok(sample),
    }
}

fn csv(bytes: &[u8], dialect: &CsvDialect, path: &str, ended: bool, rows: usize) -> Result<Sample> {
    let nulls = Nulls::new(dialect)?;
    let mut sample = Sample::default();
    let mut seen: Vec<Seen> = Vec::new();
    let mut count = 0;
    let mut each = |row: &super::fields::Row<'_>| -> Result<bool> {
        if sample.names.is_empty() && dialect.header {
            sample.names = row.names(path)?;
            return Ok(true);
        }
        if sample.names.is_empty() {
            sample.names = (0..row.len()).map(|place| format!("column{place}")).collect();
        }
        seen.resize(sample.names.len(), Seen::Nothing);
        for (place, seen) in seen.iter_mut().enumerate() {
            if *seen == Seen::Text {
                continue;
            }
            let text = std::str::from_utf8(row.field(place).unwrap_or_default())
                .map_err(|_| damaged(path, row.line, "a file is not UTF-8"))?;
            if !nulls.contains(text, None) {
                let blank = text.is_empty();
                seen.merge(if blank { Seen::Text } else { Seen::of(text) });
            }
        }
        count += 1;
        Ok(count < rows)
    };
    let mut fields = Fields::new(dialect, path);
    fields.push(bytes, &mut each)?;
    if ended && !bytes.is_empty() {
        fields.push(&[], &mut each)?;
    }
    seen.resize(sample.names.len(), Seen::Nothing);
    sample.kinds = seen.into_iter().map(Kind::Scalar).collect();
    Ok(sample)
}

fn json(bytes: &[u8], path: &str, ended: bool, rows: usize) -> Result<Sample> {
    let mut sample = Sample::default();
    let mut places = HashMap::new();
    let (mut records, mut place) = (Records::default(), 0);
    let broken = |place: usize, broken: Broken| {
        let line = bytes[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
        damaged(path, line as u64, "a file is not valid JSON")
            .with_detail(format!("file {path}, line {line}: {}", broken.0))
    };
    for _ in 0..rows {
        let (next, after) = records
            .next(bytes, place, ended)
            .map_err(|found| broken(place, found))?;
        let Next::Record(record) = next else { break };
        place = after;
        let each = |key: &[u8], value: Span| -> Result<(), Broken> {
            let place = sample.place(&unescaped(key)?, &mut places);
            match sample.kinds.get_mut(place) {
                Some(kind) => kind.note(bytes, value, 0),
                None => Ok(()),
            }
        };
        fields(bytes, record, each).map_err(|found| broken(record.0, found))?;
        if sample.names.len() > COLUMNS_MAX {
            break;
        }
    }
    Ok(sample)
}

/// What the values of a column, or of a field within one, are.
#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    Nothing,
    Scalar(Seen),
    List(Box<Kind>),
    Object(Vec<(String, Kind)>),
    /// Nothing that has a type.
    Any,
}

impl Kind {
    fn note(&mut self, bytes: &[u8], (start, end): Span, depth: usize) -> Result<(), Broken> {
        let raw = &bytes[start..end];
        if raw == b"null" || matches!(self, Self::Any) {
            return Ok(());
        }
        let found = match raw.first() {
            Some(b'{' | b'[') if depth >= DEPTH_MAX => Self::Any,
            Some(b'[') => {
                let mut inner = match std::mem::take(self) {
                    Self::List(inner) => inner,
                    other => {
                        *self = other;
                        Box::default()
                    }
                };
                elements(bytes, (start, end), |span| inner.note(bytes, span, depth + 1))?;
                Self::List(inner)
            }
            Some(b'{') => {
                let mut known = match std::mem::take(self) {
                    Self::Object(known) => known,
                    other => {
                        *self = other;
                        Vec::new()
                    }
                };
                fields(bytes, (start, end), |key, span| {
                    let key = unescaped(key)?;
                    let place = match known.iter().position(|(name, _)| *name == key) {
                        Some(place) => place,
                        None if known.len() > FIELDS_MAX => return Ok(()),
                        None => {
                            known.push((key.into_owned(), Self::Nothing));
                            known.len() - 1
                        }
                    };
                    known[place].1.note(bytes, span, depth + 1)
                })?;
                match known.len() > FIELDS_MAX {
                    true => Self::Any,
                    false => Self::Object(known),
                }
            }
            // Times are texts in JSON, and texts stay texts.
            Some(b'"') => Self::Scalar(Seen::Text),
            _ => Self::Scalar(Seen::of(&text(raw)?)),
        };
        self.merge(found);
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        *self = match (std::mem::take(self), other) {
            (Self::Nothing, other) => other,
            (known, Self::Nothing) => known,
            (Self::Scalar(mut known), Self::Scalar(other)) => {
                known.merge(other);
                Self::Scalar(known)
            }
            (Self::List(mut known), Self::List(other)) => {
                known.merge(*other);
                Self::List(known)
            }
            (Self::Object(mut known), Self::Object(other)) => {
                for (name, kind) in other {
                    match known.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => known.merge(kind),
                        None => known.push((name, kind)),
                    }
                }
                match known.len() > FIELDS_MAX {
                    true => Self::Any,
                    false => Self::Object(known),
                }
            }
            _ => Self::Any,
        };
    }

    fn column(&self) -> ColumnType {
        match self {
            Self::Nothing => ColumnType::String,
            Self::Scalar(seen) => seen.kind(),
            Self::List(element) => ColumnType::Array(Box::new(element.column())),
            // A struct has a field at least.
            Self::Object(fields) if !fields.is_empty() => ColumnType::Struct(
                fields
                    .iter()
                    .map(|(name, kind)| (name.clone(), kind.column()))
                    .collect(),
            ),
            Self::Object(_) | Self::Any => ColumnType::Json,
        }
    }
}

/// Whether a type can be read from CSV.
pub(in crate::external) fn is_flat(kind: &DataType) -> bool {
    !kind.is_nested()
}
