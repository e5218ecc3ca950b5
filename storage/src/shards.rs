//! The shard of a row: the frozen hash of `watershed_core::shard`, over values and over columns.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::ScalarValue;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::id::ShardId;
use watershed_core::shard::{Key, shard_of, shard_of_i64, shard_of_str};

use crate::layout::ColumnType;

/// Whether a column of that type can be a shard key.
pub fn can_shard(kind: &ColumnType) -> bool {
    match kind {
        ColumnType::Boolean
        | ColumnType::TinyInt
        | ColumnType::SmallInt
        | ColumnType::Int
        | ColumnType::BigInt
        | ColumnType::String
        | ColumnType::Binary
        | ColumnType::Date
        | ColumnType::Timestamp => true,
        // Equal values of these have more than one form, or none.
        ColumnType::Float
        | ColumnType::Double
        | ColumnType::Decimal { .. }
        | ColumnType::Json
        | ColumnType::Array(_)
        | ColumnType::Struct(_) => false,
    }
}

/// A value as a shard key, if values of its type are.
pub fn key_of(value: &ScalarValue) -> Option<Key<'_>> {
    if value.is_null() {
        return Some(Key::Null);
    }
    Some(match value {
        ScalarValue::Boolean(Some(value)) => Key::Bool(*value),
        ScalarValue::Int8(Some(value)) => Key::Int(i64::from(*value)),
        ScalarValue::Int16(Some(value)) => Key::Int(i64::from(*value)),
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => Key::Int(i64::from(*value)),
        ScalarValue::Int64(Some(value)) | ScalarValue::TimestampMicrosecond(Some(value), _) => {
            Key::Int(*value)
        }
        ScalarValue::Utf8(Some(value))
        | ScalarValue::Utf8View(Some(value))
        | ScalarValue::LargeUtf8(Some(value)) => Key::Text(value),
        ScalarValue::Binary(Some(value))
        | ScalarValue::BinaryView(Some(value))
        | ScalarValue::LargeBinary(Some(value)) => Key::Bytes(value),
        _ => return None,
    })
}

/// The shard of each row, by its key.
pub(crate) fn shard_column(keys: &ArrayRef, shards: u32) -> Result<Vec<ShardId>> {
    Ok(match keys.data_type() {
        DataType::Int8 => integers::<Int8Type>(keys.as_primitive(), shards),
        DataType::Int16 => integers::<Int16Type>(keys.as_primitive(), shards),
        DataType::Int32 => integers::<Int32Type>(keys.as_primitive(), shards),
        DataType::Int64 => integers::<Int64Type>(keys.as_primitive(), shards),
        DataType::Date32 => integers::<Date32Type>(keys.as_primitive(), shards),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            integers::<TimestampMicrosecondType>(keys.as_primitive(), shards)
        }
        DataType::Utf8 => {
            let null = shard_of(Key::Null, shards);
            keys.as_string::<i32>()
                .iter()
                .map(|key| key.map_or(null, |key| shard_of_str(key, shards)))
                .collect()
        }
        DataType::Boolean => keys
            .as_boolean()
            .iter()
            .map(|key| shard_of(key.map_or(Key::Null, Key::Bool), shards))
            .collect(),
        DataType::Binary => keys
            .as_binary::<i32>()
            .iter()
            .map(|key| shard_of(key.map_or(Key::Null, Key::Bytes), shards))
            .collect(),
        other => {
            return Err(Error::new(
                SqlState::InvalidTableDefinition,
                format!("a column of type {other} cannot be a shard key"),
            )
            .with_hint("Take a column of integers, texts, dates or timestamps."));
        }
    })
}

fn integers<T: ArrowPrimitiveType<Native: Into<i64>>>(keys: &PrimitiveArray<T>, shards: u32) -> Vec<ShardId> {
    if keys.null_count() == 0 {
        return keys
            .values()
            .iter()
            .map(|key| shard_of_i64((*key).into(), shards))
            .collect();
    }
    let null = shard_of(Key::Null, shards);
    keys.iter()
        .map(|key| key.map_or(null, |key| shard_of_i64(key.into(), shards)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_agree_with_values() {
        let values = [
            vec![ScalarValue::Int32(Some(-5)), ScalarValue::Int32(None)],
            vec![ScalarValue::Int64(Some(1 << 40)), ScalarValue::Int64(Some(7))],
            vec![
                ScalarValue::from("a"),
                ScalarValue::Utf8(None),
                ScalarValue::from(""),
            ],
            vec![ScalarValue::Boolean(Some(true)), ScalarValue::Boolean(None)],
            vec![ScalarValue::Date32(Some(19_000)), ScalarValue::Date32(None)],
            vec![ScalarValue::Binary(Some(vec![1, 2])), ScalarValue::Binary(None)],
        ];
        for column in values {
            let expected: Vec<_> = column
                .iter()
                .map(|value| shard_of(key_of(value).unwrap(), 16))
                .collect();
            let array = ScalarValue::iter_to_array(column).unwrap();
            assert_eq!(shard_column(&array, 16).unwrap(), expected, "{array:?}");
        }
        let floats = ScalarValue::Float64(Some(1.0));
        assert!(key_of(&floats).is_none());
        assert!(shard_column(&floats.to_array().unwrap(), 16).is_err());
    }
}
