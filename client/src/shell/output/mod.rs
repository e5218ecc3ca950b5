//! The forms in which rows are printed. Each turns batches into bytes; nothing here writes them.

mod cell;
mod csv;
mod ipc;
mod json;
mod record;
mod table;
mod union;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::style::Style;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Columns aligned, for people.
    #[default]
    Table,
    /// RFC 4180 with a header and LF line ends; NULL is an empty field.
    Csv,
    /// One JSON object per row and line; NULL is null.
    Json,
    /// An Arrow IPC stream per result.
    Arrow,
}

impl Format {
    pub(super) const ALL: [(&str, Self); 4] = [
        ("table", Self::Table),
        ("csv", Self::Csv),
        ("json", Self::Json),
        ("arrow", Self::Arrow),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Arrow => "arrow",
        }
    }
}

/// Whether a row of a table has a line, or each of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Expanded {
    /// Lines for columns where the terminal is too narrow.
    #[default]
    Auto,
    On,
    Off,
}

/// Where a table will be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    /// None: it goes to a file, and nothing is cut.
    pub(super) columns: Option<usize>,
    pub(super) expanded: Expanded,
    pub(super) style: Style,
}

/// Turns the rows of one result into bytes.
pub(super) trait Encode: Send {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError>;

    /// What follows the last row; there may have been none.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError>;
}

/// The encoder of a result with these columns.
pub(super) fn encoder(
    format: Format,
    schema: &SchemaRef,
    screen: Screen,
) -> Result<Box<dyn Encode>, ArrowError> {
    Ok(match format {
        Format::Table => Box::new(table::Table::new(schema, screen)),
        Format::Csv => Box::new(csv::Csv::new(schema)),
        Format::Json => Box::new(json::Json::new(schema)),
        Format::Arrow => Box::new(ipc::Ipc::new(schema)?),
    })
}

#[cfg(test)]
pub(super) mod tests;
