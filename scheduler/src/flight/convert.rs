//! Bound values in the types that a statement declares for its parameters.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use watershed_core::{Error, Result, SqlState};

use super::engine::Keeps;

/// The values of a parameter, converted to the type that is wanted unless they keep their own.
pub(super) fn own_or_converted(
    number: usize,
    column: &ArrayRef,
    wanted: &DataType,
    keeps: Keeps,
) -> Result<ArrayRef> {
    let column = without_union(number, column)?;
    let given = super::wire::plain(column.data_type());
    match keeps {
        Keeps::None => value_column(number, &column, wanted),
        Keeps::Own if given == DataType::Utf8 => value_column(number, &column, wanted),
        Keeps::Own => cast(&column, &given).map_err(|error| {
            Error::new(
                SqlState::DatatypeMismatch,
                format!("the value of parameter ${number} cannot be read"),
            )
            .with_detail(error.to_string())
        }),
        Keeps::LargerNumbers => match value_column(number, &column, wanted) {
            Err(_) if given.is_numeric() && wanted.is_numeric() => Ok(column),
            converted => converted,
        },
    }
}

fn value_column(number: usize, column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    let column = without_union(number, column)?;
    if column.data_type() == wanted || *wanted == DataType::Null {
        return Ok(column);
    }
    let mismatch = |detail: String| {
        let code = match column.data_type() {
            given if given.is_numeric() => SqlState::NumericValueOutOfRange,
            _ => SqlState::InvalidTextRepresentation,
        };
        Error::new(
            code,
            format!("the value of parameter ${number} does not fit its type {wanted}"),
        )
        .with_detail(detail)
    };
    let converted = cast(&column, wanted).map_err(|error| mismatch(error.to_string()))?;
    // A float as a decimal is rounded as everywhere; all else that would be cut is an error.
    let given = column.data_type();
    if given.is_floating() && wanted.is_integer()
        || is_decimal(given) && (wanted.is_integer() || is_decimal(wanted))
    {
        let back = cast(&converted, given).map_err(|error| mismatch(error.to_string()))?;
        if back.as_ref() != column.as_ref() {
            return Err(mismatch("it would lose its fraction".to_owned()));
        }
    }
    // A time without a zone is one of the session's, which the statement has when it runs.
    if needs_zone(given, wanted) {
        return match given {
            DataType::Date32 | DataType::Timestamp(_, _) => Ok(column),
            _ => cast(&column, &DataType::Utf8).map_err(|error| mismatch(error.to_string())),
        };
    }
    Ok(converted)
}

/// Whether the session's zone decides about a value's conversion.
fn needs_zone(given: &DataType, wanted: &DataType) -> bool {
    match (given, wanted) {
        // Beside a date, the time of day counts.
        (DataType::Timestamp(_, _), DataType::Date32) => true,
        (DataType::Timestamp(_, None) | DataType::Date32, DataType::Timestamp(_, Some(_))) => true,
        (given, DataType::Timestamp(_, Some(_))) => super::wire::plain(given) == DataType::Utf8,
        _ => false,
    }
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal32(_, _)
            | DataType::Decimal64(_, _)
            | DataType::Decimal128(_, _)
            | DataType::Decimal256(_, _)
    )
}

fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, to, &options)
}

/// Some drivers send every value as a union of all types they know.
fn without_union(number: usize, column: &ArrayRef) -> Result<ArrayRef> {
    if !matches!(column.data_type(), DataType::Union(_, _)) {
        return Ok(Arc::clone(column));
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::new(
            SqlState::DatatypeMismatch,
            format!("the values of parameter ${number} are not of one type"),
        )
        .with_detail(error.to_string())
    };
    let mut values = (0..column.len())
        .map(|row| ScalarValue::try_from_array(column, row).map(inner))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(&error))?;
    let data_type = values
        .iter()
        .map(ScalarValue::data_type)
        .find(|data_type| *data_type != DataType::Null)
        .unwrap_or(DataType::Null);
    for value in &mut values {
        if value.data_type() != data_type {
            *value = value.cast_to(&data_type).map_err(|error| unreadable(&error))?;
        }
    }
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(&data_type));
    }
    ScalarValue::iter_to_array(values).map_err(|error| unreadable(&error))
}

