//! `instant_from_text(text, zone)`: a text as an instant, in a zone unless it names one itself. The form
//! that ends in `_ns` keeps nanoseconds, and the one that begins with `try_` gives NULL for what is no time.

use arrow::array::cast::AsArray;
use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{FixedOffset, NaiveDateTime, Utc};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::values::{collect, is_text, out_of_range};
use super::zone::{to_instant, zone};
use crate::casts::usual_time;
use crate::error::into_datafusion;
use crate::functions::function::function;

pub(crate) fn udfs() -> [ScalarUDF; 4] {
    [
        udf::<false, false>("instant_from_text"),
        udf::<true, false>("instant_from_text_ns"),
        udf::<false, true>("try_instant_from_text"),
        udf::<true, true>("try_instant_from_text_ns"),
    ]
}

fn udf<const NANOS: bool, const TRY: bool>(name: &'static str) -> ScalarUDF {
    function(
        name,
        &[],
        "instant_from_text(text, zone)",
        |given| {
            let [text, zone] = given else {
                return None;
            };
            let unit = match NANOS {
                true => TimeUnit::Nanosecond,
                false => TimeUnit::Microsecond,
            };
            let result = DataType::Timestamp(unit, Some("UTC".into()));
            (is_text(text) && is_text(zone)).then(|| (vec![DataType::Utf8; 2], result))
        },
        |args, result| {
            let (texts, names) = (args[0].as_string::<i32>(), args[1].as_string::<i32>());
            let mut known: Option<(&str, Tz)> = None;
            let values: Vec<Result<_>> = texts
                .iter()
                .zip(names)
                .map(|(text, name)| {
                    let (Some(text), Some(name)) = (text, name) else {
                        return Ok(None);
                    };
                    let zone = match known {
                        Some((of, zone)) if of == name => zone,
                        _ => zone(name)?,
                    };
                    known = Some((name, zone));
                    match instant(text, zone) {
                        Err(_) if TRY => Ok(None),
                        other => other.map(Some),
                    }
                })
                .collect();
            collect(values.into_iter(), result)
        },
    )
}

/// An hour east of UTC.
const EAST: Option<FixedOffset> = FixedOffset::east_opt(3600);

/// Reads a text; the result is in UTC.
fn instant(text: &str, zone: Tz) -> Result<NaiveDateTime> {
    let usual = usual_time(text);
    let text = usual.as_ref();
    let in_utc = string_to_datetime(&Utc, text)
        .map_err(|error| invalid(text, &error.to_string()))?
        .naive_utc();
    // A text that names its zone is the same instant wherever it is read.
    let names_zone = EAST
        .and_then(|east| string_to_datetime(&east, text).ok())
        .is_some_and(|east| east.naive_utc() == in_utc);
    match names_zone {
        true => Ok(in_utc),
        false => to_instant(in_utc, zone).ok_or_else(out_of_range),
    }
}

fn invalid(text: &str, detail: &str) -> datafusion::common::DataFusionError {
    let shown: String = text.chars().take(60).collect();
    into_datafusion(
        Error::new(
            SqlState::InvalidDatetimeFormat,
            format!("{shown:?} is no timestamp"),
        )
        .with_detail(detail.to_owned()),
    )
}
