//! Times as texts: `2024-01-01 10:00:00.5+00` of an instant, on the clock of its zone, and without the offset of a time
//! that has none.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, NaiveDateTime, Offset, TimeZone, Timelike};
use datafusion::common::{Result, internal_err};
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

pub(super) fn texts(times: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, zone) = times.data_type() else {
        return internal_err!("{} is no timestamp", times.data_type());
    };
    let zone = match zone {
        Some(name) => Some(name.parse::<Tz>()?),
        None => None,
    };
    let micros = match unit {
        TimeUnit::Microsecond => Arc::clone(times),
        _ => cast(
            times,
            &DataType::Timestamp(TimeUnit::Microsecond, times_zone(times)),
        )?,
    };
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let mut texts = StringBuilder::with_capacity(micros.len(), 24 * micros.len());
    let mut text = String::new();
    for value in micros {
        let Some(value) = value else {
            texts.append_null();
            continue;
        };
        text.clear();
        let written = DateTime::from_timestamp_micros(value)
            .and_then(|instant| write(&mut text, instant.naive_utc(), zone));
        if written.is_none() {
            return Err(into_datafusion(Error::new(
                SqlState::DatetimeFieldOverflow,
                "a timestamp is out of range",
            )));
        }
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

fn times_zone(times: &ArrayRef) -> Option<Arc<str>> {
    match times.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }
}

fn write(text: &mut String, instant: NaiveDateTime, zone: Option<Tz>) -> Option<()> {
    let offset = zone.map(|zone| zone.offset_from_utc_datetime(&instant).fix());
    let local = match offset {
        Some(offset) => instant.checked_add_offset(offset)?,
        None => instant,
    };
    // There is no year 0: the one before the first is the first before Christ.
    let (year, before) = match local.year() {
        year if year > 0 => (year, ""),
        year => (1 - year, " BC"),
    };
    let date = format_args!("{year:04}-{:02}-{:02}", local.month(), local.day()).to_string();
    write!(
        text,
        "{date} {:02}:{:02}:{:02}",
        local.hour(),
        local.minute(),
        local.second()
    )
    .ok()?;
    let micros = local.nanosecond() / 1_000;
    if micros > 0 {
        let digits = format!("{micros:06}");
        write!(text, ".{}", digits.trim_end_matches('0')).ok()?;
    }
    if let Some(offset) = offset {
        let seconds = offset.local_minus_utc();
        let sign = if seconds < 0 { '-' } else { '+' };
        let seconds = seconds.unsigned_abs();
        write!(text, "{sign}{:02}", seconds / 3600).ok()?;
        let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
        if minutes > 0 || rest > 0 {
            write!(text, ":{minutes:02}").ok()?;
        }
        if rest > 0 {
            write!(text, ":{rest:02}").ok()?;
        }
    }
    text.push_str(before);
    Some(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringArray, TimestampMicrosecondArray, TimestampNanosecondArray};

    use super::*;

    #[test]
    fn as_postgresql_writes_them() {
        let check = |times: ArrayRef, expected: &[&str]| {
            let found = texts(&times).unwrap();
            assert_eq!(found.as_ref(), &StringArray::from(expected.to_vec()));
        };
        let values = vec![0, 500_000, 1_704_103_200_000_001, -62_135_596_800_000_001];
        let micros = TimestampMicrosecondArray::from(values.clone());
        check(
            Arc::new(micros.clone().with_timezone("UTC")),
            &[
                "1970-01-01 00:00:00+00",
                "1970-01-01 00:00:00.5+00",
                "2024-01-01 10:00:00.000001+00",
                "0001-12-31 23:59:59.999999+00 BC",
            ],
        );
        check(
            Arc::new(micros.slice(1, 2)),
            &["1970-01-01 00:00:00.5", "2024-01-01 10:00:00.000001"],
        );
        check(
            Arc::new(micros.slice(2, 1).with_timezone("Asia/Kolkata")),
            &["2024-01-01 15:30:00.000001+05:30"],
        );
        check(
            Arc::new(TimestampNanosecondArray::from(vec![1_000]).with_timezone("-03:00")),
            &["1969-12-31 21:00:00.000001-03"],
        );
    }
}
