//! Names of the parts of a time: `year`, `months`, `ms`.

use chrono::{Datelike, NaiveDateTime};
use datafusion::common::Result;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

/// A part that times are counted in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    Millennium,
    Century,
    Decade,
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Part {
    pub(super) fn find(name: &str) -> Option<Self> {
        Some(match name.trim_matches(['\'', '"']).to_lowercase().as_str() {
            "millennium" | "millennia" | "millenniums" | "mil" | "mils" => Self::Millennium,
            "century" | "centuries" | "cent" | "c" => Self::Century,
            "decade" | "decades" | "dec" | "decs" => Self::Decade,
            "year" | "years" | "yr" | "yrs" | "y" => Self::Year,
            "quarter" | "quarters" | "qtr" => Self::Quarter,
            "month" | "months" | "mon" | "mons" => Self::Month,
            "week" | "weeks" | "w" => Self::Week,
            "day" | "days" | "d" => Self::Day,
            "hour" | "hours" | "hr" | "hrs" | "h" => Self::Hour,
            "minute" | "minutes" | "min" | "mins" | "m" => Self::Minute,
            "second" | "seconds" | "sec" | "secs" | "s" => Self::Second,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Self::Millisecond,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => Self::Microsecond,
            "nanosecond" | "nanoseconds" | "ns" => Self::Nanosecond,
            _ => return None,
        })
    }

    pub(super) fn parse(name: &str) -> Result<Self> {
        Self::find(name).ok_or_else(|| unknown(name))
    }

    /// The months of a part that has some number of these.
    pub(super) fn months(self) -> Option<i64> {
        Some(match self {
            Self::Millennium => 12_000,
            Self::Century => 1_200,
            Self::Decade => 120,
            Self::Year => 12,
            Self::Quarter => 3,
            Self::Month => 1,
            _ => return None,
        })
    }

    pub(super) fn days(self) -> Option<i64> {
        match self {
            Self::Week => Some(7),
            Self::Day => Some(1),
            _ => None,
        }
    }

    /// The length of a part that is shorter than a day.
    pub(super) fn nanos(self) -> Option<i64> {
        Some(match self {
            Self::Hour => 3_600_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Second => 1_000_000_000,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
            _ => return None,
        })
    }

    /// The number of the part that a time is in. As DuckDB counts
    /// them, centuries begin with the year whose last digits are zeros.
    pub(super) fn index(self, time: NaiveDateTime) -> Option<i64> {
        let year = i64::from(time.year());
        let days = i64::from(time.date().num_days_from_ce());
        Some(match self {
            Self::Millennium => year.div_euclid(1000),
            Self::Century => year.div_euclid(100),
            Self::Decade => year.div_euclid(10),
            Self::Year => year,
            Self::Quarter => year * 4 + i64::from(time.month0() / 3),
            Self::Month => year * 12 + i64::from(time.month0()),
            Self::Week => days.div_euclid(7),
            Self::Day => days,
            _ => {
                let width = i128::from(self.nanos()?);
                let time = time.and_utc();
                let nanos =
                    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos());
                return i64::try_from(nanos.div_euclid(width)).ok();
            }
        })
    }
}

pub(super) fn unknown(name: &str) -> datafusion::common::DataFusionError {
    let shown: String = name.chars().take(60).collect();
    into_datafusion(
        Error::new(
            SqlState::InvalidParameterValue,
            format!("{shown:?} is no part of a time"),
        )
        .with_hint("Use year, quarter, month, week, day, hour, minute, second, millisecond or microsecond."),
    )
}
