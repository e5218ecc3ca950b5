//! `time_bucket(width, time)` and `date_bin(width, time, origin)`: the begin of the bucket that holds a time.
//!
//! Buckets of days and months are those of the zone's clock; shorter ones have one length everywhere. As in
//! DuckDB and TimescaleDB, buckets of months are counted from 2000-01-01 and others from Monday 2000-01-03;
//! `date_bin` counts from 1970-01-01.

use arrow::array::Array;
use arrow::array::cast::AsArray;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType};
use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::calendar::{add_days, negate};
use super::values::{Times, as_interval, as_time, collect, is_text, out_of_range};
use super::zone::{begin_before, to_instant, to_local, zone};
use crate::error::into_datafusion;
use crate::functions::function::function;

const DAY: i128 = 86_400_000_000_000;

pub(crate) fn time_bucket() -> ScalarUDF {
    function(
        "time_bucket",
        &[],
        "time_bucket(width, time), with an origin, an offset or a zone as a third argument",
        |given| match given {
            [width, time] => {
                let time = as_time(time)?;
                Some((vec![as_interval(width)?, time.clone()], time))
            }
            [width, time, third] => {
                let time = as_time(time)?;
                let third = match third {
                    DataType::Interval(_) | DataType::Duration(_) => as_interval(third)?,
                    third if is_text(third) => DataType::Utf8,
                    third => as_time(third)?,
                };
                Some((vec![as_interval(width)?, time.clone(), third], time))
            }
            _ => None,
        },
        |args, result| {
            let times = Times::new(&args[1])?;
            let widths = args[0].as_primitive::<IntervalMonthDayNanoType>();
            let third = match args.get(2) {
                None => Third::None,
                Some(third) => match third.data_type() {
                    DataType::Interval(_) => Third::Offset(third.as_primitive::<IntervalMonthDayNanoType>()),
                    DataType::Utf8 => Third::Zone(third.as_string::<i32>()),
                    _ => Third::Origin(Times::new(third)?),
                },
            };
            let values = (0..times.len()).map(|row| {
                if widths.is_null(row) || times.is_null(row) {
                    return Ok(None);
                }
                let width = Width::new(widths.value(row))?;
                third.bucket(&times, row, &width)
            });
            collect(values.collect::<Vec<_>>().into_iter(), result)
        },
    )
}

pub(crate) fn date_bin() -> ScalarUDF {
    function(
        "date_bin",
        &[],
        "date_bin(width, time) or date_bin(width, time, origin)",
        |given| {
            let time = as_time(given.get(1)?)?;
            let time = match time {
                DataType::Date32 => super::values::timestamp(),
                time => time,
            };
            match given {
                [width, _] => Some((vec![as_interval(width)?, time.clone()], time)),
                [width, _, origin] => Some((vec![as_interval(width)?, time.clone(), as_time(origin)?], time)),
                _ => None,
            }
        },
        |args, result| {
            let times = Times::new(&args[1])?;
            let widths = args[0].as_primitive::<IntervalMonthDayNanoType>();
            let origins = args.get(2).map(Times::new).transpose()?;
            let values = (0..times.len()).map(|row| {
                if widths.is_null(row) || times.is_null(row) {
                    return Ok(None);
                }
                let width = Width::new(widths.value(row))?;
                let origin = match &origins {
                    Some(origins) => match origins.local(row)? {
                        Some(origin) => origin,
                        None => return Ok(None),
                    },
                    None => chrono::DateTime::UNIX_EPOCH.naive_utc(),
                };
                let Some(time) = Clock::of(&times, row)? else {
                    return Ok(None);
                };
                time.bucket(&width, origin).map(Some)
            });
            collect(values.collect::<Vec<_>>().into_iter(), result)
        },
    )
}

/// The third argument of `time_bucket`.
enum Third<'a> {
    None,
    Offset(&'a arrow::array::IntervalMonthDayNanoArray),
    Origin(Times),
    Zone(&'a arrow::array::StringArray),
}

impl Third<'_> {
    fn bucket(&self, times: &Times, row: usize, width: &Width) -> Result<Option<NaiveDateTime>> {
        let Some(mut clock) = Clock::of(times, row)? else {
            return Ok(None);
        };
        let origin = width.origin();
        match self {
            Self::None => clock.bucket(width, origin).map(Some),
            Self::Origin(origins) => match origins.local(row)? {
                Some(origin) => clock.bucket(width, origin).map(Some),
                None => Ok(None),
            },
            Self::Zone(names) => {
                if names.is_null(row) {
                    return Ok(None);
                }
                clock.zone = Some(zone(names.value(row))?);
                clock.bucket(width, origin).map(Some)
            }
            // The buckets are moved by it.
            Self::Offset(offsets) => {
                if offsets.is_null(row) {
                    return Ok(None);
                }
                let offset = offsets.value(row);
                let moved = shift(origin, offset).ok_or_else(out_of_range)?;
                match width {
                    Width::Months(_) => {
                        // Days are taken away first, as months are cut at their first day.
                        let back = negate(offset).ok_or_else(out_of_range)?;
                        let local = shift(clock.local()?, back).ok_or_else(out_of_range)?;
                        let begin = width.begin(local, origin).ok_or_else(out_of_range)?;
                        clock
                            .to_instant(shift(begin, offset).ok_or_else(out_of_range)?)
                            .map(Some)
                    }
                    _ => clock.bucket(width, moved).map(Some),
                }
            }
        }
    }
}

