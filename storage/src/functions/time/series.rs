//! `generate_series(from, to, step)` and `range(from, to, step)` over timestamps, whose days and months are
//! those of the zone's clock.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;
use watershed_core::error::{Error, SqlState};

use super::calendar::add_to;
use super::values::{Times, collect, is_text};
use super::wrapped::wrap;
use crate::error::into_datafusion;

/// The most timestamps of one series.
const LENGTH_MAX: usize = 16 << 20;

pub(crate) fn generate_series() -> ScalarUDF {
    wrap(
        datafusion::functions_nested::range::gen_series_udf(),
        takes,
        |args, result| rows(args, result, true),
    )
}

pub(crate) fn range() -> ScalarUDF {
    wrap(
        datafusion::functions_nested::range::range_udf(),
        takes,
        |args, result| rows(args, result, false),
    )
}

fn takes(_: Option<&str>, kinds: &[DataType]) -> Option<DataType> {
    let [DataType::Timestamp(unit, zone), DataType::Timestamp(_, _), step] = kinds else {
        return None;
    };
    let steps = is_text(step) || matches!(step, DataType::Interval(_) | DataType::Duration(_));
    let item = DataType::Timestamp(*unit, zone.clone());
    steps.then(|| DataType::List(Arc::new(Field::new_list_field(item, true))))
}

fn rows(args: &[ArrayRef], result: &DataType, inclusive: bool) -> Result<ArrayRef> {
    let DataType::List(item) = result else {
        return datafusion::common::exec_err!("a series is no {result}");
    };
    let (from, to) = (Times::new(&args[0])?, Times::new(&args[1])?);
    let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
    let steps = arrow::compute::cast(&args[2], &interval)?;
    let steps = steps.as_primitive::<IntervalMonthDayNanoType>();
    let mut values = Vec::new();
    let mut lengths = Vec::with_capacity(from.len());
    let mut valid = Vec::with_capacity(from.len());
    for row in 0..from.len() {
        let before = values.len();
        let known = !(from.is_null(row) || to.is_null(row) || steps.is_null(row));
        if known {
            series(&from, &to, row, steps.value(row), inclusive, &mut values)?;
        }
        lengths.push(values.len() - before);
        valid.push(known);
    }
    let values = collect(values.into_iter().map(|value| Ok(Some(value))), item.data_type())?;
    let nulls = NullBuffer::from(valid);
    let list = ListArray::try_new(
        Arc::clone(item),
        OffsetBuffer::from_lengths(lengths),
        values,
        Some(nulls),
    )?;
    Ok(Arc::new(list))
}

fn series(
    from: &Times,
    to: &Times,
    row: usize,
    step: IntervalMonthDayNano,
    inclusive: bool,
    values: &mut Vec<chrono::NaiveDateTime>,
) -> Result<()> {
    let parts = [i64::from(step.months), i64::from(step.days), step.nanoseconds];
    let up = parts.iter().any(|part| *part > 0);
    if up == parts.iter().any(|part| *part < 0) {
        return Err(invalid("a step of a series is zero, or has parts of both signs"));
    }
    let (Some(mut next), Some(last)) = (from.instant(row)?, to.instant(row)?) else {
        return Ok(());
    };
    let before = values.len();
    loop {
        let within = match (up, inclusive) {
            (true, true) => next <= last,
            (true, false) => next < last,
            (false, true) => next >= last,
            (false, false) => next > last,
        };
        if !within {
            return Ok(());
        }
        if values.len() - before >= LENGTH_MAX {
            return Err(invalid("a series has more than 16,777,216 timestamps"));
        }
        values.push(next);
        next = add_to(from, next, step)?;
    }
}

fn invalid(message: &str) -> DataFusionError {
    into_datafusion(Error::new(SqlState::InvalidParameterValue, message))
}
