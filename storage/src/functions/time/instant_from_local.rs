//! `instant_from_local(time, zone)`: the instant at which the clock of a zone shows a time. Plans hold it
//! where a date or a time without a zone meets instants.

use arrow::array::cast::AsArray;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::values::{Times, collect, is_text, out_of_range};
use super::zone::{to_instant, zone};
use crate::functions::function::function;

pub(crate) fn udf() -> ScalarUDF {
    function(
        "instant_from_local",
        &[],
        "instant_from_local(time, zone)",
        |given| {
            let [time, zone] = given else {
                return None;
            };
            let unit = match time {
                DataType::Date32 | DataType::Date64 => TimeUnit::Microsecond,
                DataType::Timestamp(unit, None) => *unit,
                _ => return None,
            };
            let result = DataType::Timestamp(unit, Some("UTC".into()));
            is_text(zone).then(|| (vec![time.clone(), DataType::Utf8], result))
        },
        |args, result| {
            let times = Times::new(&args[0])?;
            let names = args[1].as_string::<i32>();
            let mut known: Option<(&str, arrow::array::timezone::Tz)> = None;
            let values = names.iter().enumerate().map(|(row, name)| {
                let (Some(local), Some(name)) = (times.local(row)?, name) else {
                    return Ok(None);
                };
                let zone = match known {
                    Some((of, zone)) if of == name => zone,
                    _ => zone(name)?,
                };
                known = Some((name, zone));
                to_instant(local, zone).ok_or_else(out_of_range).map(Some)
            });
            collect(values.collect::<Vec<Result<_>>>().into_iter(), result)
        },
    )
}
