//! Columns of times, of any type and unit, as local times and instants, and back.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, NaiveDateTime};
use datafusion::common::{Result, exec_err};
use watershed_core::error::{Error, SqlState};

use super::zone::{to_instant, to_local, zone};
use crate::error::into_datafusion;

/// TIMESTAMP: an instant in µs of UTC.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Dates or timestamps.
pub(super) struct Times {
    values: Int64Array,
    unit: Unit,
    zone: Option<Tz>,
}

#[derive(Clone, Copy)]
enum Unit {
    Days,
    Of(TimeUnit),
}

impl Times {
    pub(super) fn new(array: &ArrayRef) -> Result<Self> {
        let (unit, zone, plain) = match array.data_type() {
            DataType::Date32 => (Unit::Days, None, cast(array, &DataType::Int32)?),
            DataType::Date64 => (
                Unit::Of(TimeUnit::Millisecond),
                None,
                cast(array, &DataType::Int64)?,
            ),
            DataType::Timestamp(unit, name) => {
                let zone = name.as_deref().map(zone).transpose()?;
                (Unit::Of(*unit), zone, cast(array, &DataType::Int64)?)
            }
            other => return exec_err!("{other} is no type of dates or timestamps"),
        };
        let values = cast(&plain, &DataType::Int64)?
            .as_primitive::<Int64Type>()
            .clone();
        Ok(Self { values, unit, zone })
    }

    pub(super) fn zone(&self) -> Option<Tz> {
        self.zone
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.values.is_null(row)
    }

    /// The value as it is stored.
    fn stored(&self, row: usize) -> Result<Option<NaiveDateTime>> {
        if self.values.is_null(row) {
            return Ok(None);
        }
        let value = self.values.value(row);
        let found = match self.unit {
            Unit::Days => value
                .checked_mul(86_400)
                .and_then(|seconds| to_naive(seconds, TimeUnit::Second)),
            Unit::Of(unit) => to_naive(value, unit),
        };
        found.ok_or_else(out_of_range).map(Some)
    }

    /// What the clock shows in the column's own zone, or what a value without a zone says.
    pub(super) fn local(&self, row: usize) -> Result<Option<NaiveDateTime>> {
        self.stored(row)?
            .map(|instant| self.to_local(instant))
            .transpose()
    }

    /// What the clock of the column's zone shows at an instant.
    pub(super) fn to_local(&self, instant: NaiveDateTime) -> Result<NaiveDateTime> {
        match self.zone {
            Some(zone) => to_local(instant, zone).ok_or_else(out_of_range),
            None => Ok(instant),
        }
    }

    /// The instant in UTC. A value without a zone is taken to be in UTC.
    pub(super) fn instant(&self, row: usize) -> Result<Option<NaiveDateTime>> {
        self.stored(row)
    }

    /// A time that the clock of the column's zone shows, as the instant in UTC.
    pub(super) fn to_instant(&self, local: NaiveDateTime) -> Result<NaiveDateTime> {
        match self.zone {
            Some(zone) => to_instant(local, zone).ok_or_else(out_of_range),
            None => Ok(local),
        }
    }
}

/// A number of units since 1970 as a time.
pub(super) fn to_naive(value: i64, unit: TimeUnit) -> Option<NaiveDateTime> {
    let per_second = per_second(unit);
    let seconds = value.div_euclid(per_second);
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?).map(|time| time.naive_utc())
}

/// A time as a number of units since 1970; what is smaller than a unit is cut.
pub(super) fn from_naive(time: NaiveDateTime, unit: TimeUnit) -> Result<i64> {
    let per_second = per_second(unit);
    let time = time.and_utc();
    let fraction = i64::from(time.timestamp_subsec_nanos()) / (1_000_000_000 / per_second);
    let value = i128::from(time.timestamp()) * i128::from(per_second) + i128::from(fraction);
    i64::try_from(value).map_err(|_| out_of_range())
}

pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A column of instants, which are given in UTC, of some type of timestamps or dates.
pub(super) fn collect(
    values: impl Iterator<Item = Result<Option<NaiveDateTime>>>,
    target: &DataType,
) -> Result<ArrayRef> {
    let unit = match target {
        DataType::Timestamp(unit, _) => *unit,
        DataType::Date32 => TimeUnit::Second,
        other => return exec_err!("{other} is no type of dates or timestamps"),
    };
    let values = values
        .map(|value| value?.map(|time| from_naive(time, unit)).transpose())
        .collect::<Result<Int64Array>>()?;
    if *target == DataType::Date32 {
        let days: Int64Array = values.unary(|seconds| seconds.div_euclid(86_400));
        return Ok(cast(&cast(&days, &DataType::Int32)?, target)?);
    }
    let values: ArrayRef = Arc::new(values);
    Ok(cast(&values, target)?)
}

pub(super) fn out_of_range() -> datafusion::common::DataFusionError {
    into_datafusion(Error::new(
        SqlState::DatetimeFieldOverflow,
        "timestamp is out of range",
    ))
}

/// Whether it is a type of texts, or of a value that has no type yet.
pub(super) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// A type of dates and timestamps for an argument: itself if it is one. Texts become timestamps.
pub(super) fn as_time(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Timestamp(_, _) | DataType::Date32 => Some(kind.clone()),
        DataType::Date64 => Some(DataType::Date32),
        kind if is_text(kind) => Some(timestamp()),
        _ => None,
    }
}

/// The type of an argument that is an interval, or can be read as one.
pub(super) fn as_interval(kind: &DataType) -> Option<DataType> {
    use arrow::datatypes::IntervalUnit::MonthDayNano;
    match kind {
        DataType::Interval(_) | DataType::Duration(_) => Some(DataType::Interval(MonthDayNano)),
        kind if is_text(kind) => Some(DataType::Interval(MonthDayNano)),
        _ => None,
    }
}
