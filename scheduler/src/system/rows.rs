//! Rows by column name, put in the form of a table's definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::scalar::ScalarValue;
use watershed_core::Result;
use watershed_sql::catalog::LiveDef;
use watershed_storage::error::from_datafusion;

/// A row: columns that are not named are NULL.
pub(super) type Row = BTreeMap<&'static str, ScalarValue>;

/// A table of these rows.
pub(super) fn table(def: &LiveDef, rows: Vec<Row>) -> Result<Arc<dyn TableProvider>> {
    let batch = batch(def, rows)?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(from_datafusion)?;
    Ok(Arc::new(table))
}

/// The rows in the columns of `def`.
pub(super) fn batch(def: &LiveDef, mut rows: Vec<Row>) -> Result<RecordBatch> {
    let schema = def.arrow_schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let values = rows
                .iter_mut()
                .map(|row| match row.remove(field.name().as_str()) {
                    Some(value) => value.cast_to(field.data_type()),
                    None => ScalarValue::try_from(field.data_type()),
                });
            let values = values.collect::<Result<Vec<_>, _>>()?;
            if values.is_empty() {
                return Ok(arrow::array::new_empty_array(field.data_type()));
            }
            ScalarValue::iter_to_array(values)
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(from_datafusion)?;
    debug_assert!(
        rows.iter().all(BTreeMap::is_empty),
        "{} has no such columns: {:?}",
        def.name,
        rows.iter().flat_map(BTreeMap::keys).collect::<Vec<_>>()
    );
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| from_datafusion(error.into()))
}

pub(super) fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8(Some(value.into()))
}

pub(super) fn integer(value: impl TryInto<i64>) -> ScalarValue {
    ScalarValue::Int64(Some(value.try_into().unwrap_or(i64::MAX)))
}

pub(super) fn instant(value: DateTime<Utc>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(value.timestamp_micros()), Some("UTC".into()))
}