fn inner(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Union(Some((_, value)), _, _) => inner(*value),
        ScalarValue::Union(None, _, _) => ScalarValue::Null,
        // A union has no NULLs of its own: those who need one write a NULL of whatever type.
        value if value.is_null() => ScalarValue::Null,
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, NullArray, StringArray,
        TimestampSecondArray, UnionArray,
    };
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::{Field, TimeUnit, UnionFields};

    use super::*;

    fn check(given: ArrayRef, wanted: &DataType, expected: Result<ArrayRef, SqlState>) {
        let result = value_column(1, &given, wanted).map_err(|error| error.code());
        assert_eq!(result, expected, "{given:?} as {wanted}");
    }

    #[test]
    fn values_take_the_parameters_type() {
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        check(
            Arc::clone(&ints),
            &DataType::Int32,
            Ok(Arc::new(Int32Array::from(vec![Some(1), None]))),
        );
        check(
            Arc::new(Int64Array::from(vec![1 << 40])),
            &DataType::Int32,
            Err(SqlState::NumericValueOutOfRange),
        );
        check(
            Arc::new(NullArray::new(1)),
            &DataType::Utf8,
            Ok(Arc::new(StringArray::from(vec![None::<&str>]))),
        );
        check(
            Arc::new(StringArray::from(vec!["x"])),
            &DataType::Int32,
            Err(SqlState::InvalidTextRepresentation),
        );
        check(Arc::clone(&ints), &DataType::Null, Ok(ints));
    }

    #[test]
    fn a_fraction_is_not_lost_silently() {
        let float = |value| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        check(
            float(2.0),
            &DataType::Int32,
            Ok(Arc::new(Int32Array::from(vec![2]))),
        );
        check(
            float(1.5),
            &DataType::Int32,
            Err(SqlState::NumericValueOutOfRange),
        );
        let decimal = |value, scale| {
            let array = Decimal128Array::from(vec![value]).with_precision_and_scale(10, scale);
            Arc::new(array.unwrap()) as ArrayRef
        };
        check(float(0.1), &DataType::Decimal128(10, 2), Ok(decimal(10, 2)));
        check(decimal(150, 2), &DataType::Decimal128(10, 1), Ok(decimal(15, 1)));
        check(
            decimal(155, 2),
            &DataType::Decimal128(10, 1),
            Err(SqlState::NumericValueOutOfRange),
        );
    }

    #[test]
    fn times_without_a_zone_wait_for_the_sessions() {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["2026-07-01 00:30:00"]));
        let day: ArrayRef = Arc::new(Date32Array::from(vec![7]));
        let local: ArrayRef = Arc::new(TimestampSecondArray::from(vec![7]));
        for value in [&text, &day, &local] {
            check(Arc::clone(value), &instant, Ok(Arc::clone(value)));
        }
        let view = cast(&text, &DataType::Utf8View).unwrap();
        check(view, &instant, Ok(text));
        let zoned: ArrayRef = Arc::new(TimestampSecondArray::from(vec![7]).with_timezone("+02:00"));
        check(Arc::clone(&zoned), &DataType::Date32, Ok(Arc::clone(&zoned)));
        check(Arc::clone(&zoned), &instant, Ok(cast(&zoned, &instant).unwrap()));
        let unreadable = Arc::new(StringArray::from(vec!["soon"]));
        check(unreadable, &instant, Err(SqlState::InvalidTextRepresentation));
    }

    #[test]
    fn unions_are_opened() {
        let fields = UnionFields::from_fields([
            Field::new("i", DataType::Int64, true),
            Field::new("s", DataType::Utf8, true),
        ]);
        let union = |types: Vec<i8>, offsets: Vec<i32>| {
            let children: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(vec![Some(7), None])),
                Arc::new(StringArray::from(vec!["8"])),
            ];
            let offsets = Some(ScalarBuffer::from(offsets));
            Arc::new(UnionArray::try_new(fields.clone(), types.into(), offsets, children).unwrap())
                as ArrayRef
        };
        check(
            union(vec![0, 0], vec![0, 1]),
            &DataType::Int32,
            Ok(Arc::new(Int32Array::from(vec![Some(7), None]))),
        );
        check(
            union(vec![0, 1], vec![0, 0]),
            &DataType::Null,
            Ok(Arc::new(Int64Array::from(vec![7, 8]))),
        );
    }
}
