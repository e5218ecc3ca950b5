//! Rows of JSON files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};
use watershed_core::error::{Error, Result};

use super::records::{Broken, Next, Records, Span, elements, fields, text, unescaped};
use super::source::{Place, Rows};
use super::{ROW_MAX, damaged, row_too_long};
use crate::external::values;
use crate::layout::{JSON_TYPE, TYPE_METADATA};

/// Bytes of records from which on a batch is complete.
const BATCH_BYTES: usize = 16 << 20;

/// Takes the bytes of a file and gives batches.
pub(super) struct JsonRows {
    place: Place,
    records: Records,
    /// What has come and is in no batch yet.
    bytes: Vec<u8>,
    /// Up to where records have been found.
    read: usize,
    /// For each column that is wanted, its values within the bytes.
    columns: Vec<Vec<Option<Span>>>,
    /// The line of each record.
    lines: Vec<u64>,
    line: u64,
    /// By the name of a column, its place among those that are wanted.
    exact: HashMap<String, Option<usize>>,
    folded: HashMap<String, Option<usize>>,
    /// How well the last record's field fits: exactly, or without regard to case.
    fit: Vec<Fit>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fit {
    None,
    Folded,
    Exact,
}

/// What is wrong with a value, in which record.
enum Fail {
    Broken(usize, Broken),
    Bad(usize, String),
    Arrow(String),
}

impl JsonRows {
    pub(super) fn new(place: Place) -> Self {
        let mut exact = HashMap::new();
        let mut folded: HashMap<String, Option<usize>> = HashMap::new();
        for (index, field) in place.file.fields().iter().enumerate() {
            let wanted = place.wanted.iter().position(|wanted| *wanted == index);
            exact.insert(field.name().clone(), wanted);
            folded
                .entry(field.name().to_lowercase())
                .and_modify(|known| *known = None)
                .or_insert(wanted);
        }
        Self {
            columns: vec![Vec::new(); place.wanted.len()],
            fit: vec![Fit::None; place.wanted.len()],
            records: Records::default(),
            bytes: Vec::new(),
            read: 0,
            lines: Vec::new(),
            line: 1,
            exact,
            folded,
            place,
        }
    }

    fn advance(&mut self, ended: bool, batches: &mut Vec<RecordBatch>) -> Result<()> {
        loop {
            let next = self.records.next(&self.bytes, self.read, ended);
            let (next, after) = next.map_err(|broken| self.broken(self.line, &broken))?;
            let start = match next {
                Next::Record((start, _)) => start,
                Next::More | Next::End => after,
            };
            self.line += newlines(&self.bytes[self.read..start]);
            self.read = start;
            match next {
                Next::Record(span) => {
                    self.record(span)?;
                    self.line += newlines(&self.bytes[start..after]);
                    self.read = after;
                    if self.lines.len() >= self.place.batch_size || self.read >= BATCH_BYTES {
                        batches.extend(self.batch()?);
                    }
                }
                Next::More if self.bytes.len() - self.read > ROW_MAX => {
                    return Err(row_too_long(&self.place.path, self.line));
                }
                Next::More | Next::End => return Ok(()),
            }
        }
    }

    fn record(&mut self, span: Span) -> Result<()> {
        for column in &mut self.columns {
            column.push(None);
        }
        self.lines.push(self.line);
        self.fit.fill(Fit::None);
        let (columns, fit) = (&mut self.columns, &mut self.fit);
        let (exact, folded) = (&self.exact, &self.folded);
        let read = fields(&self.bytes, span, |key, value| {
            let key = unescaped(key)?;
            let (wanted, how) = match exact.get(&*key) {
                Some(wanted) => (*wanted, Fit::Exact),
                None => (folded.get(&key.to_lowercase()).copied().flatten(), Fit::Folded),
            };
            let Some(wanted) = wanted else { return Ok(()) };
            match (fit.get(wanted).copied(), how) {
                (Some(Fit::Exact), Fit::Folded) => return Ok(()),
                (Some(Fit::Folded), Fit::Folded) => {
                    return Err(Broken("two fields differ from a column's name by case alone"));
                }
                _ => {}
            }
            fit[wanted] = how;
            if let Some(last) = columns[wanted].last_mut() {
                *last = Some(value);
            }
            Ok(())
        });
        read.map_err(|broken| self.broken(self.line, &broken))
    }

    fn broken(&self, line: u64, broken: &Broken) -> Error {
        damaged(&self.place.path, line, "a file is not valid JSON")
            .with_detail(format!("file {}, line {line}: {}", self.place.path, broken.0))
    }