fn shift(time: NaiveDateTime, by: IntervalMonthDayNano) -> Option<NaiveDateTime> {
    add_days(time, by.months, by.days)?.checked_add_signed(TimeDelta::nanoseconds(by.nanoseconds))
}

/// A time and the clock that it is shown by.
struct Clock {
    instant: NaiveDateTime,
    zone: Option<arrow::array::timezone::Tz>,
}

impl Clock {
    fn of(times: &Times, row: usize) -> Result<Option<Self>> {
        Ok(times.instant(row)?.map(|instant| Self {
            instant,
            zone: times.zone(),
        }))
    }

    fn local(&self) -> Result<NaiveDateTime> {
        match self.zone {
            Some(zone) => to_local(self.instant, zone).ok_or_else(out_of_range),
            None => Ok(self.instant),
        }
    }

    fn to_instant(&self, local: NaiveDateTime) -> Result<NaiveDateTime> {
        match self.zone {
            Some(zone) => to_instant(local, zone).ok_or_else(out_of_range),
            None => Ok(local),
        }
    }

    /// The instant at which the clock shows a time that is not after this one.
    fn not_after(&self, local: NaiveDateTime) -> Result<NaiveDateTime> {
        match self.zone {
            Some(zone) => begin_before(local, self.instant, zone).ok_or_else(out_of_range),
            None => Ok(local),
        }
    }

    /// The begin of a bucket, as an instant; the origin is what the clock shows.
    fn bucket(&self, width: &Width, origin: NaiveDateTime) -> Result<NaiveDateTime> {
        match width {
            Width::Nanos(_) => {
                let origin = self.to_instant(origin)?;
                width.begin(self.instant, origin).ok_or_else(out_of_range)
            }
            Width::Months(_) | Width::Days(_) => {
                let begin = width.begin(self.local()?, origin).ok_or_else(out_of_range)?;
                self.not_after(begin)
            }
        }
    }
}

enum Width {
    Months(i64),
    Days(i128),
    Nanos(i128),
}

impl Width {
    fn new(interval: IntervalMonthDayNano) -> Result<Self> {
        let rest = i128::from(interval.days) * DAY + i128::from(interval.nanoseconds);
        let found = match (interval.months, rest) {
            (1.., 0) => Some(Self::Months(i64::from(interval.months))),
            (0, 1..) if rest % DAY == 0 => Some(Self::Days(rest)),
            (0, 1..) => Some(Self::Nanos(rest)),
            _ => None,
        };
        found.ok_or_else(invalid)
    }

    fn origin(&self) -> NaiveDateTime {
        let day = match self {
            Self::Months(_) => NaiveDate::from_ymd_opt(2000, 1, 1),
            Self::Days(_) | Self::Nanos(_) => NaiveDate::from_ymd_opt(2000, 1, 3),
        };
        day.unwrap_or_default().and_time(chrono::NaiveTime::MIN)
    }

    fn begin(&self, time: NaiveDateTime, origin: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Self::Months(width) => {
                let months = |time: NaiveDateTime| i64::from(time.year()) * 12 + i64::from(time.month0());
                let past = (months(time) - months(origin)).div_euclid(*width) * width;
                // Buckets of months begin with a month, whatever the origin's day.
                let first = months(origin) + past;
                let year = i32::try_from(first.div_euclid(12)).ok()?;
                let month = u32::try_from(first.rem_euclid(12)).ok()? + 1;
                Some(NaiveDate::from_ymd_opt(year, month, 1)?.and_time(chrono::NaiveTime::MIN))
            }
            Self::Days(width) | Self::Nanos(width) => {
                let past = nanos(time) - nanos(origin);
                let begin = nanos(origin) + past.div_euclid(*width) * width;
                let seconds = i64::try_from(begin.div_euclid(1_000_000_000)).ok()?;
                let rest = u32::try_from(begin.rem_euclid(1_000_000_000)).ok()?;
                Some(chrono::DateTime::from_timestamp(seconds, rest)?.naive_utc())
            }
        }
    }
}

fn nanos(time: NaiveDateTime) -> i128 {
    let time = time.and_utc();
    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}

fn invalid() -> DataFusionError {
    into_datafusion(
        Error::new(
            SqlState::InvalidParameterValue,
            "the width of a bucket is not positive, or has months beside days or time",
        )
        .with_hint("Write INTERVAL '1 month', or INTERVAL '7 days', or INTERVAL '15 minutes'."),
    )
}
