//! Files of text: CSV and JSON, read as text first and then as the types of the table's columns.
//!
//! The readers of DataFusion 55 take columns of CSV by position, cut 2.9 to 2 for a column of whole numbers, lose
//! digits of long numbers, and forget options on their way to executors. So the reader is ours.

mod bytes;
mod csv;
mod fields;
mod infer;
mod json;
mod numbers;
mod records;
mod source;

use serde::{Deserialize, Serialize};
use watershed_core::error::{Error, SqlState};

pub(super) use infer::{columns, is_flat, sampled};
pub use source::TextSource;

/// How rows stand in files of text. It travels to executors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextFormat {
    Csv(CsvDialect),
    Json(JsonDialect),
}

/// How rows stand in CSV files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvDialect {
    /// Whether the first row names the columns.
    pub header: bool,
    /// Whether columns are taken by their place although there is a header.
    pub positional: bool,
    /// Whether a column that the table does not have is an error.
    pub closed: bool,
    pub delimiter: u8,
    /// None where quotes are signs as others.
    pub quote: Option<u8>,
    /// What makes a quote part of a value, besides doubling it.
    pub escape: Option<u8>,
    pub comment: Option<u8>,
    pub terminator: Option<u8>,
    /// The text that stands for NULL, besides the empty one.
    pub null_value: Option<String>,
    /// A pattern of such texts.
    pub null_regex: Option<String>,
    pub compression: Compression,
}

/// How rows stand in JSON files: one object after another, or a list of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonDialect {
    pub compression: Compression,
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As the end of a file's name says.
    Auto,
    None,
    Gzip,
    Zstd,
    Bzip2,
}

impl Compression {
    /// The endings of compressed files.
    pub(super) const ENDINGS: [&'static str; 4] = [".gz", ".zst", ".bz2", ".gzip"];

    /// What a file is compressed by.
    fn of(self, path: &str) -> Self {
        let path = path.to_ascii_lowercase();
        match self {
            Self::Auto if path.ends_with(".gz") || path.ends_with(".gzip") => Self::Gzip,
            Self::Auto if path.ends_with(".zst") => Self::Zstd,
            Self::Auto if path.ends_with(".bz2") => Self::Bzip2,
            Self::Auto => Self::None,
            other => other,
        }
    }
}

impl TextFormat {
    fn compression(&self) -> Compression {
        match self {
            Self::Csv(dialect) => dialect.compression,
            Self::Json(dialect) => dialect.compression,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => "CSV",
            Self::Json(_) => "JSON",
        }
    }
}

/// The most bytes that one row may have.
const ROW_MAX: usize = 256 << 20;

fn row_too_long(path: &str, line: u64) -> Error {
    Error::new(
        SqlState::InsufficientResources,
        format!("a row of a file is longer than {} MiB", ROW_MAX >> 20),
    )
    .with_detail(format!("file {path}, line {line}"))
    .with_hint("Check the quotes and brackets in the file: one that is not closed takes in all that follows.")
}

fn damaged(path: &str, line: u64, message: impl Into<String>) -> Error {
    Error::new(SqlState::DataException, message).with_detail(format!("file {path}, line {line}"))
}
