//! `make_timestamp(year, month, day, hour, minute, seconds)` and `make_timestamp(microseconds)`.

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::cast::AsArray;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::values::{collect, out_of_range, timestamp, to_naive};
use crate::error::into_datafusion;
use crate::functions::function::function;

pub(crate) fn udf() -> ScalarUDF {
    function(
        "make_timestamp",
        &[],
        "make_timestamp(year, month, day, hour, minute, seconds) or make_timestamp(microseconds)",
        |given| {
            let number = |kind: &DataType| kind.is_numeric() || kind.is_null();
            if !given.iter().all(number) || !matches!(given.len(), 1 | 6) {
                return None;
            }
            let mut kinds = vec![DataType::Int64; given.len()];
            if let Some(seconds) = kinds.get_mut(5) {
                *seconds = DataType::Float64;
            }
            Some((kinds, timestamp()))
        },
        |args, result| {
            let values = (0..args[0].len()).map(|row| match args.iter().any(|column| column.is_null(row)) {
                true => Ok(None),
                false => made(args, row).map(Some),
            });
            collect(values.collect::<Vec<_>>().into_iter(), result)
        },
    )
}

fn made(args: &[ArrayRef], row: usize) -> Result<NaiveDateTime> {
    let number = |index: usize| args[index].as_primitive::<Int64Type>().value(row);
    if args.len() == 1 {
        return to_naive(number(0), TimeUnit::Microsecond).ok_or_else(out_of_range);
    }
    let seconds = args[5].as_primitive::<Float64Type>().value(row);
    of_fields([number(0), number(1), number(2), number(3), number(4)], seconds).ok_or_else(|| {
        into_datafusion(Error::new(
            SqlState::DatetimeFieldOverflow,
            "a field of make_timestamp is out of range",
        ))
    })
}

fn of_fields([year, month, day, hour, minute]: [i64; 5], seconds: f64) -> Option<NaiveDateTime> {
    if !(0.0..60.0).contains(&seconds) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        u32::try_from(month).ok()?,
        u32::try_from(day).ok()?,
    )?;
    let time = date.and_hms_opt(u32::try_from(hour).ok()?, u32::try_from(minute).ok()?, 0)?;
    time.checked_add_signed(TimeDelta::microseconds((seconds * 1e6).round() as i64))
}
