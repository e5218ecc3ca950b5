//! `x AT TIME ZONE zone`, as the function `timezone(zone, x)` that it is in PostgreSQL: what the clock of a zone shows at
//! an instant, and the instant at which it shows a time without a zone.

use arrow::array::cast::AsArray;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::values::{Times, as_time, collect, is_text, out_of_range};
use super::zone::{to_instant, to_local, zone};
use crate::functions::function::function;

pub(crate) fn udf() -> ScalarUDF {
    function(
        "timezone",
        &[],
        "timezone(zone, time)",
        |given| {
            let [zone, time] = given else {
                return None;
            };
            let time = as_time(time)?;
            let result = match &time {
                DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, None),
                DataType::Timestamp(unit, None) => DataType::Timestamp(*unit, Some("UTC".into())),
                _ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            };
            is_text(zone).then(|| (vec![DataType::Utf8, time], result))
        },
        |args, result| {
            let names = args[0].as_string::<i32>();
            let times = Times::new(&args[1])?;
            let mut known: Option<(&str, Tz)> = None;
            let values = names.iter().enumerate().map(|(row, name)| {
                let (Some(time), Some(name)) = (times.instant(row)?, name) else {
                    return Ok(None);
                };
                let zone = match known {
                    Some((of, zone)) if of == name => zone,
                    _ => zone(name)?,
                };
                known = Some((name, zone));
                let moved = match times.zone() {
                    Some(_) => to_local(time, zone),
                    None => to_instant(time, zone),
                };
                moved.ok_or_else(out_of_range).map(Some)
            });
            collect(values.collect::<Vec<Result<_>>>().into_iter(), result)
        },
    )
}
