//! `to_timestamp` and `to_date`: texts read by patterns, numbers read as seconds since 1970.
//!
//! Plans hold `instant_from_pattern(zone, text, pattern, …)` for what a session in another zone than UTC
//! reads. Of several patterns the first that fits is taken.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::pattern::{Piece, is_strftime, parse, with_micros};
use super::read::{Time, read};
use super::values::{collect, is_text, out_of_range, timestamp, to_naive};
use super::zone::{to_instant, zone};
use crate::error::into_datafusion;
use crate::functions::function::function;

pub(crate) fn to_timestamp() -> ScalarUDF {
    function(
        "to_timestamp",
        &[],
        "to_timestamp(seconds), to_timestamp(text) or to_timestamp(text, pattern)",
        |given| match given {
            [DataType::Timestamp(unit, _)] => {
                let same = DataType::Timestamp(*unit, Some("UTC".into()));
                Some((vec![same.clone()], same))
            }
            [number] if number.is_integer() => Some((vec![DataType::Int64], timestamp())),
            [number] if number.is_numeric() => Some((vec![DataType::Float64], timestamp())),
            [DataType::Date32 | DataType::Date64] => Some((vec![timestamp()], timestamp())),
            [text] if is_text(text) => Some((vec![timestamp()], timestamp())),
            [_, _, ..] => texts(given, timestamp()),
            _ => None,
        },
        |args, result| match args[0].data_type() {
            DataType::Int64 => {
                let seconds = args[0].as_primitive::<Int64Type>();
                let values = seconds.iter().map(|value| {
                    value
                        .map(|value| to_naive(value, TimeUnit::Second).ok_or_else(out_of_range))
                        .transpose()
                });
                collect(values, result)
            }
            DataType::Float64 => {
                let seconds = args[0].as_primitive::<Float64Type>();
                let values = seconds.iter().map(|value| value.map(of_seconds).transpose());
                collect(values, result)
            }
            DataType::Utf8 => {
                let times = Patterns::new(args)?.times()?;
                let values = times
                    .into_iter()
                    .map(|time| time.map(|time| instant(&time, None)).transpose());
                collect(values, result)
            }
            _ => Ok(cast(&args[0], result)?),
        },
    )
}

pub(crate) fn instant_from_pattern() -> ScalarUDF {
    function(
        "instant_from_pattern",
        &[],
        "instant_from_pattern(zone, text, pattern)",
        |given| texts(given, timestamp()),
        |args, result| {
            let times = Patterns::new(&args[1..])?.times()?;
            let names = args[0].as_string::<i32>();
            let mut known: Option<(&str, Tz)> = None;
            let mut values = Vec::with_capacity(times.len());
            for (time, name) in times.into_iter().zip(names) {
                let (Some(time), Some(name)) = (time, name) else {
                    values.push(Ok(None));
                    continue;
                };
                let zone = match known {
                    Some((of, zone)) if of == name => zone,
                    _ => zone(name)?,
                };
                known = Some((name, zone));
                values.push(instant(&time, Some(zone)).map(Some));
            }
            collect(values.into_iter(), result)
        },
    )
}

pub(crate) fn to_date() -> ScalarUDF {
    function(
        "to_date",
        &[],
        "to_date(text) or to_date(text, pattern)",
        |given| match given {
            [DataType::Timestamp(unit, zone)] => {
                Some((vec![DataType::Timestamp(*unit, zone.clone())], DataType::Date32))
            }
            [number] if number.is_integer() => Some((vec![DataType::Int32], DataType::Date32)),
            [date] if is_text(date) || matches!(date, DataType::Date32 | DataType::Date64) => {
                Some((vec![DataType::Date32], DataType::Date32))
            }
            [_, _, ..] => texts(given, DataType::Date32),
            _ => None,
        },
        |args, result| match args[0].data_type() {
            DataType::Utf8 => {
                let times = Patterns::new(args)?.times()?;
                collect(
                    times.into_iter().map(|time| Ok(time.map(|time| time.local))),
                    result,
                )
            }
            _ => Ok(cast(&args[0], result)?),
        },
    )
}

fn texts(given: &[DataType], result: DataType) -> Option<(Vec<DataType>, DataType)> {
    let fits = given.len() >= 2 && given.iter().all(is_text);
    fits.then(|| (vec![DataType::Utf8; given.len()], result))
}

/// Seconds since 1970, to the microsecond.
fn of_seconds(seconds: f64) -> Result<NaiveDateTime> {
    let whole = seconds.floor();
    // 2^53 seconds are beyond every timestamp, and exact.
    if !seconds.is_finite() || whole.abs() > 9e15 {
        return Err(out_of_range());
    }
    let micros = ((seconds - whole) * 1e6).round();
    to_naive(whole as i64, TimeUnit::Second)
        .and_then(|time| time.checked_add_signed(TimeDelta::microseconds(micros as i64)))
        .ok_or_else(out_of_range)
}

/// The instant, in UTC, that was read in a zone; in UTC if there is none.
fn instant(time: &Time, zone: Option<Tz>) -> Result<NaiveDateTime> {
    match (time.offset, zone) {
        (Some(offset), _) => time
            .local
            .checked_sub_signed(TimeDelta::seconds(i64::from(offset)))
            .ok_or_else(out_of_range),
        (None, Some(zone)) => to_instant(time.local, zone).ok_or_else(out_of_range),
        (None, None) => Ok(time.local),
    }
}

