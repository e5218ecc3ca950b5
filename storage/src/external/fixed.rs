//! Values that Parquet stores as bytes of a fixed length and Arrow has no type for: UUIDs, and INTERVALs with their
//! months.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, IntervalMonthDayNanoArray, LargeListArray, ListArray,
    StringBuilder, StructArray,
};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, IntervalMonthDayNano, IntervalUnit, Schema, SchemaRef,
};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use crate::functions::function::function;

const UUID: i32 = 16;
const INTERVAL: i32 = 12;

/// The columns of a file with texts and intervals where the reader gives bytes. A column that has bytes of the same
/// length with another meaning stays as it is.
pub(super) fn meant(described: &SchemaDescriptor, read: &SchemaRef) -> SchemaRef {
    let mut changed = false;
    let fields = read.fields().iter().enumerate().map(|(place, field)| {
        let leaves = (0..described.num_columns())
            .filter(|leaf| described.get_column_root_idx(*leaf) == place)
            .map(|leaf| described.column(leaf));
        let fixed: Vec<ColumnDescPtr> = leaves
            .filter(|leaf| leaf.physical_type() == PhysicalType::FIXED_LEN_BYTE_ARRAY)
            .collect();
        let all = |length: i32, is: fn(&ColumnDescPtr) -> bool| {
            let mut of_length = fixed
                .iter()
                .filter(|leaf| leaf.type_length() == length)
                .peekable();
            of_length.peek().is_some() && of_length.all(is)
        };
        let uuids = all(UUID, |leaf| {
            matches!(leaf.logical_type_ref(), Some(LogicalType::Uuid))
        });
        let intervals = all(INTERVAL, |leaf| leaf.converted_type() == ConvertedType::INTERVAL);
        if !uuids && !intervals {
            return Arc::clone(field);
        }
        let kind = kind_of(field.data_type(), uuids, intervals);
        changed |= kind != *field.data_type();
        Arc::new(field.as_ref().clone().with_data_type(kind))
    });
    let fields: Fields = fields.collect();
    match changed {
        true => Arc::new(Schema::new(fields)),
        false => Arc::clone(read),
    }
}

fn kind_of(read: &DataType, uuids: bool, intervals: bool) -> DataType {
    let inner = |field: &FieldRef| {
        let kind = kind_of(field.data_type(), uuids, intervals);
        Arc::new(Field::new(field.name(), kind, field.is_nullable()))
    };
    match read {
        DataType::FixedSizeBinary(UUID) if uuids => DataType::Utf8,
        DataType::FixedSizeBinary(INTERVAL) if intervals => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::LargeList(item) => DataType::LargeList(inner(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

/// `values_of_bytes(x)`: UUIDs of 16 bytes as texts and INTERVALs of 12 bytes as intervals, at any depth.
pub(crate) fn values_of_bytes() -> ScalarUDF {
    function(
        "values_of_bytes",
        &[],
        "values_of_bytes(column)",
        |given| match given {
            [kind] => {
                let result = kind_of(kind, true, true);
                (result != *kind).then(|| (vec![kind.clone()], result))
            }
            _ => None,
        },
        |args, _| values(&args[0]),
    )
}

fn values(read: &ArrayRef) -> Result<ArrayRef> {
    let nulls = read.nulls().cloned();
    let renewed = |field: &FieldRef, kind: &DataType| {
        Arc::new(Field::new(field.name(), kind.clone(), field.is_nullable()))
    };
    Ok(match read.data_type() {
        DataType::FixedSizeBinary(UUID) => uuids(read.as_fixed_size_binary()),
        DataType::FixedSizeBinary(INTERVAL) => intervals(read.as_fixed_size_binary()),
        DataType::List(item) => {
            let list = read.as_list::<i32>();
            let items = values(list.values())?;
            let item = renewed(item, items.data_type());
            Arc::new(ListArray::try_new(item, list.offsets().clone(), items, nulls)?)
        }
        DataType::LargeList(item) => {
            let list = read.as_list::<i64>();
            let items = values(list.values())?;
            let item = renewed(item, items.data_type());
            Arc::new(LargeListArray::try_new(
                item,
                list.offsets().clone(),
                items,
                nulls,
            )?)
        }
        DataType::Struct(fields) => {
            let columns = read.as_struct().columns();
            let columns = columns.iter().map(values).collect::<Result<Vec<_>>>()?;
            let fields: Fields = fields
                .iter()
                .zip(&columns)
                .map(|(field, column)| renewed(field, column.data_type()))
                .collect();
            Arc::new(StructArray::try_new_with_length(
                fields,
                columns,
                nulls,
                read.len(),
            )?)
        }
        _ => Arc::clone(read),
    })
}

/// In the canonical form, such as `6ba7b810-9dad-11d1-80b4-00c04fd430c8`.
fn uuids(bytes: &FixedSizeBinaryArray) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(bytes.len(), 36 * bytes.len());
    for value in bytes {
        texts.append_option(value.map(|value| {
            let mut text = String::with_capacity(36);
            for (place, byte) in value.iter().enumerate() {
                if matches!(place, 4 | 6 | 8 | 10) {
                    text.push('-');
                }
                for digit in [byte >> 4, byte & 15] {
                    text.extend(char::from_digit(u32::from(digit), 16));
                }
            }
            text
        }));
    }
    Arc::new(texts.finish())
}

/// Months, days and milliseconds, each of 32 bits without a sign.
fn intervals(bytes: &FixedSizeBinaryArray) -> ArrayRef {
    let values = bytes.iter().map(|value| {
        let (parts, _) = value?.as_chunks::<4>();
        let [months, days, millis] = parts else {
            return None;
        };
        // Writers put negative parts there, too.
        let part = |bytes: &[u8; 4]| i32::from_le_bytes(*bytes);
        let nanos = i64::from(part(millis)) * 1_000_000;
        Some(IntervalMonthDayNano::new(part(months), part(days), nanos))
    });
    Arc::new(values.collect::<IntervalMonthDayNanoArray>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_intervals_of_bytes() {
        let uuid: Vec<u8> = (0..16).map(|byte| byte * 16 + 1).collect();
        let bytes = FixedSizeBinaryArray::try_from_iter([uuid].into_iter()).unwrap();
        let bytes: ArrayRef = Arc::new(bytes);
        let texts = values(&bytes).unwrap();
        assert_eq!(
            texts.as_string::<i32>().value(0),
            "01112131-4151-6171-8191-a1b1c1d1e1f1"
        );
        let parts: Vec<u8> = [1_i32, -2, 3]
            .iter()
            .flat_map(|part| part.to_le_bytes())
            .collect();
        let bytes: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([parts].into_iter()).unwrap());
        let found = values(&bytes).unwrap();
        let expected = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, -2, 3_000_000)]);
        assert_eq!(found.as_ref(), &expected as &dyn Array);
    }
}
