//! `to_char(value, pattern)`: dates, timestamps, times, intervals and numbers as texts. `date_format` and
//! `strftime` are other names; patterns with a `%` are those of `strftime`.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::format::{Shown, ShownZone, write};
use super::number_pattern::NumberPattern;
use super::pattern::{Piece, is_strftime, parse, with_micros};
use super::values::{Times, is_text, out_of_range, to_naive};
use super::zone::{abbreviation, offset};
use crate::error::into_datafusion;
use crate::functions::function::function;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

pub(crate) fn udf() -> ScalarUDF {
    function(
        "to_char",
        &["date_format", "strftime"],
        "to_char(time or number, pattern)",
        |given| {
            let [value, pattern] = given else {
                return None;
            };
            let value = match value {
                DataType::Timestamp(_, _) | DataType::Date32 => value.clone(),
                DataType::Date64 => DataType::Date32,
                DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Nanosecond),
                DataType::Interval(_) | DataType::Duration(_) => INTERVAL,
                DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => DataType::Utf8,
                DataType::Decimal32(_, _) | DataType::Decimal64(_, _) => DataType::Utf8,
                DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
                value if value.is_integer() => DataType::Utf8,
                // A number as it is written, or NULL.
                value if is_text(value) => DataType::Utf8,
                _ => return None,
            };
            is_text(pattern).then(|| (vec![value, DataType::Utf8], DataType::Utf8))
        },
        |args, _| rows(&args[0], &args[1]),
    )
}

