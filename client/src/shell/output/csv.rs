//! Comma-separated values.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::Encode;
use super::cell::{Timestamps, flat};

pub(super) struct Csv {
    schema: SchemaRef,
    timestamps: Timestamps,
    has_header: bool,
}

impl Csv {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self {
            schema: Arc::clone(schema),
            timestamps: Timestamps::of(schema),
            has_header: false,
        }
    }
}

impl Encode for Csv {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let mut fields = Vec::with_capacity(batch.num_columns());
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let column = flat(field, column, self.timestamps)?;
            fields.push(Field::new(field.name(), column.data_type().clone(), true));
            columns.push(column);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        let mut writer = WriterBuilder::new()
            .with_header(!self.has_header)
            .with_timestamp_format(self.timestamps.plain.to_owned())
            .with_datetime_format(self.timestamps.plain.to_owned())
            .with_timestamp_tz_format(self.timestamps.zoned.to_owned())
            .build(out);
        self.has_header = true;
        writer.write(&batch)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if self.has_header {
            return Ok(());
        }
        // No rows came, but what reads this wants the names.
        self.batch(&RecordBatch::new_empty(Arc::clone(&self.schema)), out)
    }
}
