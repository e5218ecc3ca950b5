//! Rows of CSV files.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchOptions, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use regex::Regex;
use watershed_core::error::{Error, Result, SqlState};

use super::fields::{Fields, Row};
use super::source::{Place, Rows};
use super::{CsvDialect, damaged};
use crate::external::{names, values};

/// Bytes of values from which on a batch is complete.
const BATCH_BYTES: usize = 16 << 20;

/// Which texts stand for NULL.
pub(super) struct Nulls {
    text: Option<String>,
    pattern: Option<Regex>,
}

impl Nulls {
    pub(super) fn new(dialect: &CsvDialect) -> Result<Self> {
        let pattern = dialect.null_regex.as_deref().map(Regex::new).transpose();
        Ok(Self {
            text: dialect.null_value.clone(),
            pattern: pattern.map_err(|error| {
                Error::new(
                    SqlState::InvalidParameterValue,
                    "the option \"null_regex\" is no regular expression",
                )
                .with_detail(error.to_string())
            })?,
        })
    }

    /// An empty text is NULL unless another one was said to be; a number is never empty.
    pub(super) fn contains(&self, text: &str, kind: Option<&DataType>) -> bool {
        let other = self.text.is_some() || self.pattern.is_some();
        if text.is_empty() && (!other || kind.is_some_and(|kind| *kind != DataType::Utf8)) {
            return true;
        }
        self.text.as_deref() == Some(text)
            || self
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(text))
    }
}

/// Takes the bytes of a file and gives batches.
pub(super) struct CsvRows {
    fields: Option<Fields>,
    rows: Building,
}

struct Building {
    place: Place,
    dialect: CsvDialect,
    nulls: Nulls,
    /// How many fields a row has, and where the wanted columns are among them, once it is known.
    width: usize,
    places: Option<Vec<Option<usize>>>,
    texts: Vec<StringBuilder>,
    lines: Vec<u64>,
    line: u64,
    size: usize,
}

impl CsvRows {
    pub(super) fn new(place: Place, dialect: CsvDialect) -> Result<Self> {
        let fields = Fields::new(&dialect, &place.path);
        let places = (!dialect.header).then(|| place.wanted.iter().copied().map(Some).collect());
        Ok(Self {
            fields: Some(fields),
            rows: Building {
                nulls: Nulls::new(&dialect)?,
                width: place.file.fields().len(),
                places,
                texts: place.wanted.iter().map(|_| StringBuilder::new()).collect(),
                lines: Vec::new(),
                line: 1,
                size: 0,
                dialect,
                place,
            },
        })
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        if let Some(fields) = &mut self.fields {
            let rows = &mut self.rows;
            fields.push(bytes, |row| {
                rows.row(row)?;
                if rows.lines.len() >= rows.place.batch_size || rows.size >= BATCH_BYTES {
                    batches.extend(rows.batch()?);
                }
                Ok(true)
            })?;
        }
        Ok(batches)
    }
}

impl Rows for CsvRows {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        match bytes.is_empty() {
            true => Ok(Vec::new()),
            false => self.read(bytes),
        }
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = self.read(&[])?;
        self.fields = None;
        batches.extend(self.rows.batch()?);
        Ok(batches)
    }
}

impl Building {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let line = std::mem::replace(&mut self.line, row.line);
        let Some(places) = &self.places else {
            return self.header(row);
        };
        let empty_last = row.len() == self.width + 1 && row.field(self.width).is_some_and(<[u8]>::is_empty);
        if row.len() != self.width && !empty_last {
            return Err(damaged(
                &self.place.path,
                line,
                format!(
                    "a row has {} values, where {} were expected",
                    row.len(),
                    self.width
                ),
            )
            .with_hint("Check the options delimiter, quote and escape."));
        }
        for ((place, texts), field) in places
            .iter()
            .zip(&mut self.texts)
            .zip(self.place.projected.fields())
        {
            let value = place.map(|place| row.field(place).unwrap_or_default());
            let text = value.map(std::str::from_utf8).transpose();
            let text = text.map_err(|_| damaged(&self.place.path, line, "a file is not UTF-8"))?;
            let text = text.filter(|text| !self.nulls.contains(text, Some(field.data_type())));
            self.size += text.map_or(0, str::len);
            texts.append_option(text);
        }
        self.lines.push(line);
        Ok(())
    }

    fn header(&mut self, row: &Row<'_>) -> Result<()> {
        let found = row.names(&self.place.path)?;
        self.width = found.len();
        let file = &self.place.file;
        let all: Vec<Option<usize>> = match self.dialect.positional {
            true if found.len() == file.fields().len() => (0..found.len()).map(Some).collect(),
            true => {
                return Err(damaged(
                    &self.place.path,
                    1,
                    format!(
                        "a file has {} columns, where {} were declared",
                        found.len(),
                        file.fields().len()
                    ),
                ));
            }
            false => names::places(
                file.fields().iter().map(|field| field.name().as_str()),
                found.iter().map(String::as_str),
            )?,
        };
        if self.dialect.closed {
            let known: std::collections::HashSet<usize> = all.iter().flatten().copied().collect();
            if let Some(extra) = (0..found.len()).find(|place| !known.contains(place)) {
                return Err(damaged(
                    &self.place.path,
                    1,
                    format!("a file has a column \"{}\" that others have not", found[extra]),
                )
                .with_hint("Declare the columns that the table is to have."));
            }
        }
        let wanted = self.place.wanted.iter();
        self.places = Some(wanted.map(|wanted| all.get(*wanted).copied().flatten()).collect());
        Ok(())
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let rows = self.lines.len();
        if rows == 0 {
            return Ok(None);
        }
        let mut arrays = Vec::with_capacity(self.texts.len());
        for (texts, field) in self.texts.iter_mut().zip(self.place.projected.fields()) {
            let texts: StringArray = texts.finish();
            let array = values::read(&texts, field.data_type()).map_err(|bad| {
                let line = self.lines.get(bad.row).copied().unwrap_or_default();
                self.place.bad(&bad.text, field, line)
            })?;
            debug_assert_eq!(array.len(), rows);
            arrays.push(array);
        }
        self.lines.clear();
        self.size = 0;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.place.projected);
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)
            .map_err(|error| Error::internal("CSV gave no batch").with_detail(error.to_string()))?;
        Ok(Some(batch))
    }
}
