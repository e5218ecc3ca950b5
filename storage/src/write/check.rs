//! What a row must be before it is written: of the table's types, without a NULL where there is none,
//! its JSON valid.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::CastOptions;
use arrow::datatypes::SchemaRef;
use watershed_core::error::{Error, Result, SqlState};

use super::limits;
use crate::error::from_datafusion;
use crate::layout::{ColumnType, Limit, TableLayout};

/// Texts longer than this are cut in errors.
pub(super) const TEXT_SHOWN: usize = 60;

/// Checks batches for one table.
#[derive(Debug)]
pub(super) struct RowCheck {
    schema: SchemaRef,
    required: Vec<usize>,
    json: Vec<usize>,
    limits: Vec<(usize, Limit)>,
}

impl RowCheck {
    pub(super) fn new(layout: &TableLayout) -> Self {
        let places = |wanted: &dyn Fn(&crate::layout::Column) -> bool| {
            layout
                .columns
                .iter()
                .enumerate()
                .filter(|(_, column)| wanted(column))
                .map(|(place, _)| place)
                .collect()
        };
        // A NULL has passed as a value until here, so that the error can name its column.
        let fields: Vec<_> = layout
            .arrow_schema()
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        Self {
            schema: Arc::new(arrow::datatypes::Schema::new(fields)),
            required: places(&|column| !column.nullable || layout.primary_key.contains(&column.name)),
            json: places(&|column| column.data_type == ColumnType::Json),
            limits: layout
                .columns
                .iter()
                .enumerate()
                .filter_map(|(place, column)| Some((place, column.limit?)))
                .collect(),
        }
    }

    /// The batch with the table's columns, if it may be written.
    pub(super) fn check(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::internal(format!(
                "{} columns came for a table of {}",
                batch.num_columns(),
                self.schema.fields().len()
            )));
        }
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(column, field)| cast(column, field))
            .collect::<Result<Vec<_>>>()?;
        for place in &self.required {
            if columns[*place].null_count() > 0 {
                return Err(self.null(*place));
            }
        }
        for place in &self.json {
            self.check_json(*place, &columns[*place])?;
        }
        for (place, limit) in &self.limits {
            limits::check(self.schema.field(*place).name(), &columns[*place], *limit)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| from_datafusion(error.into()))
    }

    fn null(&self, place: usize) -> Error {
        let name = self.schema.field(place).name();
        Error::new(
            SqlState::NotNullViolation,
            format!("null value in column \"{name}\" violates its NOT NULL"),
        )
        .with_hint(format!("Give every row a value for \"{name}\"."))
    }

    fn check_json(&self, place: usize, column: &ArrayRef) -> Result<()> {
        let texts = column
            .as_string_opt::<i32>()
            .ok_or_else(|| Error::internal("a JSON column holds no texts"))?;
        for text in texts.iter().flatten() {
            if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
                let shown: String = text.chars().take(TEXT_SHOWN).collect();
                return Err(Error::new(
                    SqlState::InvalidTextRepresentation,
                    format!(
                        "invalid JSON in column \"{}\": {shown:?}",
                        self.schema.field(place).name()
                    ),
                )
                .with_detail(error.to_string()));
            }
        }
        Ok(())
    }
}

fn cast(column: &ArrayRef, field: &arrow::datatypes::Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    arrow::compute::cast_with_options(column, field.data_type(), &options)
        .map_err(|error| from_datafusion(error.into()).with_detail(format!("column \"{}\"", field.name())))
}
