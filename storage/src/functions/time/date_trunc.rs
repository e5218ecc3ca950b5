//! `date_trunc(part, time)` beyond what DataFusion has: in zones whose clock changes, in decades and
//! longer, and in a zone that a third argument names.

use arrow::array::Array;
use arrow::array::cast::AsArray;
use arrow::array::timezone::Tz;
use arrow::datatypes::DataType;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::part::Part;
use super::values::{Times, collect, is_text, out_of_range};
use super::wrapped::wrap;
use super::zone::{begin_before, offset, to_local, zone};

/// What DataFusion calls parts.
const NATIVE: [&str; 10] = [
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
];

pub(crate) fn udf() -> ScalarUDF {
    wrap(
        datafusion::functions::datetime::date_trunc(),
        |part, kinds| {
            let DataType::Timestamp(_, own) = kinds.get(1)? else {
                return None;
            };
            let name = part?;
            let part = Part::find(name)?;
            let long = matches!(
                part,
                Part::Decade | Part::Century | Part::Millennium | Part::Nanosecond
            );
            let zoned = own.as_deref().is_some_and(|own| own != "UTC");
            let named = match kinds.get(2) {
                Some(third) => is_text(third),
                None => false,
            };
            let known = NATIVE.contains(&name.to_lowercase().as_str());
            (long || zoned || named || !known).then(|| kinds[1].clone())
        },
        |args, result| {
            let parts = args[0].as_string::<i32>();
            let times = Times::new(&args[1])?;
            let names = args.get(2).map(|names| names.as_string::<i32>());
            let mut known: Option<(&str, Part)> = None;
            let values = (0..times.len()).map(|row| {
                let (Some(instant), false) = (times.instant(row)?, parts.is_null(row)) else {
                    return Ok(None);
                };
                let name = parts.value(row);
                let part = match known {
                    Some((of, part)) if of == name => part,
                    _ => Part::parse(name)?,
                };
                known = Some((name, part));
                let zone = match names {
                    Some(names) if names.is_null(row) => return Ok(None),
                    Some(names) => Some(zone(names.value(row))?),
                    None => times.zone(),
                };
                begin(part, instant, zone).ok_or_else(out_of_range).map(Some)
            });
            collect(values.collect::<Vec<Result<_>>>().into_iter(), result)
        },
    )
}

/// The begin of the part that an instant is in, as an instant.
fn begin(part: Part, instant: NaiveDateTime, zone: Option<Tz>) -> Option<NaiveDateTime> {
    let Some(zone) = zone else {
        return cut(part, instant);
    };
    let local = cut(part, to_local(instant, zone)?)?;
    match part.nanos() {
        // Within a day the clock's offset stays the instant's.
        Some(_) => local.checked_sub_signed(chrono::TimeDelta::seconds(i64::from(offset(instant, zone)))),
        None => begin_before(local, instant, zone),
    }
}

fn cut(part: Part, local: NaiveDateTime) -> Option<NaiveDateTime> {
    if let Some(width) = part.nanos() {
        let time = local.and_utc();
        let nanos = i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos());
        let begin = nanos - nanos.rem_euclid(i128::from(width));
        let seconds = i64::try_from(begin.div_euclid(1_000_000_000)).ok()?;
        let rest = u32::try_from(begin.rem_euclid(1_000_000_000)).ok()?;
        return Some(DateTime::from_timestamp(seconds, rest)?.naive_utc());
    }
    let year = local.year();
    let first = |year: i32, month: u32| NaiveDate::from_ymd_opt(year, month, 1);
    let date = match part {
        Part::Day => Some(local.date()),
        Part::Week => local.date().checked_sub_days(chrono::Days::new(u64::from(
            local.weekday().num_days_from_monday(),
        ))),
        Part::Month => first(year, local.month()),
        Part::Quarter => first(year, local.month0() / 3 * 3 + 1),
        Part::Decade => first(year.div_euclid(10) * 10, 1),
        Part::Century => first((year - 1).div_euclid(100) * 100 + 1, 1),
        Part::Millennium => first((year - 1).div_euclid(1000) * 1000 + 1, 1),
        _ => first(year, 1),
    };
    Some(date?.and_time(NaiveTime::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins() {
        let check = |part: &str, name: &str, instant: &str, expected: &str| {
            let parse = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            let part = Part::parse(part).unwrap();
            let zone = zone(name).unwrap();
            assert_eq!(
                begin(part, parse(instant), Some(zone)),
                Some(parse(expected)),
                "{part:?} {name} {instant}"
            );
        };
        check("day", "Europe/Berlin", "2024-03-31 10:00", "2024-03-30 23:00");
        check("month", "Europe/Berlin", "2024-04-10 10:00", "2024-03-31 22:00");
        // Both of the two hours that show 02:xx begin where they do.
        check("hour", "Europe/Berlin", "2024-10-27 00:30", "2024-10-27 00:00");
        check("hour", "Europe/Berlin", "2024-10-27 01:30", "2024-10-27 01:00");
        check("hour", "Asia/Kolkata", "2024-01-01 10:10", "2024-01-01 09:30");
        // A day whose midnight is skipped, and one whose midnight there is twice.
        check("day", "America/Sao_Paulo", "2018-11-04 12:00", "2018-11-04 03:00");
        check("day", "America/Havana", "2024-11-03 04:30", "2024-11-03 04:00");
        check("decade", "UTC", "2029-12-31 00:00", "2020-01-01 00:00");
        check("century", "UTC", "2000-12-31 00:00", "1901-01-01 00:00");
        check("week", "UTC", "2024-02-04 12:00", "2024-01-29 00:00");
    }
}
