//! Values as text, alike in every format.
//!
//! Timestamps are `2026-11-01 12:00:00.000000+00:00` with all digits of their precision, those
//! without time zone the same without offset; binary is hexadecimal; lists and structs are JSON.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::{DataType, FieldRef, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::FormatOptions;

use super::union::Unions;

/// How a result's timestamps are written: with as many digits as its finest one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamps {
    pub(super) zoned: &'static str,
    pub(super) plain: &'static str,
}

const MICROS: Timestamps = Timestamps {
    zoned: "%Y-%m-%d %H:%M:%S%.6f%:z",
    plain: "%Y-%m-%d %H:%M:%S%.6f",
};
const NANOS: Timestamps = Timestamps {
    zoned: "%Y-%m-%d %H:%M:%S%.9f%:z",
    plain: "%Y-%m-%d %H:%M:%S%.9f",
};

impl Timestamps {
    pub(super) fn of(schema: &SchemaRef) -> Self {
        if schema.fields().iter().any(|field| has_nanos(field.data_type())) {
            NANOS
        } else {
            MICROS
        }
    }
}

fn has_nanos(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(unit, _) => *unit == TimeUnit::Nanosecond,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_nanos(item.data_type())
        }
        DataType::Map(entries, _) => has_nanos(entries.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_nanos(field.data_type())),
        _ => false,
    }
}

pub(super) fn format_options(timestamps: Timestamps) -> FormatOptions<'static> {
    FormatOptions::new()
        .with_display_error(true)
        .with_timestamp_format(Some(timestamps.plain))
        .with_datetime_format(Some(timestamps.plain))
        .with_timestamp_tz_format(Some(timestamps.zoned))
}

/// The column, or, if its values have parts, its values as JSON.
pub(super) fn flat(
    field: &FieldRef,
    column: &ArrayRef,
    timestamps: Timestamps,
) -> Result<ArrayRef, ArrowError> {
    if !column.data_type().is_nested() {
        return Ok(ArrayRef::clone(column));
    }
    let options = EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Unions))
        .with_timestamp_format(timestamps.plain.to_owned())
        .with_datetime_format(timestamps.plain.to_owned())
        .with_timestamp_tz_format(timestamps.zoned.to_owned());
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.push(None);
        } else {
            let mut json = Vec::new();
            encoder.encode(row, &mut json);
            texts.push(Some(String::from_utf8_lossy(&json).into_owned()));
        }
    }
    Ok(Arc::new(StringArray::from(texts)))
}
