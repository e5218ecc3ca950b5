//! Which types of files can be read as which types of columns, so that no value changes its meaning.
//!
//! DataFusion casts a file's column to the table's type and reports a pushed predicate as done by the table's
//! type alone, so that a predicate over a column that is nested in one file only is dropped
//! (apache/datafusion#25268). A pair that is not listed here is refused before a scan is planned.

use arrow::datatypes::{DataType, Fields, TimeUnit};

/// The type of times of days, which have no type of columns of ours.
pub(super) const TIME_OF_DAY: DataType = DataType::Time64(TimeUnit::Nanosecond);

/// Whether values of a file's type can be read as the declared type. Values that do not fit, such as a number
/// that is too large, end the query with an error; none is rounded or cut.
pub(super) fn fits(file: &DataType, declared: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Date64, Float16, Float32, Float64, Null, Timestamp, Utf8};
    if file == declared {
        return true;
    }
    match (file, declared) {
        (Null, _) => true,
        (DataType::Dictionary(_, value), _) => fits(value, declared),
        (DataType::RunEndEncoded(_, value), _) => fits(value.data_type(), declared),
        (Boolean, Utf8) => true,
        (whole, _) if whole.is_integer() => match declared {
            Float32 => matches!(
                whole,
                DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16
            ),
            DataType::Decimal128(_, scale) => *scale >= 0,
            other => other.is_integer() || matches!(other, Float64 | Utf8),
        },
        (Float16 | Float32, Float32 | Float64) => true,
        (Float16 | Float32 | Float64, Utf8) => true,
        (
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale),
            _,
        ) => match declared {
            DataType::Decimal128(_, wanted) => wanted >= scale,
            Float64 | Utf8 => true,
            other => other.is_signed_integer() && *scale == 0,
        },
        (Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => {
            matches!(
                declared,
                Utf8 | Binary | Boolean | Date32 | Timestamp(..) | Float32 | Float64
            ) || declared.is_signed_integer()
                || matches!(declared, DataType::Decimal128(..))
        }
        (
            Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_),
            Binary | Utf8,
        ) => true,
        (Date32 | Date64, Date32 | Timestamp(..) | Utf8) => true,
        (Timestamp(..), Timestamp(..)) => true,
        (DataType::Time32(_) | DataType::Time64(_), _) => *declared == TIME_OF_DAY,
        (
            DataType::List(found)
            | DataType::LargeList(found)
            | DataType::ListView(found)
            | DataType::LargeListView(found)
            | DataType::FixedSizeList(found, _),
            DataType::List(wanted),
        ) => {
            // Structs are matched by name only where the kind of list stays.
            let same = matches!(file, DataType::List(_));
            nested_fits(found.data_type(), wanted.data_type())
                && (same || found.data_type() == wanted.data_type() || !has_struct(wanted.data_type()))
        }
        (DataType::Struct(found), DataType::Struct(wanted)) => fields_fit(found, wanted),
        _ => false,
    }
}

/// Within lists and structs nothing makes the zone's midnight of a date.
fn nested_fits(file: &DataType, declared: &DataType) -> bool {
    let is_date = matches!(file, DataType::Date32 | DataType::Date64);
    fits(file, declared) && !(is_date && matches!(declared, DataType::Timestamp(..)))
}

/// Fields are matched by name, and those that a file lacks are NULL. Without a common one, all would be.
fn fields_fit(found: &Fields, wanted: &Fields) -> bool {
    let mut common = 0;
    for field in wanted {
        if let Some((_, known)) = found.find(field.name()) {
            common += 1;
            if !nested_fits(known.data_type(), field.data_type()) {
                return false;
            }
        }
    }
    common > 0
}

fn has_struct(kind: &DataType) -> bool {
    match kind {
        DataType::Struct(_) => true,
        DataType::List(inner) => has_struct(inner.data_type()),
        _ => false,
    }
}

/// Whether the order of values and what is equal stay the same, so that statistics may be cast as well.
pub(super) fn keeps_order(file: &DataType, declared: &DataType) -> bool {
    use DataType::{Date32, Int8, Int16, Int32, Int64, Timestamp};
    use arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Second};
    file == declared
        || matches!(
            (file, declared),
            (Int8 | Int16 | Int32, Int64)
                | (Int8 | Int16, Int32)
                | (Int8, Int16)
                | (
                    Timestamp(Second | Millisecond | Microsecond, _),
                    Timestamp(Microsecond, _)
                )
                | (Date32, Timestamp(Microsecond, _))
                | (DataType::Time32(_) | DataType::Time64(_), DataType::Time64(_))
        )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, TimeUnit};

    use super::*;
    use crate::layout::ColumnType;

    fn list(kind: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("item", kind, true)))
    }

    #[test]
    fn every_type_of_files_is_read_as_what_it_is_inferred_as() {
        let types = [
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float16,
            DataType::Float64,
            DataType::Decimal64(12, 2),
            DataType::Null,
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::FixedSizeBinary(3),
            DataType::Date64,
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Timestamp(TimeUnit::Second, Some("+02:00".into())),
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            list(DataType::Int32),
            list(list(DataType::Utf8View)),
            DataType::LargeList(Arc::new(Field::new("item", DataType::Int32, true))),
            DataType::Struct(vec![Field::new("a", DataType::UInt8, true)].into()),
        ];
        for kind in types {
            let column = ColumnType::from_arrow(&kind).unwrap();
            assert!(fits(&kind, &column.arrow()), "{kind} as {column:?}");
        }
    }

    #[test]
    fn what_would_change_values_is_refused() {
        let refused = [
            (DataType::Float64, DataType::Int64),
            (DataType::Float64, DataType::Float32),
            (DataType::Float64, DataType::Decimal128(10, 2)),
            (DataType::Decimal128(10, 2), DataType::Int64),
            (DataType::Decimal128(10, 4), DataType::Decimal128(10, 2)),
            (DataType::Int64, DataType::Float32),
            (DataType::Int64, DataType::Boolean),
            (DataType::Int64, DataType::Date32),
            (DataType::Timestamp(TimeUnit::Second, None), DataType::Date32),
            (list(DataType::Utf8), DataType::Utf8),
            (DataType::Utf8, list(DataType::Utf8)),
            (list(DataType::Float64), list(DataType::Int64)),
            (
                DataType::Struct(vec![Field::new("a", DataType::Utf8, true)].into()),
                DataType::Utf8,
            ),
            (
                DataType::Struct(vec![Field::new("a", DataType::Utf8, true)].into()),
                DataType::Struct(vec![Field::new("b", DataType::Utf8, true)].into()),
            ),
        ];
        for (file, declared) in refused {
            assert!(!fits(&file, &declared), "{file} as {declared}");
        }
    }
}
