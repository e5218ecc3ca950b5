//! `date_add(time, interval)` and `date_sub(time, interval)`: what `+` and `-` give in a zone. Months and
//! days are those of the zone that the timestamp's type names.

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, IntervalMonthDayNanoType};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::calendar::{add, negate};
use super::values::{Times, as_interval, as_time, collect, out_of_range, timestamp};
use crate::functions::function::function;

pub(crate) fn udf() -> ScalarUDF {
    function(
        "date_add",
        &[],
        "date_add(time, interval)",
        types,
        |args, result| {
            let times = Times::new(&args[0])?;
            let intervals = args[1].as_primitive::<IntervalMonthDayNanoType>();
            let values = (0..times.len()).map(|row| match intervals.is_null(row) {
                true => Ok(None),
                false => add(&times, row, intervals.value(row)),
            });
            collect(values.collect::<Vec<Result<_>>>().into_iter(), result)
        },
    )
}

/// Under a name of its own, as `date_sub` with three arguments is another function.
pub(crate) fn subtract() -> ScalarUDF {
    function(
        "date_subtract",
        &[],
        "date_subtract(time, interval)",
        types,
        subtracted,
    )
}

pub(super) fn subtracted(args: &[ArrayRef], result: &DataType) -> Result<ArrayRef> {
    let times = Times::new(&args[0])?;
    let intervals = args[1].as_primitive::<IntervalMonthDayNanoType>();
    let values = (0..times.len()).map(|row| match intervals.is_null(row) {
        true => Ok(None),
        false => add(
            &times,
            row,
            negate(intervals.value(row)).ok_or_else(out_of_range)?,
        ),
    });
    collect(values.collect::<Vec<Result<_>>>().into_iter(), result)
}

pub(super) fn types(given: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let [time, interval] = given else {
        return None;
    };
    let (time, interval) = (as_time(time)?, as_interval(interval)?);
    let result = match &time {
        DataType::Date32 => timestamp(),
        time => time.clone(),
    };
    Some((vec![time, interval], result))
}
