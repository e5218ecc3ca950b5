//! `date_trunc(part, time)` of timestamps of any year, in zones whose clock changes, and in a zone that a third
//! argument names. DataFusion's goes through nanoseconds, which end in 2262.

use arrow::array::cast::AsArray;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ScalarUDF;

use super::part::Part;
use super::values::{Times, collect, from_naive, is_text, out_of_range, per_second, to_naive};
use super::wrapped::wrap;
use super::zone::{begin_before, offset, to_local, zone};

pub(crate) fn udf() -> ScalarUDF {
    wrap(
        datafusion::functions::datetime::date_trunc(),
        |_, kinds| match kinds {
            [part, DataType::Timestamp(_, _)] if is_text(part) => Some(kinds[1].clone()),
            [part, DataType::Timestamp(_, _), zone] if is_text(part) && is_text(zone) => {
                Some(kinds[1].clone())
            }
            _ => None,
        },
        |args, result| {
            let parts = cast(&args[0], &DataType::Utf8)?;
            let parts = parts.as_string::<i32>();
            let names = match args.get(2) {
                Some(names) => Some(cast(names, &DataType::Utf8)?),
                None => None,
            };
            match &names {
                None if is_utc(result) => by_number(parts, &args[1], result),
                names => {
                    let names = names.as_ref().map(|names| names.as_string::<i32>());
                    by_clock(parts, &Times::new(&args[1])?, names, result)
                }
            }
        },
    )
}

fn is_utc(kind: &DataType) -> bool {
    match kind {
        DataType::Timestamp(_, zone) => zone
            .as_deref()
            .is_none_or(|zone| matches!(zone, "UTC" | "+00:00")),
        _ => false,
    }
}

/// The part that a column of names names in each row.
#[derive(Default)]
struct Parts<'a>(Option<(&'a str, Part)>);

impl<'a> Parts<'a> {
    fn find(&mut self, name: &'a str) -> Result<Part> {
        match self.0 {
            Some((known, part)) if known == name => Ok(part),
            _ => {
                let part = Part::parse(name)?;
                self.0 = Some((name, part));
                Ok(part)
            }
        }
    }
}

/// In UTC most parts have one length, so that there is nothing to convert.
fn by_number(names: &StringArray, times: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, _) = result else {
        return internal_err!("{result} is no type of timestamps");
    };
    let values = cast(times, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    let mut parts = Parts::default();
    let begins = (0..values.len())
        .map(|row| {
            if values.is_null(row) || names.is_null(row) {
                return Ok(None);
            }
            let (part, value) = (parts.find(names.value(row))?, values.value(row));
            let begin = match length(part, *unit) {
                Some((length, first)) => value
                    .checked_sub(first)
                    .and_then(|past| value.checked_sub(past.rem_euclid(length))),
                None => match to_naive(value, *unit).and_then(|time| cut(part, time)) {
                    Some(time) => Some(from_naive(time, *unit)?),
                    None => None,
                },
            };
            begin.ok_or_else(out_of_range).map(Some)
        })
        .collect::<Result<Int64Array>>()?;
    Ok(cast(&begins, result)?)
}

/// How long a part is, and where one of them begins, in a unit; none of parts that have several lengths.
fn length(part: Part, unit: TimeUnit) -> Option<(i64, i64)> {
    const DAY: i64 = 86_400;
    let second = per_second(unit);
    match part {
        Part::Day => Some((DAY * second, 0)),
        // 1970-01-05 was a Monday.
        Part::Week => Some((7 * DAY * second, 4 * DAY * second)),
        part => {
            let nanos = i128::from(part.nanos()?);
            let length = i64::try_from(nanos * i128::from(second) / 1_000_000_000).ok()?;
            // What is shorter than a unit is never cut.
            Some((length.max(1), 0))
        }
    }
}

/// By the clock of a zone: the times' own, or that which a column names.
fn by_clock(
    parts: &StringArray,
    times: &Times,
    names: Option<&StringArray>,
    result: &DataType,
) -> Result<ArrayRef> {
    let mut known = Parts::default();
    let values = (0..times.len()).map(|row| {
        let (Some(instant), false) = (times.instant(row)?, parts.is_null(row)) else {
            return Ok(None);
        };
        let part = known.find(parts.value(row))?;
        let zone = match names {
            Some(names) if names.is_null(row) => return Ok(None),
            Some(names) => Some(zone(names.value(row))?),
            None => times.zone(),
        };
        begin(part, instant, zone).ok_or_else(out_of_range).map(Some)
    });
    collect(values, result)
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
