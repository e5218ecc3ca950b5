//! `dayname`, `monthname` and `last_day` of a time.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDateTime};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::format::{day_name, month_name};
use super::values::{Times, as_time, collect, out_of_range};
use crate::functions::function::function;

pub(crate) fn udfs() -> [ScalarUDF; 3] {
    [
        function("dayname", &[], "dayname(time)", to_text, |args, _| {
            names(&args[0], |time| day_name(time.weekday()))
        }),
        function("monthname", &[], "monthname(time)", to_text, |args, _| {
            names(&args[0], |time| month_name(time.month()))
        }),
        function(
            "last_day",
            &[],
            "last_day(time)",
            |given| match given {
                [time] => Some((vec![as_time(time)?], DataType::Date32)),
                _ => None,
            },
            |args, result| {
                let times = Times::new(&args[0])?;
                let values = (0..times.len()).map(|row| {
                    let Some(time) = times.local(row)? else {
                        return Ok(None);
                    };
                    let last = time.with_day(u32::from(time.num_days_in_month()));
                    last.ok_or_else(out_of_range).map(Some)
                });
                collect(values.collect::<Vec<_>>().into_iter(), result)
            },
        ),
    ]
}

fn to_text(given: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    match given {
        [time] => Some((vec![as_time(time)?], DataType::Utf8)),
        _ => None,
    }
}

fn names(
    array: &arrow::array::ArrayRef,
    name: fn(NaiveDateTime) -> &'static str,
) -> Result<arrow::array::ArrayRef> {
    let times = Times::new(array)?;
    let names = (0..times.len())
        .map(|row| Ok(times.local(row)?.map(name)))
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(names))
}
