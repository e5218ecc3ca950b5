//! `age(later, earlier)`: the years, months, days and time between two times, as a calendar counts them.

use std::sync::Arc;

use arrow::array::IntervalMonthDayNanoArray;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use chrono::{Datelike, NaiveDateTime, Timelike};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::values::{Times, as_time, out_of_range};
use crate::functions::function::function;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

pub(crate) fn udf() -> ScalarUDF {
    function(
        "age",
        &[],
        "age(time) or age(later, earlier)",
        |given| match given {
            // A plan gives the day of today as another argument.
            [time] => Some((vec![as_time(time)?], INTERVAL)),
            [later, earlier] => Some((vec![as_time(later)?, as_time(earlier)?], INTERVAL)),
            _ => None,
        },
        |args, _| {
            let [later, earlier] = args else {
                return datafusion::common::exec_err!("age of one time is asked without a day of today");
            };
            let (later, earlier) = (Times::new(later)?, Times::new(earlier)?);
            let values: IntervalMonthDayNanoArray = (0..later.len())
                .map(|row| match (later.local(row)?, earlier.local(row)?) {
                    (Some(later), Some(earlier)) => age(later, earlier).ok_or_else(out_of_range).map(Some),
                    _ => Ok(None),
                })
                .collect::<Result<_>>()?;
            Ok(Arc::new(values))
        },
    )
}

fn age(later: NaiveDateTime, earlier: NaiveDateTime) -> Option<IntervalMonthDayNano> {
    if later < earlier {
        let age = age(earlier, later)?;
        return Some(IntervalMonthDayNano::new(
            -age.months,
            -age.days,
            -age.nanoseconds,
        ));
    }
    let nanos = |time: NaiveDateTime| {
        i64::from(time.num_seconds_from_midnight()) * 1_000_000_000
            + i64::from(time.nanosecond() % 1_000_000_000)
    };
    let mut months = (later.year() - earlier.year()) * 12 + i32::try_from(later.month()).ok()?
        - i32::try_from(earlier.month()).ok()?;
    let mut days = i32::try_from(later.day()).ok()? - i32::try_from(earlier.day()).ok()?;
    let mut rest = nanos(later) - nanos(earlier);
    if rest < 0 {
        rest += 86_400_000_000_000;
        days -= 1;
    }
    if days < 0 {
        // As in PostgreSQL: the days of the month that the earlier time is in.
        days += i32::from(earlier.num_days_in_month());
        months -= 1;
    }
    Some(IntervalMonthDayNano::new(months, days, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_postgresql_counts() {
        let check = |later: &str, earlier: &str, months, days, hours: i64| {
            let parse = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            let expected = IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000);
            assert_eq!(
                age(parse(later), parse(earlier)),
                Some(expected),
                "{later} {earlier}"
            );
        };
        check("2001-04-10 00:00", "1957-06-13 00:00", 43 * 12 + 9, 27, 0);
        check("2024-03-01 00:00", "2024-01-31 00:00", 1, 1, 0);
        check("2024-03-01 12:00", "2024-02-28 13:00", 0, 1, 23);
        check("2024-01-31 00:00", "2024-03-01 00:00", -1, -1, 0);
        check("2024-01-01 00:00", "2024-01-01 00:00", 0, 0, 0);
    }
}
