//! A file's statistics for Delta's log, from those of its Parquet footer.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use chrono::{DateTime, NaiveDate};
use datafusion::common::ScalarValue;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};

/// Decimals of more digits lose some when they are read as JSON numbers.
const DECIMAL_DIGITS_SAFE: u8 = 15;

/// Delta's JSON of a file's statistics. A bound that cannot be told is left out.
pub(super) fn delta_statistics(metadata: &ParquetMetaData, schema: &Schema) -> String {
    let mut bounds = [Map::new(), Map::new()];
    let mut nulls = Map::new();
    for field in schema
        .fields()
        .iter()
        .filter(|field| !field.data_type().is_nested())
    {
        let name = field.name();
        let descriptor = metadata.file_metadata().schema_descr();
        let Ok(converter) = StatisticsConverter::try_new(name, schema, descriptor) else {
            continue;
        };
        let groups = metadata.row_groups();
        let Ok(counts) = converter.row_group_null_counts(groups) else {
            continue;
        };
        if counts.iter().all(|count| count.is_some()) {
            nulls.insert(name.clone(), json!(counts.iter().flatten().sum::<u64>()));
        }
        // Groups of nothing but NULLs have no bounds and need none.
        let empty: Vec<bool> = groups
            .iter()
            .zip(counts.iter())
            .map(|(group, count)| count.is_some_and(|count| u64::try_from(group.num_rows()) == Ok(count)))
            .collect();
        let found = [
            converter.row_group_mins(groups),
            converter.row_group_maxes(groups),
        ];
        for (upper, (found, into)) in found.into_iter().zip(&mut bounds).enumerate() {
            let upper = upper == 1;
            let value = found.ok().and_then(|values| {
                let values = (0..empty.len())
                    .filter(|group| !empty[*group])
                    .map(|group| ScalarValue::try_from_array(&values, group).ok())
                    .collect::<Option<Vec<_>>>()?;
                extreme(values, upper)
            });
            if let Some(value) = value.and_then(|value| to_json(&value, field.data_type(), upper)) {
                into.insert(name.clone(), value);
            }
        }
    }
    let [mins, maxes] = bounds;
    let rows: i64 = metadata.row_groups().iter().map(|group| group.num_rows()).sum();
    json!({
        "numRecords": rows,
        "minValues": mins,
        "maxValues": maxes,
        "nullCount": nulls,
        "tightBounds": true,
    })
    .to_string()
}

/// The least or greatest value; none if one of them is unknown.
fn extreme(values: Vec<ScalarValue>, upper: bool) -> Option<ScalarValue> {
    let mut best: Option<ScalarValue> = None;
    for value in values {
        if value.is_null() {
            return None;
        }
        let better = match &best {
            None => true,
            Some(best) if upper => value > *best,
            Some(best) => value < *best,
        };
        if better {
            best = Some(value);
        }
    }
    best
}

/// A bound as Delta writes it. Timestamps have milliseconds there: they are rounded outwards, so that
/// they bound for readers that do not know.
fn to_json(value: &ScalarValue, data_type: &DataType, upper: bool) -> Option<Value> {
    Some(match value {
        ScalarValue::Boolean(value) => json!((*value)?),
        ScalarValue::Int8(value) => json!((*value)?),
        ScalarValue::Int16(value) => json!((*value)?),
        ScalarValue::Int32(value) => json!((*value)?),
        ScalarValue::Int64(value) => json!((*value)?),
        ScalarValue::Float32(value) => finite(f64::from((*value)?))?,
        ScalarValue::Float64(value) => finite((*value)?)?,
        ScalarValue::Utf8(value) => json!(value.as_ref()?),
        ScalarValue::Date32(value) => {
            let day = NaiveDate::from_epoch_days((*value)?)?;
            // Years of more than four digits have no form that all readers know.
            let text = day.format("%Y-%m-%d").to_string();
            (text.len() == 10).then(|| json!(text))?
        }
        ScalarValue::TimestampMicrosecond(value, _)
            if matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _)) =>
        {
            let micros = (*value)?;
            let millis = micros.div_euclid(1000) + i64::from(upper && micros.rem_euclid(1000) != 0);
            let instant = DateTime::from_timestamp_millis(millis)?;
            let text = instant.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
            (text.len() == 24).then(|| json!(text))?
        }
        ScalarValue::Decimal128(_, precision, _) if *precision <= DECIMAL_DIGITS_SAFE => {
            finite(value.to_string().parse().ok()?)?
        }
        _ => return None,
    })
}

fn finite(value: f64) -> Option<Value> {
    serde_json::Number::from_f64(value).map(Value::Number)
}