    /// The records that were found, as a batch.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let rows = self.lines.len();
        if rows == 0 {
            return Ok(None);
        }
        let owners: Vec<usize> = (0..rows).collect();
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.place.projected.fields()) {
            let array = build(field, column, &owners, &self.bytes).map_err(|fail| match fail {
                Fail::Broken(row, broken) => self.broken(self.line_of(row), &broken),
                Fail::Bad(row, text) => self.place.bad(&text, field, self.line_of(row)),
                Fail::Arrow(error) => Error::internal("JSON gave no array").with_detail(error),
            })?;
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.place.projected);
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)
            .map_err(|error| Error::internal("JSON gave no batch").with_detail(error.to_string()))?;
        for column in &mut self.columns {
            column.clear();
        }
        self.lines.clear();
        self.bytes.drain(..self.read);
        self.read = 0;
        Ok(Some(batch))
    }

    fn line_of(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or(self.line)
    }
}

impl Rows for JsonRows {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        self.bytes.extend_from_slice(bytes);
        let mut batches = Vec::new();
        self.advance(false, &mut batches)?;
        Ok(batches)
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        self.advance(true, &mut batches)?;
        batches.extend(self.batch()?);
        Ok(batches)
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Values of one column, or of one field within it. `owners` names the record of each.
fn build(field: &Field, spans: &[Option<Span>], owners: &[usize], bytes: &[u8]) -> Result<ArrayRef, Fail> {
    let raw = |span: &Option<Span>| {
        span.map(|(start, end)| &bytes[start..end])
            .filter(|raw| *raw != b"null")
    };
    let arrow = |error: arrow::error::ArrowError| Fail::Arrow(error.to_string());
    match field.data_type() {
        DataType::List(element) => {
            let (mut values, mut value_owners, mut ends) = (Vec::new(), Vec::new(), vec![0_usize]);
            let mut valid = Vec::with_capacity(spans.len());
            for (span, owner) in spans.iter().zip(owners) {
                valid.push(raw(span).is_some());
                if let (Some(list), Some(raw)) = (span, raw(span)) {
                    expect(raw, b'[', *owner)?;
                    let each = |value| {
                        values.push(Some(value));
                        value_owners.push(*owner);
                        Ok(())
                    };
                    elements(bytes, *list, each).map_err(|broken| Fail::Broken(*owner, broken))?;
                }
                ends.push(values.len());
            }
            let values = build(element, &values, &value_owners, bytes)?;
            let lengths = ends.windows(2).map(|pair| pair[1] - pair[0]);
            let offsets = OffsetBuffer::from_lengths(lengths);
            let list = ListArray::try_new(
                FieldRef::clone(element),
                offsets,
                values,
                Some(NullBuffer::from(valid)),
            );
            Ok(Arc::new(list.map_err(arrow)?))
        }
        DataType::Struct(children) => {
            let mut found: Vec<Vec<Option<Span>>> = vec![vec![None; spans.len()]; children.len()];
            let mut valid = Vec::with_capacity(spans.len());
            for (row, (span, owner)) in spans.iter().zip(owners).enumerate() {
                valid.push(raw(span).is_some());
                let (Some(object), Some(raw)) = (span, raw(span)) else {
                    continue;
                };
                expect(raw, b'{', *owner)?;
                let each = |key: &[u8], value: Span| -> Result<(), Broken> {
                    if let Some((child, _)) = children.find(&unescaped(key)?) {
                        found[child][row] = Some(value);
                    }
                    Ok(())
                };
                fields(bytes, *object, each).map_err(|broken| Fail::Broken(*owner, broken))?;
            }
            let arrays = children
                .iter()
                .zip(&found)
                .map(|(child, spans)| build(child, spans, owners, bytes))
                .collect::<Result<Vec<_>, _>>()?;
            let built = StructArray::try_new(children.clone(), arrays, Some(NullBuffer::from(valid)));
            Ok(Arc::new(built.map_err(arrow)?))
        }
        kind => {
            let json = field
                .metadata()
                .get(TYPE_METADATA)
                .is_some_and(|kind| kind == JSON_TYPE);
            let texts = spans.iter().zip(owners).map(|(span, owner)| {
                let Some(raw) = raw(span) else { return Ok(None) };
                let nested = matches!(raw.first(), Some(b'{' | b'['));
                if nested && *kind != DataType::Utf8 {
                    return Err(Fail::Bad(*owner, String::from_utf8_lossy(raw).into_owned()));
                }
                let text = match json {
                    true => std::str::from_utf8(raw)
                        .map(Cow::Borrowed)
                        .map_err(|_| Broken("a text is not UTF-8")),
                    false => text(raw),
                };
                text.map(Some).map_err(|broken| Fail::Broken(*owner, broken))
            });
            let texts: StringArray = texts.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
            values::read(&texts, kind)
                .map_err(|bad| Fail::Bad(owners.get(bad.row).copied().unwrap_or_default(), bad.text))
        }
    }
}

fn expect(raw: &[u8], opening: u8, owner: usize) -> Result<(), Fail> {
    match raw.first() == Some(&opening) {
        true => Ok(()),
        false => Err(Fail::Bad(owner, String::from_utf8_lossy(raw).into_owned())),
    }
}