/// A pattern as it was last read: most columns have one.
enum Read {
    Pieces(Vec<Piece>),
    Strftime(Vec<Item<'static>>),
    Number(NumberPattern),
}

fn rows(values: &ArrayRef, patterns: &ArrayRef) -> Result<ArrayRef> {
    let patterns = patterns.as_string::<i32>();
    let values = Values::new(values)?;
    let mut out = StringBuilder::new();
    let mut known: Option<(&str, Read)> = None;
    let mut text = String::new();
    for (row, pattern) in patterns.iter().enumerate() {
        let Some(pattern) = pattern.filter(|_| !values.is_null(row)) else {
            out.append_null();
            continue;
        };
        if known.as_ref().is_none_or(|(of, _)| *of != pattern) {
            known = Some((pattern, values.read(pattern)?));
        }
        text.clear();
        if let Some((_, read)) = &known {
            values.write(row, read, &mut text)?;
        }
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

enum Values {
    Times(Times),
    /// Nanoseconds since midnight.
    Clock(ArrayRef),
    Intervals(ArrayRef),
    Floats(ArrayRef),
    /// Numbers as they are written.
    Digits(ArrayRef),
}

impl Values {
    fn new(values: &ArrayRef) -> Result<Self> {
        Ok(match values.data_type() {
            DataType::Time64(_) => Self::Clock(cast(values, &DataType::Int64)?),
            DataType::Interval(_) => Self::Intervals(Arc::clone(values)),
            DataType::Float64 => Self::Floats(Arc::clone(values)),
            DataType::Utf8 => Self::Digits(Arc::clone(values)),
            _ => Self::Times(Times::new(values)?),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Times(times) => times.is_null(row),
            Self::Clock(values) | Self::Intervals(values) | Self::Floats(values) | Self::Digits(values) => {
                values.is_null(row)
            }
        }
    }

    fn read(&self, pattern: &str) -> Result<Read> {
        match self {
            Self::Floats(_) | Self::Digits(_) => Ok(Read::Number(NumberPattern::parse(pattern)?)),
            _ if is_strftime(pattern) => {
                let items = StrftimeItems::new(&with_micros(pattern))
                    .parse_to_owned()
                    .map_err(|_| invalid(pattern))?;
                Ok(Read::Strftime(items))
            }
            _ => Ok(Read::Pieces(parse(pattern))),
        }
    }

    fn write(&self, row: usize, read: &Read, out: &mut String) -> Result<()> {
        match (self, read) {
            (Self::Floats(values), Read::Number(pattern)) => {
                let value = values.as_primitive::<arrow::datatypes::Float64Type>().value(row);
                pattern.write_float(value, out);
                Ok(())
            }
            (Self::Digits(values), Read::Number(pattern)) => {
                pattern.write(values.as_string::<i32>().value(row), out)
            }
            (Self::Intervals(values), Read::Pieces(pieces)) => {
                let interval = values.as_primitive::<IntervalMonthDayNanoType>().value(row);
                write(&of_interval(interval), pieces, out);
                Ok(())
            }
            (Self::Clock(values), read) => {
                let nanos = values.as_primitive::<arrow::datatypes::Int64Type>().value(row);
                let time = to_naive(nanos, TimeUnit::Nanosecond).ok_or_else(out_of_range)?;
                show(time, time, None, read, out)
            }
            (Self::Times(times), read) => {
                let (Some(local), Some(instant)) = (times.local(row)?, times.instant(row)?) else {
                    return Ok(());
                };
                show(local, instant, times.zone(), read, out)
            }
            _ => exec_err!("a pattern of strftime does not fit an interval"),
        }
    }
}

fn show(
    local: NaiveDateTime,
    instant: NaiveDateTime,
    zone: Option<Tz>,
    read: &Read,
    out: &mut String,
) -> Result<()> {
    match read {
        Read::Pieces(pieces) => {
            let needs_zone = pieces.iter().any(|piece| {
                use super::field::Field::{ZoneHours, ZoneMinutes, ZoneName, ZoneOffset};
                matches!(
                    piece,
                    Piece::Field {
                        field: ZoneHours | ZoneMinutes | ZoneName { .. } | ZoneOffset,
                        ..
                    }
                )
            });
            let zone = zone.filter(|_| needs_zone).map(|zone| ShownZone {
                name: abbreviation(instant, zone),
                offset: offset(instant, zone),
            });
            write(&Shown::time(local, zone), pieces, out);
            Ok(())
        }
        Read::Strftime(items) => {
            let written = match zone {
                Some(zone) => {
                    let offset = zone.offset_from_utc_datetime(&instant);
                    let time = DateTime::<Tz>::from_naive_utc_and_offset(instant, offset);
                    write!(out, "{}", time.format_with_items(items.iter()))
                }
                None => {
                    let offset = chrono::Utc.fix();
                    let time = DateTime::<chrono::FixedOffset>::from_naive_utc_and_offset(local, offset);
                    write!(out, "{}", time.format_with_items(items.iter()))
                }
            };
            written.map_err(|_| invalid("%"))
        }
        Read::Number(_) => exec_err!("a pattern of numbers does not fit a time"),
    }
}

/// An interval's fields. Its days and its time are kept apart, as they are stored.
fn of_interval(interval: IntervalMonthDayNano) -> Shown {
    let seconds = interval.nanoseconds / 1_000_000_000;
    let part = |value: i64| u32::try_from(value.unsigned_abs()).unwrap_or_default();
    Shown {
        year: i64::from(interval.months / 12),
        month: (interval.months % 12).unsigned_abs(),
        day: i64::from(interval.days),
        hour: seconds / 3600,
        minute: part(seconds / 60 % 60),
        second: part(seconds % 60),
        nanos: part(interval.nanoseconds % 1_000_000_000),
        date: None,
        zone: None,
    }
}

fn invalid(pattern: &str) -> DataFusionError {
    let shown: String = pattern.chars().take(60).collect();
    into_datafusion(
        Error::new(
            SqlState::InvalidParameterValue,
            format!("{shown:?} is no pattern of times"),
        )
        .with_hint("Patterns are PostgreSQL's, as 'YYYY-MM-DD', or those of strftime, as '%Y-%m-%d'."),
    )
}
