//! `array_sum(list)`: the exact sum of numbers that are exact. DataFusion's adds up floats.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, Float64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::function::function;
use crate::error::into_datafusion;

pub(super) fn array_sum() -> ScalarUDF {
    function(
        "array_sum",
        &["list_sum"],
        "array_sum(list)",
        types,
        |args, result| {
            let lists = args[0].as_list::<i32>();
            let ranges = lists.value_offsets().windows(2).enumerate().map(|(row, ends)| {
                let valid = lists.is_valid(row);
                valid.then(|| (usize::try_from(ends[0]), usize::try_from(ends[1])))
            });
            let ranges: Vec<_> = ranges
                .map(|ends| match ends {
                    Some((Ok(start), Ok(end))) => start..end,
                    _ => 0..0,
                })
                .collect();
            if *result == DataType::Float64 {
                let values = lists.values().as_primitive::<Float64Type>();
                let sums = ranges.into_iter().map(|range| {
                    let known: Vec<f64> = range
                        .filter(|index| values.is_valid(*index))
                        .map(|index| values.value(index))
                        .collect();
                    (!known.is_empty()).then(|| known.iter().sum::<f64>())
                });
                return Ok(Arc::new(sums.collect::<Float64Array>()));
            }
            let values = cast(lists.values(), &wide(lists.values().data_type()))?;
            let values = values.as_primitive::<Decimal128Type>();
            let sums = ranges.into_iter().map(|range| {
                let mut known = range
                    .filter(|index| values.is_valid(*index))
                    .map(|index| values.value(index));
                let Some(first) = known.next() else {
                    return Ok(None);
                };
                known
                    .try_fold(first, i128::checked_add)
                    .map(Some)
                    .ok_or_else(out_of_range)
            });
            let sums: Vec<Option<i128>> = sums.collect::<Result<_>>()?;
            match result {
                DataType::Int64 => {
                    let narrow = sums.into_iter().map(|sum| {
                        sum.map(|sum| i64::try_from(sum).map_err(|_| out_of_range()))
                            .transpose()
                    });
                    Ok(Arc::new(narrow.collect::<Result<Int64Array>>()?))
                }
                other => {
                    let sums: Decimal128Array = sums.into_iter().collect();
                    let sums: ArrayRef = Arc::new(sums.with_data_type(other.clone()));
                    Ok(sums)
                }
            }
        },
    )
}

/// Lists of exact numbers have exact sums, all others sums of floats.
fn types(given: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let [DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)] = given
    else {
        return None;
    };
    let (item, sum) = match field.data_type() {
        DataType::Null => (DataType::Int64, DataType::Int64),
        kind if kind.is_integer() => (kind.clone(), DataType::Int64),
        kind @ DataType::Decimal128(_, _) => (kind.clone(), wide(kind)),
        kind if kind.is_numeric() => (DataType::Float64, DataType::Float64),
        _ => return None,
    };
    let list = DataType::List(Arc::new(Field::new_list_field(item, true)));
    Some((vec![list], sum))
}

/// The decimals that hold sums of a type.
fn wide(kind: &DataType) -> DataType {
    match kind {
        DataType::Decimal128(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
        _ => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
    }
}

fn out_of_range() -> DataFusionError {
    into_datafusion(Error::new(
        SqlState::NumericValueOutOfRange,
        "the sum of a list is out of range",
    ))
}
