//! `date_part(part, time)`, which is also `extract(part FROM time)`: the parts that PostgreSQL and DuckDB
//! know and DataFusion does not.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDateTime, Timelike};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::format::julian;
use super::part::unknown;
use super::span;
use super::values::Times;
use super::wrapped::wrap;
use super::zone::offset;

pub(crate) fn udf() -> ScalarUDF {
    wrap(
        datafusion::functions::datetime::date_part(),
        |part, kinds| {
            match kinds.get(1)? {
                DataType::Interval(_) => return span::of_interval(part?),
                // DataFusion does not cut it into days, hours and minutes.
                DataType::Duration(_) => return Some(span::result(part)),
                _ => {}
            }
            let time = matches!(kinds.get(1)?, DataType::Timestamp(_, _) | DataType::Date32);
            let found = Extra::find(part?)?;
            time.then_some(match found {
                Extra::Julian => DataType::Float64,
                _ => DataType::Int64,
            })
        },
        |args, result| {
            if let DataType::Interval(_) | DataType::Duration(_) = args[1].data_type() {
                return span::parts(&args[0], &args[1], result);
            }
            let parts = args[0].as_string::<i32>();
            let times = Times::new(&args[1])?;
            let values: Vec<Option<f64>> = (0..times.len())
                .map(|row| {
                    let (Some(local), false) = (times.local(row)?, parts.is_null(row)) else {
                        return Ok(None);
                    };
                    let name = parts.value(row);
                    let part = Extra::find(name).ok_or_else(|| unknown(name))?;
                    part.value(local, &times, row).map(Some)
                })
                .collect::<Result<_>>()?;
            Ok(match result {
                DataType::Float64 => Arc::new(Float64Array::from(values)),
                // Whole numbers, and small ones.
                _ => Arc::new(
                    values
                        .into_iter()
                        .map(|value| value.map(|value| value as i64))
                        .collect::<Int64Array>(),
                ),
            })
        },
    )
}

/// A part that is ours.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Extra {
    Millennium,
    Century,
    Decade,
    Era,
    Julian,
    YearWeek,
    DayOfWeek,
    DayOfMonth,
    DayOfYear,
    WeekOfYear,
    Timezone,
    TimezoneHour,
    TimezoneMinute,
}

impl Extra {
    fn find(name: &str) -> Option<Self> {
        Some(match name.trim_matches(['\'', '"']).to_lowercase().as_str() {
            "millennium" | "millennia" | "mil" | "mils" => Self::Millennium,
            "century" | "centuries" | "cent" | "c" => Self::Century,
            "decade" | "decades" | "dec" | "decs" => Self::Decade,
            "era" => Self::Era,
            "julian" => Self::Julian,
            "yearweek" => Self::YearWeek,
            "dayofweek" | "weekday" => Self::DayOfWeek,
            "dayofmonth" => Self::DayOfMonth,
            "dayofyear" => Self::DayOfYear,
            "weekofyear" => Self::WeekOfYear,
            "timezone" => Self::Timezone,
            "timezone_hour" => Self::TimezoneHour,
            "timezone_minute" => Self::TimezoneMinute,
            _ => return None,
        })
    }

    fn value(self, local: NaiveDateTime, times: &Times, row: usize) -> Result<f64> {
        let year = i64::from(local.year());
        // Years before the first are counted down from it.
        let era = |width: i64| match year > 0 {
            true => (year + width - 1).div_euclid(width),
            false => -((width - year).div_euclid(width)),
        };
        let ahead = match (times.zone(), times.instant(row)?) {
            (Some(zone), Some(instant)) => i64::from(offset(instant, zone)),
            _ => 0,
        };
        let whole = match self {
            Self::Millennium => era(1000),
            Self::Century => era(100),
            Self::Decade => year.div_euclid(10),
            Self::Era => i64::from(year > 0),
            Self::YearWeek => {
                let week = local.iso_week();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Self::DayOfWeek => i64::from(local.weekday().num_days_from_sunday()),
            Self::DayOfMonth => i64::from(local.day()),
            Self::DayOfYear => i64::from(local.ordinal()),
            Self::WeekOfYear => i64::from(local.iso_week().week()),
            Self::Timezone => ahead,
            Self::TimezoneHour => ahead / 3600,
            Self::TimezoneMinute => ahead / 60 % 60,
            Self::Julian => {
                let time = local.time();
                let seconds =
                    f64::from(time.num_seconds_from_midnight()) + f64::from(time.nanosecond()) / 1e9;
                return Ok(julian(local.date()) as f64 + seconds / 86_400.0);
            }
        };
        Ok(whole as f64)
    }
}
