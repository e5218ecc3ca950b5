//! `epoch(time)`, in seconds, and `epoch_ms`, `epoch_us`, `epoch_ns`: the time since 1970.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::values::{Times, as_time, collect, from_naive, out_of_range, timestamp, to_naive};
use crate::functions::function::function;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

pub(crate) fn udfs() -> [ScalarUDF; 4] {
    [
        function(
            "epoch",
            &[],
            "epoch(time or interval)",
            |given| match given {
                [DataType::Interval(_) | DataType::Duration(_)] => Some((vec![INTERVAL], DataType::Float64)),
                [time] => Some((vec![as_time(time)?], DataType::Float64)),
                _ => None,
            },
            |args, _| {
                if let DataType::Interval(_) = args[0].data_type() {
                    return seconds(&args[0]);
                }
                let times = Times::new(&args[0])?;
                let seconds: Float64Array = (0..times.len())
                    .map(|row| {
                        Ok(times.instant(row)?.map(|instant| {
                            let time = instant.and_utc();
                            time.timestamp() as f64 + f64::from(time.timestamp_subsec_nanos()) / 1e9
                        }))
                    })
                    .collect::<Result<_>>()?;
                Ok(Arc::new(seconds))
            },
        ),
        // As in DuckDB it reads numbers too.
        function(
            "epoch_ms",
            &[],
            "epoch_ms(time)",
            |given| match given {
                [number] if number.is_integer() => Some((vec![DataType::Int64], timestamp())),
                [time] => Some((vec![as_time(time)?], DataType::Int64)),
                _ => None,
            },
            |args, result| {
                if *args[0].data_type() == DataType::Int64 {
                    let numbers = args[0].as_primitive::<Int64Type>();
                    let values = numbers.iter().map(|value| {
                        value
                            .map(|value| to_naive(value, TimeUnit::Millisecond).ok_or_else(out_of_range))
                            .transpose()
                    });
                    return collect(values, result);
                }
                count(&args[0], TimeUnit::Millisecond)
            },
        ),
        function("epoch_us", &[], "epoch_us(time)", whole, |args, _| {
            count(&args[0], TimeUnit::Microsecond)
        }),
        function("epoch_ns", &[], "epoch_ns(time)", whole, |args, _| {
            count(&args[0], TimeUnit::Nanosecond)
        }),
    ]
}

fn whole(given: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    match given {
        [time] => Some((vec![as_time(time)?], DataType::Int64)),
        _ => None,
    }
}

fn count(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let times = Times::new(array)?;
    let values: Int64Array = (0..times.len())
        .map(|row| times.instant(row)?.map(|time| from_naive(time, unit)).transpose())
        .collect::<Result<_>>()?;
    Ok(Arc::new(values))
}

/// The seconds of intervals.
pub(super) fn seconds(intervals: &ArrayRef) -> Result<ArrayRef> {
    let intervals = arrow::compute::cast(intervals, &INTERVAL)?;
    let seconds: Float64Array = intervals
        .as_primitive::<IntervalMonthDayNanoType>()
        .iter()
        .map(|interval| interval.map(seconds_of))
        .collect();
    Ok(Arc::new(seconds))
}

/// As in PostgreSQL: a year has 365.25 days here, and a month that is left 30.
pub(super) fn seconds_of(interval: IntervalMonthDayNano) -> f64 {
    let (years, months) = (interval.months / 12, interval.months % 12);
    let days = f64::from(years) * 365.25 + f64::from(months) * 30.0 + f64::from(interval.days);
    days * 86_400.0 + interval.nanoseconds as f64 / 1e9
}
