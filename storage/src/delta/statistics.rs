//! Statistics of data files, as Delta's logs keep them.
//!
//! They bound what is in a file; few are exact. Timestamps are cut to milliseconds, long texts to
//! their first characters, NaN is left out. So they prune files, and only those of integers, dates
//! and booleans may answer MIN and MAX.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use serde_json::Value;

/// Decimals of more digits lose some when they are read as JSON numbers.
const DECIMAL_DIGITS_SAFE: u8 = 15;

/// Reads Delta's JSON of a file's statistics: the number of rows, and statistics over `schema`. What
/// is missing or garbled is unknown. Partition columns have their one value.
pub(super) fn read_statistics(
    json: Option<&str>,
    schema: &Schema,
    partition_by: &[String],
    partition_values: &[ScalarValue],
) -> (Option<u64>, Statistics) {
    let json: Value = json
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    let rows = json.get("numRecords").and_then(Value::as_u64);
    let tight = json.get("tightBounds").and_then(Value::as_bool).unwrap_or(true);
    let precise_rows = rows
        .and_then(|rows| usize::try_from(rows).ok())
        .map_or(Precision::Absent, Precision::Exact);
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let name = field.name();
            if let Some(place) = partition_by.iter().position(|column| column == name) {
                return partition_statistics(&partition_values[place], precise_rows);
            }
            let bound = |key: &str, upper: bool| {
                json.get(key)
                    .and_then(|values| values.get(name))
                    .and_then(|value| bound(value, field.data_type(), upper))
                    .map_or(Precision::Absent, |value| match field.data_type() {
                        data_type if tight && is_exact(data_type) => Precision::Exact(value),
                        _ => Precision::Inexact(value),
                    })
            };
            let nulls = json
                .get("nullCount")
                .and_then(|values| values.get(name))
                .and_then(Value::as_u64)
                .and_then(|nulls| usize::try_from(nulls).ok());
            ColumnStatistics {
                null_count: nulls.map_or(Precision::Absent, Precision::Exact),
                min_value: bound("minValues", false),
                max_value: bound("maxValues", true),
                ..ColumnStatistics::new_unknown()
            }
        })
        .collect();
    let statistics = Statistics {
        num_rows: precise_rows,
        total_byte_size: Precision::Absent,
        column_statistics: columns,
    };
    (rows, statistics)
}

/// Of a column with one value in all rows.
pub(crate) fn partition_statistics(value: &ScalarValue, rows: Precision<usize>) -> ColumnStatistics {
    if value.is_null() {
        return ColumnStatistics {
            null_count: rows,
            ..ColumnStatistics::new_unknown()
        };
    }
    ColumnStatistics {
        null_count: Precision::Exact(0),
        min_value: Precision::Exact(value.clone()),
        max_value: Precision::Exact(value.clone()),
        ..ColumnStatistics::new_unknown()
    }
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Date32 | DataType::Boolean)
}

/// Reads a bound; one that cannot be trusted to bound is none.
fn bound(value: &Value, data_type: &DataType, upper: bool) -> Option<ScalarValue> {
    match data_type {
        DataType::Boolean => value.as_bool().map(|value| ScalarValue::Boolean(Some(value))),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let value = ScalarValue::Int64(Some(value.as_i64()?));
            value.cast_to(data_type).ok().filter(|value| !value.is_null())
        }
        DataType::Float32 => {
            // Rounding may have moved it inwards.
            let value = value.as_f64()?;
            #[expect(clippy::cast_possible_truncation, reason = "moved outwards below")]
            let near = value as f32;
            let moved = match upper {
                true if f64::from(near) < value => near.next_up(),
                false if f64::from(near) > value => near.next_down(),
                _ => near,
            };
            Some(ScalarValue::Float32(Some(moved)))
        }
        DataType::Float64 => value.as_f64().map(|value| ScalarValue::Float64(Some(value))),
        DataType::Decimal128(precision, _) => {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) if *precision <= DECIMAL_DIGITS_SAFE => number.to_string(),
                _ => return None,
            };
            parse(&text, data_type)
        }
        DataType::Utf8 => value
            .as_str()
            .map(|text| ScalarValue::Utf8(Some(text.to_owned()))),
        DataType::Date32 => parse(value.as_str()?, data_type),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            match parse(value.as_str()?, data_type)? {
                // The writer cut it to milliseconds, downwards, whichever bound it is.
                ScalarValue::TimestampMicrosecond(Some(micros), _) => {
                    let slack = if upper { 999 } else { 0 };
                    Some(ScalarValue::TimestampMicrosecond(
                        Some(micros.saturating_add(slack)),
                        zone.as_ref().map(Arc::clone),
                    ))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn parse(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    ScalarValue::try_from_string(text.to_owned(), data_type)
        .ok()
        .filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;
    use crate::layout::ColumnType;

    fn read(json: &str) -> (Option<u64>, Statistics) {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("at", ColumnType::Timestamp.arrow(), true),
            Field::new("text", DataType::Utf8, true),
            Field::new("dt", DataType::Date32, true),
        ]);
        read_statistics(
            Some(json),
            &schema,
            &["dt".to_owned()],
            &[ScalarValue::Date32(None)],
        )
    }

    #[test]
    fn bounds_are_exact_only_where_writers_keep_them_so() {
        let (rows, statistics) = read(
            r#"{"numRecords": 3,
                "minValues": {"id": 1, "at": "2024-01-01T00:00:00.123Z", "text": "a"},
                "maxValues": {"id": 9, "at": "2024-01-01T00:00:00.123Z", "text": "b"},
                "nullCount": {"id": 0, "at": 1, "text": 0}}"#,
        );
        assert_eq!(rows, Some(3));
        let [id, at, text, dt] = &statistics.column_statistics[..] else {
            panic!("four columns")
        };
        assert_eq!(id.max_value, Precision::Exact(ScalarValue::Int64(Some(9))));
        assert_eq!(at.null_count, Precision::Exact(1));
        assert_eq!(
            at.max_value,
            Precision::Inexact(ScalarValue::TimestampMicrosecond(
                Some(1_704_067_200_123_999),
                Some("UTC".into())
            ))
        );
        assert!(matches!(text.max_value, Precision::Inexact(_)));
        assert_eq!(dt.null_count, Precision::Exact(3));
        assert_eq!(dt.min_value, Precision::Absent);
    }

    #[test]
    fn what_is_missing_or_garbled_is_unknown() {
        for json in [
            "",
            "[]",
            "{",
            r#"{"numRecords": "x", "minValues": {"id": "x", "at": 5}}"#,
        ] {
            let (rows, statistics) = read(json);
            assert_eq!(rows, None, "{json}");
            assert_eq!(
                statistics.column_statistics[0].min_value,
                Precision::Absent,
                "{json}"
            );
            assert_eq!(
                statistics.column_statistics[1].min_value,
                Precision::Absent,
                "{json}"
            );
        }
    }
}
