//! Intervals added to times, as a calendar does: months first, then days, then the rest.

use arrow::datatypes::IntervalMonthDayNano;
use chrono::{Days, Months, NaiveDateTime, TimeDelta};
use datafusion::common::Result;

use super::values::{Times, out_of_range};

/// A local time some months and days later. A day that a month does not have is its last.
pub(super) fn add_days(local: NaiveDateTime, months: i32, days: i32) -> Option<NaiveDateTime> {
    let local = match months {
        0.. => local.checked_add_months(Months::new(months.unsigned_abs())),
        _ => local.checked_sub_months(Months::new(months.unsigned_abs())),
    }?;
    match days {
        0.. => local.checked_add_days(Days::new(u64::from(days.unsigned_abs()))),
        _ => local.checked_sub_days(Days::new(u64::from(days.unsigned_abs()))),
    }
}

/// A value of a column and an interval, as an instant in UTC.
pub(super) fn add(
    times: &Times,
    row: usize,
    interval: IntervalMonthDayNano,
) -> Result<Option<NaiveDateTime>> {
    times
        .instant(row)?
        .map(|instant| add_to(times, instant, interval))
        .transpose()
}

/// An instant and an interval: months and days are those of a column's zone, what is smaller has the same
/// length everywhere.
pub(super) fn add_to(
    times: &Times,
    mut instant: NaiveDateTime,
    interval: IntervalMonthDayNano,
) -> Result<NaiveDateTime> {
    if interval.months != 0 || interval.days != 0 {
        let local = times.to_local(instant)?;
        let local = add_days(local, interval.months, interval.days).ok_or_else(out_of_range)?;
        instant = times.to_instant(local)?;
    }
    instant
        .checked_add_signed(TimeDelta::nanoseconds(interval.nanoseconds))
        .ok_or_else(out_of_range)
}

/// The interval with the opposite sign.
pub(super) fn negate(interval: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano::new(
        interval.months.checked_neg()?,
        interval.days.checked_neg()?,
        interval.nanoseconds.checked_neg()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_end_where_they_end() {
        let check = |from: &str, months, days, to: &str| {
            let parse = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            assert_eq!(add_days(parse(from), months, days), Some(parse(to)), "{from}");
        };
        check("2024-01-31 12:00", 1, 0, "2024-02-29 12:00");
        check("2024-01-31 12:00", 1, 1, "2024-03-01 12:00");
        check("2024-03-31 12:00", -1, -1, "2024-02-28 12:00");
        check("2023-12-31 00:00", 14, 0, "2025-02-28 00:00");
    }
}
