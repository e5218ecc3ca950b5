//! `date_diff(part, from, to)`: how many boundaries of a part lie between two times, and
//! `date_sub(part, from, to)`: how many whole parts do.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDateTime, TimeDelta};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::calendar::add_days;
use super::part::Part;
use super::values::{Times, as_time, is_text, out_of_range};
use crate::functions::function::function;

pub(crate) fn date_diff() -> ScalarUDF {
    function(
        "date_diff",
        &["datediff"],
        "date_diff(part, from, to)",
        types,
        |args, _| rows(args, true, boundaries),
    )
}

pub(crate) fn date_sub() -> ScalarUDF {
    function(
        "date_sub",
        &["datesub"],
        "date_sub(part, from, to), or date_sub(time, interval)",
        |given| match given {
            [_, _] => super::date_add::types(given),
            _ => types(given),
        },
        |args, result| match args {
            [_, _] => super::date_add::subtracted(args, result),
            _ => rows(args, false, whole),
        },
    )
}

fn types(given: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let [part, from, to] = given else {
        return None;
    };
    let times = vec![DataType::Utf8, as_time(from)?, as_time(to)?];
    is_text(part).then_some((times, DataType::Int64))
}

/// `on_clock` says that a part begins where the clock of the zone says so, as hours do in zones of half hours.
fn rows(
    args: &[ArrayRef],
    on_clock: bool,
    count: fn(Part, NaiveDateTime, NaiveDateTime) -> Option<i64>,
) -> Result<ArrayRef> {
    let parts = args[0].as_string::<i32>();
    let (from, to) = (Times::new(&args[1])?, Times::new(&args[2])?);
    let mut known: Option<(&str, Part)> = None;
    let mut values = Vec::with_capacity(from.len());
    for row in 0..from.len() {
        if parts.is_null(row) || from.is_null(row) || to.is_null(row) {
            values.push(None);
            continue;
        }
        let name = parts.value(row);
        let part = match known {
            Some((of, part)) if of == name => part,
            _ => Part::parse(name)?,
        };
        known = Some((name, part));
        // What is shorter than a day has the same length everywhere, so that an hour that the clock skips
        // is none.
        let elapsed = part
            .nanos()
            .filter(|_| from.zone().is_some() && to.zone().is_some());
        let time = |times: &Times, row| match elapsed {
            Some(width) if on_clock => on_clock_of(times, row, width),
            Some(_) => times.instant(row),
            None => times.local(row),
        };
        let (first, last) = (time(&from, row)?, time(&to, row)?);
        let (Some(first), Some(last)) = (first, last) else {
            values.push(None);
            continue;
        };
        values.push(Some(count(part, first, last).ok_or_else(out_of_range)?));
    }
    Ok(Arc::new(Int64Array::from(values)))
}

/// An instant, later by the part of the zone's offset that is no multiple of a width.
fn on_clock_of(times: &Times, row: usize, width: i64) -> Result<Option<NaiveDateTime>> {
    let (Some(instant), Some(local)) = (times.instant(row)?, times.local(row)?) else {
        return Ok(None);
    };
    let offset = local.signed_duration_since(instant).num_seconds() * 1_000_000_000;
    let shift = TimeDelta::nanoseconds(offset.rem_euclid(width));
    instant
        .checked_add_signed(shift)
        .map(Some)
        .ok_or_else(out_of_range)
}

/// The boundaries of a part between two times; as in DuckDB, a week is seven of days.
fn boundaries(part: Part, from: NaiveDateTime, to: NaiveDateTime) -> Option<i64> {
    let crossed = |part: Part| Some(part.index(to)? - part.index(from)?);
    match part {
        Part::Week => Some(crossed(Part::Day)? / 7),
        part => crossed(part),
    }
}

/// The whole parts between two times.
fn whole(part: Part, from: NaiveDateTime, to: NaiveDateTime) -> Option<i64> {
    if let Some(width) = part.nanos().or(part.days().map(|days| days * 86_400_000_000_000)) {
        let elapsed = to.signed_duration_since(from);
        let nanos = i128::from(elapsed.num_seconds()) * 1_000_000_000 + i128::from(elapsed.subsec_nanos());
        return i64::try_from(nanos / i128::from(width)).ok();
    }
    let width = part.months()?;
    let mut months =
        i64::from(to.year() - from.year()) * 12 + i64::from(to.month()) - i64::from(from.month());
    let at = |months: i64| add_days(from, i32::try_from(months).ok()?, 0);
    // The day or the time of the last month may not be reached. Its last day counts for what it lacks.
    if months > 0 && at(months)? > to {
        months -= 1;
    } else if months < 0 && at(months)? < to {
        months += 1;
    }
    Some(months / width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_and_whole_parts() {
        let check = |part: &str, from: &str, to: &str, crossed: i64, passed: i64| {
            let parse = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            let part = Part::parse(part).unwrap();
            assert_eq!(
                boundaries(part, parse(from), parse(to)),
                Some(crossed),
                "{from} {to}"
            );
            assert_eq!(whole(part, parse(from), parse(to)), Some(passed), "{from} {to}");
        };
        check("day", "2024-01-01 23:00", "2024-01-02 01:00", 1, 0);
        check("day", "2024-01-02 01:00", "2024-01-01 23:00", -1, 0);
        check("month", "2024-01-31 00:00", "2024-03-01 00:00", 2, 1);
        check("month", "2024-01-31 00:00", "2024-02-29 00:00", 1, 1);
        check("year", "2023-12-31 00:00", "2024-01-01 00:00", 1, 0);
        check("year", "1969-06-01 00:00", "1971-06-01 00:00", 2, 2);
        check("quarter", "2024-03-31 00:00", "2024-04-01 00:00", 1, 0);
        check("week", "2024-02-04 00:00", "2024-02-05 00:00", 0, 0);
        check("week", "2024-02-04 12:00", "2024-02-11 11:00", 1, 0);
        check("hours", "2024-01-01 00:59", "2024-01-01 02:01", 2, 1);
        check("decade", "2019-01-01 00:00", "2020-01-01 00:00", 1, 0);
        check("century", "1999-01-01 00:00", "2000-01-01 00:00", 1, 0);
    }
}
