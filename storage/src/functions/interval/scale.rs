//! `interval_multiply(interval, number)` and `interval_divide(interval, number)`: `*` and `/` of intervals.
//! As in PostgreSQL, a part of a month becomes days and a part of a day becomes time, never the other way.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::key::INTERVAL;
use crate::error::into_datafusion;
use crate::functions::function::function;

const DAY: f64 = 86_400e9;

pub(crate) fn multiply() -> ScalarUDF {
    function(
        "interval_multiply",
        &[],
        "interval_multiply(interval, number)",
        |given| {
            let [interval, number] = given else {
                return None;
            };
            let number = match number {
                number if number.is_integer() => DataType::Int64,
                number if number.is_numeric() || number.is_null() => DataType::Float64,
                _ => return None,
            };
            is_interval(interval).then(|| (vec![INTERVAL, number], INTERVAL))
        },
        |args, _| match args[1].data_type() {
            DataType::Int64 => {
                let numbers = args[1].as_primitive::<Int64Type>();
                rows(
                    &args[0],
                    |row| !numbers.is_null(row),
                    |row, interval| times(interval, numbers.value(row)).ok_or_else(out_of_range),
                )
            }
            _ => {
                let numbers = args[1].as_primitive::<Float64Type>();
                rows(
                    &args[0],
                    |row| !numbers.is_null(row),
                    |row, interval| {
                        scale(interval, |part| part * numbers.value(row)).ok_or_else(out_of_range)
                    },
                )
            }
        },
    )
}

pub(crate) fn divide() -> ScalarUDF {
    function(
        "interval_divide",
        &[],
        "interval_divide(interval, number)",
        |given| {
            let [interval, number] = given else {
                return None;
            };
            let fits = is_interval(interval) && (number.is_numeric() || number.is_null());
            fits.then(|| (vec![INTERVAL, DataType::Float64], INTERVAL))
        },
        |args, _| {
            let numbers = args[1].as_primitive::<Float64Type>();
            rows(
                &args[0],
                |row| !numbers.is_null(row),
                |row, interval| {
                    let number = numbers.value(row);
                    if number == 0.0 {
                        return Err(into_datafusion(Error::new(
                            SqlState::DivisionByZero,
                            "division by zero",
                        )));
                    }
                    scale(interval, |part| part / number).ok_or_else(out_of_range)
                },
            )
        },
    )
}

fn is_interval(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Interval(_) | DataType::Duration(_) | DataType::Null
    )
}

fn rows(
    intervals: &ArrayRef,
    valid: impl Fn(usize) -> bool,
    value: impl Fn(usize, IntervalMonthDayNano) -> Result<IntervalMonthDayNano>,
) -> Result<ArrayRef> {
    let intervals: IntervalMonthDayNanoArray = intervals
        .as_primitive::<IntervalMonthDayNanoType>()
        .iter()
        .enumerate()
        .map(|(row, interval)| {
            interval
                .filter(|_| valid(row))
                .map(|interval| value(row, interval))
                .transpose()
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(intervals))
}

fn times(interval: IntervalMonthDayNano, number: i64) -> Option<IntervalMonthDayNano> {
    let part = |part: i32| i32::try_from(i64::from(part).checked_mul(number)?).ok();
    Some(IntervalMonthDayNano::new(
        part(interval.months)?,
        part(interval.days)?,
        interval.nanoseconds.checked_mul(number)?,
    ))
}

fn scale(interval: IntervalMonthDayNano, by: impl Fn(f64) -> f64) -> Option<IntervalMonthDayNano> {
    let months = by(f64::from(interval.months));
    let days = by(f64::from(interval.days));
    // To the millionth, so that a third of three is one.
    let round = |value: f64| (value * 1e6).round() / 1e6;
    let left_days = round((months - months.trunc()) * 30.0);
    let mut whole_days = days.trunc() + left_days.trunc();
    let mut left_nanos = ((days - days.trunc() + left_days - left_days.trunc()) * DAY / 1e3).round() * 1e3;
    if left_nanos.abs() >= DAY {
        whole_days += (left_nanos / DAY).trunc();
        left_nanos %= DAY;
    }
    let nanos = (by(to_float(interval.nanoseconds)) + left_nanos).round();
    Some(IntervalMonthDayNano::new(
        to_i32(months.trunc())?,
        to_i32(whole_days)?,
        to_i64(nanos)?,
    ))
}

fn to_float(value: i64) -> f64 {
    value as f64
}

fn to_i64(value: f64) -> Option<i64> {
    (value.is_finite() && value.abs() < 9.2e18).then_some(value as i64)
}

fn to_i32(value: f64) -> Option<i32> {
    i32::try_from(to_i64(value)?).ok()
}

fn out_of_range() -> DataFusionError {
    into_datafusion(Error::new(
        SqlState::DatetimeFieldOverflow,
        "interval is out of range",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_move_down_only() {
        let of = IntervalMonthDayNano::new;
        let hour = 3_600_000_000_000;
        assert_eq!(times(of(1, 2, 3), 2), Some(of(2, 4, 6)));
        assert_eq!(times(of(i32::MAX, 0, 0), 2), None);
        assert_eq!(times(of(0, 0, 1), i64::MAX), Some(of(0, 0, i64::MAX)));
        assert_eq!(scale(of(1, 0, 0), |part| part * 0.5), Some(of(0, 15, 0)));
        assert_eq!(scale(of(0, 1, 0), |part| part / 2.0), Some(of(0, 0, 12 * hour)));
        assert_eq!(
            scale(of(1, 1, hour), |part| part * 1.5),
            Some(of(1, 16, 13 * hour + hour / 2))
        );
        assert_eq!(
            scale(of(-1, 0, 0), |part| part / 4.0),
            Some(of(0, -7, -12 * hour))
        );
        assert_eq!(
            scale(of(0, 0, 48 * hour), |part| part * 2.0),
            Some(of(0, 0, 96 * hour))
        );
        assert_eq!(scale(of(1, 0, 0), |part| part * 1e300), None);
    }
}
