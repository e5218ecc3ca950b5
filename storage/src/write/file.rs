//! A file that was written and not yet committed, as it travels to the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use serde::{Deserialize, Serialize};
use watershed_core::error::{Error, Result};

/// The tag on a file that names the hash and the number of shards that laid it out.
pub const SHARD_SPEC_TAG: &str = "watershed.shard_spec";

/// A data file, as the table's log will name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Below the table's folder.
    pub path: String,
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    pub rows: u64,
    /// Delta's texts for the values of the partition columns, the shard among them.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Delta's statistics, as JSON.
    pub statistics: String,
    pub tags: BTreeMap<String, String>,
}

/// The rows that a write gives: one per file.
pub(crate) fn output_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("file", DataType::Utf8, false),
        Field::new("rows", DataType::UInt64, false),
    ]))
}

/// Files as the rows that a write gives.
pub(crate) fn output_batch(files: &[WrittenFile]) -> Result<RecordBatch> {
    let unwritable = |error: &dyn std::fmt::Display| {
        Error::internal(format!("a write's answer cannot be written: {error}"))
    };
    let texts = files
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unwritable(&error))?;
    let rows: UInt64Array = files.iter().map(|file| Some(file.rows)).collect();
    RecordBatch::try_new(
        output_schema(),
        vec![Arc::new(StringArray::from(texts)), Arc::new(rows)],
    )
    .map_err(|error| unwritable(&error))
}

/// Reads what writes gave: their files, and the number of rows in them.
pub fn written_files(batches: &[RecordBatch]) -> Result<(Vec<WrittenFile>, u64)> {
    let garbled = |why: String| Error::internal(format!("a write's answer is garbled: {why}"));
    let mut files = Vec::new();
    let mut total = 0;
    for batch in batches {
        if batch.num_columns() != 2 {
            return Err(garbled(format!("{} columns", batch.num_columns())));
        }
        let texts = batch
            .column(0)
            .as_string_opt::<i32>()
            .ok_or_else(|| garbled("the first column is no text".to_owned()))?;
        let rows = batch
            .column(1)
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| garbled("the second column is no number".to_owned()))?;
        for row in 0..batch.num_rows() {
            if texts.is_null(row) || rows.is_null(row) {
                return Err(garbled("a NULL".to_owned()));
            }
            files.push(serde_json::from_str(texts.value(row)).map_err(|error| garbled(error.to_string()))?);
            total += rows.value(row);
        }
    }
    Ok((files, total))
}
