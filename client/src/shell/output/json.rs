//! One JSON object per row and line. Every object has every column.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;

use super::Encode;
use super::cell::Timestamps;
use super::union::Unions;

pub(super) struct Json {
    timestamps: Timestamps,
}

impl Json {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self {
            timestamps: Timestamps::of(schema),
        }
    }
}

impl Encode for Json {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(true)
            .with_encoder_factory(Arc::new(Unions))
            .with_timestamp_format(self.timestamps.plain.to_owned())
            .with_datetime_format(self.timestamps.plain.to_owned())
            .with_timestamp_tz_format(self.timestamps.zoned.to_owned())
            .build::<_, LineDelimited>(out);
        writer.write(batch)?;
        writer.finish()
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), ArrowError> {
        Ok(())
    }
}