/// Texts and the patterns to read them by.
struct Patterns {
    texts: StringArray,
    patterns: Vec<StringArray>,
}

enum Read {
    Pieces(Vec<Piece>),
    Strftime(Vec<Item<'static>>),
}

impl Patterns {
    fn new(args: &[ArrayRef]) -> Result<Self> {
        let mut columns = args.iter().map(|column| column.as_string::<i32>().clone());
        let Some(texts) = columns.next() else {
            return datafusion::common::exec_err!("there is no text to read");
        };
        Ok(Self {
            texts,
            patterns: columns.collect(),
        })
    }

    fn times(&self) -> Result<Vec<Option<Time>>> {
        let mut known: Vec<Option<(String, Arc<Read>)>> = vec![None; self.patterns.len()];
        let mut times = Vec::with_capacity(self.texts.len());
        for (row, text) in self.texts.iter().enumerate() {
            let Some(text) = text else {
                times.push(None);
                continue;
            };
            let mut result = Ok(None);
            for (patterns, known) in self.patterns.iter().zip(&mut known) {
                if patterns.is_null(row) {
                    continue;
                }
                let pattern = patterns.value(row);
                let reader = match known {
                    Some((of, reader)) if of == pattern => Arc::clone(reader),
                    _ => Arc::new(Read::new(pattern)?),
                };
                *known = Some((pattern.to_owned(), Arc::clone(&reader)));
                result = reader.time(text).map(Some);
                if result.is_ok() {
                    break;
                }
            }
            times.push(result.map_err(into_datafusion)?);
        }
        Ok(times)
    }
}

impl Read {
    fn new(pattern: &str) -> Result<Self> {
        if !is_strftime(pattern) {
            return Ok(Self::Pieces(parse(pattern)));
        }
        let items = StrftimeItems::new(&with_micros(pattern))
            .parse_to_owned()
            .map_err(|_| {
                let shown: String = pattern.chars().take(60).collect();
                into_datafusion(Error::new(
                    SqlState::InvalidParameterValue,
                    format!("{shown:?} is no pattern of strftime"),
                ))
            })?;
        Ok(Self::Strftime(items))
    }

    fn time(&self, text: &str) -> Result<Time, Error> {
        match self {
            Self::Pieces(pieces) => read(text, pieces),
            Self::Strftime(items) => by_strftime(text, items).ok_or_else(|| {
                let shown: String = text.chars().take(60).collect();
                Error::new(
                    SqlState::InvalidDatetimeFormat,
                    format!("{shown:?} does not fit the pattern"),
                )
            }),
        }
    }
}

fn by_strftime(text: &str, items: &[Item<'_>]) -> Option<Time> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
    let offset = parsed.offset();
    if let Some(seconds) = parsed.timestamp() {
        let nanos = parsed.nanosecond().unwrap_or(0);
        let local = DateTime::from_timestamp(seconds, nanos)?.naive_utc();
        return Some(Time {
            local,
            offset: Some(0),
        });
    }
    if parsed.year().is_some() && parsed.day().is_none() && parsed.ordinal().is_none() {
        if parsed.month().is_none() && parsed.week_from_mon().is_none() && parsed.week_from_sun().is_none() {
            parsed.set_month(1).ok()?;
        }
        if parsed.month().is_some() {
            parsed.set_day(1).ok()?;
        }
    }
    let date = parsed.to_naive_date().ok()?;
    let time = match (parsed.hour_div_12().or(parsed.hour_mod_12()), parsed.minute()) {
        (None, _) => NaiveTime::MIN,
        (Some(_), None) => {
            parsed.set_minute(0).ok()?;
            parsed.to_naive_time().ok()?
        }
        (Some(_), Some(_)) => parsed.to_naive_time().ok()?,
    };
    Some(Time {
        local: date.and_time(time),
        offset,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_strftime() {
        let check = |text: &str, pattern: &str, expected: &str| {
            let time = Read::new(pattern).unwrap().time(text).unwrap();
            let time = instant(&time, None).unwrap();
            assert_eq!(time.to_string(), expected, "{text} as {pattern}");
        };
        check("2024-02-03", "%Y-%m-%d", "2024-02-03 00:00:00");
        check("2024-02", "%Y-%m", "2024-02-01 00:00:00");
        check("03/02/2024 04h", "%d/%m/%Y %Hh", "2024-02-03 04:00:00");
        check(
            "2024-02-03 04:05:06.5 +0200",
            "%Y-%m-%d %H:%M:%S%.f %z",
            "2024-02-03 02:05:06.500",
        );
        check("1700000000", "%s", "2023-11-14 22:13:20");
        assert!(Read::new("%Y").unwrap().time("x").is_err());
        assert!(Read::new("%!").is_err());
    }

    #[test]
    fn seconds() {
        assert_eq!(of_seconds(-0.5).unwrap().to_string(), "1969-12-31 23:59:59.500");
        assert!(of_seconds(f64::NAN).is_err());
        assert!(of_seconds(1e300).is_err());
    }
}
