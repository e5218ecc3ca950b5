//! Rows that are made while planning: what `SHOW`, `DESCRIBE` and `information_schema` answer.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;
use watershed_core::error::{Error, Result};
use watershed_storage::error::from_datafusion;

/// One value.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Text(Option<String>),
    Number(i64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

/// Columns that are numbers, whether or not there is a row.
const NUMBERS: [&str; 8] = [
    "ordinal_position",
    "position_in_unique_constraint",
    "character_maximum_length",
    "character_octet_length",
    "numeric_precision",
    "numeric_precision_radix",
    "numeric_scale",
    "datetime_precision",
];

/// A row per item, with a cell for every name.
pub(super) fn provider(names: &[&str], rows: &[Vec<Cell>]) -> Result<Arc<dyn TableProvider>> {
    let columns: Vec<(Field, ArrayRef)> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let cells = || rows.iter().map(|row| row.get(index));
            let numbers = cells().any(|cell| matches!(cell, Some(Cell::Number(_))));
            if numbers || NUMBERS.contains(name) {
                let array: Int64Array = cells()
                    .map(|cell| match cell {
                        Some(Cell::Number(number)) => Some(*number),
                        Some(Cell::Text(_)) | None => None,
                    })
                    .collect();
                (
                    Field::new(*name, DataType::Int64, true),
                    Arc::new(array) as ArrayRef,
                )
            } else {
                let array: StringArray = cells()
                    .map(|cell| match cell {
                        Some(Cell::Text(text)) => text.as_deref(),
                        Some(Cell::Number(_)) | None => None,
                    })
                    .collect();
                (
                    Field::new(*name, DataType::Utf8, true),
                    Arc::new(array) as ArrayRef,
                )
            }
        })
        .collect();
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)
        .map_err(|error| Error::internal(format!("rows that do not fit together: {error}")))?;
    let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(from_datafusion)?;
    Ok(Arc::new(table))
}

/// A query that gives these rows, in this order.
pub(super) fn plan(name: &str, names: &[&str], rows: &[Vec<Cell>]) -> Result<LogicalPlan> {
    let source = provider_as_source(provider(names, rows)?);
    LogicalPlanBuilder::scan(name, source, None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)
}
