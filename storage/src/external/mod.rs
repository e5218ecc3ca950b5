//! Tables others keep: Parquet, CSV, JSON and Delta, as a file, a folder, a pattern or a Hive-partitioned tree.
//!
//! [`open`] looks at the files as they are now: [`place`] finds them, [`hive`] reads the names of folders, [`facts`]
//! and [`text`] what the files say of their columns. [`shape`] and [`unify`] make one table of all that, [`fit`]
//! refuses what would change values, and [`files`] plans scans.

mod facts;
mod files;
mod fit;
mod fixed;
mod format;
mod glob;
mod hive;
mod memory;
mod names;
mod open;
mod place;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod unify;
mod values;

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use watershed_core::error::{Error, Result};

use crate::layout::{Column, ColumnType};

pub(crate) use files::{FilesTable, digest};
pub(crate) use fixed::values_of_bytes;
pub use open::{check, open};
pub(crate) use text::TextSource;

/// How an external table's files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalFormat {
    Parquet,
    Csv,
    Json,
    Delta,
}

/// What an external table's definition says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalTable {
    /// For reports and errors.
    pub name: String,
    pub format: ExternalFormat,
    /// A path, or a `file://` or `s3://` URL, of a file or a folder, or a pattern of such.
    pub location: String,
    /// The columns that were declared. Empty where the files tell.
    pub columns: Vec<Column>,
    /// The columns whose values stand in the folders' names, as far as they were declared.
    pub partition_by: Vec<String>,
    pub options: BTreeMap<String, String>,
}

/// The columns that files of that schema have, as ours.
pub(crate) fn columns_of(schema: &Schema) -> Result<Vec<Column>> {
    schema
        .fields()
        .iter()
        .map(|field| match ColumnType::from_arrow(field.data_type()) {
            // Files to come may lack what all files have now.
            Some(kind) => Ok(Column::new(field.name(), kind)),
            None => Err(Error::unsupported(format!(
                "column \"{}\" has a type that is not supported: {}",
                field.name(),
                field.data_type()
            ))
            .with_hint("Declare the columns to be read, without this one.")),
        })
        .collect()
}
