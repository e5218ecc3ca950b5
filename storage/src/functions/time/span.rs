//! The parts of an interval, or of a difference of two times: `extract(hour FROM ended_at - started_at)`.
//!
//! As in PostgreSQL a difference of times has days, and hours, minutes and seconds that are less than one. An interval
//! has its months, days and time as they are. Milliseconds and microseconds count the seconds too.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, IntervalMonthDayNanoArray};
use arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::Result;

use super::epoch::seconds_of;
use super::part::{Part, unknown};

const EPOCH: &str = "epoch";
const NANOS_PER_MINUTE: i64 = 60_000_000_000;

fn is_epoch(name: &str) -> bool {
    name.trim_matches(['\'', '"']).eq_ignore_ascii_case(EPOCH)
}

/// The type of a part of an interval. None where DataFusion has the part, which gives years 360 days in `epoch`.
pub(super) fn of_interval(part: &str) -> Option<DataType> {
    let is_ours = matches!(
        Part::find(part),
        Some(Part::Millennium | Part::Century | Part::Decade | Part::Quarter)
    );
    (is_epoch(part) || is_ours).then(|| result(Some(part)))
}

/// The type of a part. One that is not constant may be any.
pub(super) fn result(part: Option<&str>) -> DataType {
    match part {
        Some(part) if !is_epoch(part) => DataType::Int64,
        _ => DataType::Float64,
    }
}

pub(super) fn parts(names: &ArrayRef, spans: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
    let spans = match spans.data_type() {
        DataType::Duration(unit) => in_days(spans, *unit)?,
        _ => arrow::compute::cast(spans, &DataType::Interval(IntervalUnit::MonthDayNano))?
            .as_primitive::<IntervalMonthDayNanoType>()
            .clone(),
    };
    let names = arrow::compute::cast(names, &DataType::Utf8)?;
    let names = names.as_string::<i32>();
    let of_row = |row: usize| -> Result<Option<(i64, f64)>> {
        if names.is_null(row) || spans.is_null(row) {
            return Ok(None);
        }
        let (name, span) = (names.value(row), spans.value(row));
        if is_epoch(name) {
            let seconds = seconds_of(span);
            return Ok(Some((seconds as i64, seconds)));
        }
        let part = Part::find(name).ok_or_else(|| unknown(name))?;
        let value = value(part, span);
        Ok(Some((value, value as f64)))
    };
    let values = (0..names.len()).map(of_row);
    Ok(match result {
        DataType::Float64 => Arc::new(
            values
                .map(|value| Ok(value?.map(|(_, float)| float)))
                .collect::<Result<Float64Array>>()?,
        ),
        _ => Arc::new(
            values
                .map(|value| Ok(value?.map(|(whole, _)| whole)))
                .collect::<Result<Int64Array>>()?,
        ),
    })
}

/// Differences as days and what is less than one. Those of years that 64-bit nanoseconds do not hold are among them.
fn in_days(spans: &ArrayRef, unit: TimeUnit) -> Result<IntervalMonthDayNanoArray> {
    let per_second: i64 = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let counts = arrow::compute::cast(spans, &DataType::Int64)?;
    let counts = counts.as_primitive::<Int64Type>();
    let per_day = 86_400 * per_second;
    let of = |count: i64| {
        // A difference of two times has some 200 million days at most.
        let days = i32::try_from(count / per_day).unwrap_or(i32::MAX);
        IntervalMonthDayNano::new(0, days, count % per_day * (1_000_000_000 / per_second))
    };
    Ok(counts.iter().map(|count| count.map(of)).collect())
}

fn value(part: Part, span: IntervalMonthDayNano) -> i64 {
    let months = i64::from(span.months);
    if let Part::Quarter = part {
        return months % 12 / 3 + 1;
    }
    if let Part::Month = part {
        return months % 12;
    }
    if let Some(length) = part.months() {
        return months / length;
    }
    if let Some(length) = part.days() {
        return i64::from(span.days) / length;
    }
    let length = part.nanos().unwrap_or(1);
    match part {
        Part::Hour => span.nanoseconds / length,
        Part::Minute => span.nanoseconds / length % 60,
        _ => span.nanoseconds % NANOS_PER_MINUTE / length,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DurationMicrosecondArray, StringArray};

    use super::*;

    #[test]
    fn differences_have_days() {
        let micros = ((25 * 60 + 48) * 60 + 7) * 1_000_000 + 250_000;
        for (name, expected) in [
            ("day", 1),
            ("hour", 1),
            ("minute", 48),
            ("second", 7),
            ("ms", 7_250),
            ("microseconds", 7_250_000),
            ("month", 0),
            ("year", 0),
            ("week", 0),
        ] {
            for sign in [1, -1] {
                let names: ArrayRef = Arc::new(StringArray::from(vec![name]));
                let spans: ArrayRef = Arc::new(DurationMicrosecondArray::from(vec![sign * micros]));
                let found = parts(&names, &spans, &DataType::Int64).unwrap();
                let found = found.as_primitive::<Int64Type>().value(0);
                assert_eq!(found, sign * expected, "{name} {sign}");
            }
        }
    }
}
