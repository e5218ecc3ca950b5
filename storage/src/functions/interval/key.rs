//! What intervals are compared by: a month has 30 days and a day 24 hours, as in PostgreSQL.
//!
//! `interval_key` is equal for equal intervals and grows with them. `interval_code` sorts alike and holds
//! the interval itself too, from which `interval_of_code` makes it again: so that minima and maxima are
//! taken by value.

use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef, BinaryBuilder, Decimal128Array, IntervalMonthDayNanoArray};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use crate::functions::function::function;

pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

const KEY: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

const DAY: i128 = 86_400_000_000_000;

/// Nanoseconds of an interval.
pub(crate) fn length(interval: IntervalMonthDayNano) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * DAY + i128::from(interval.nanoseconds)
}

pub(crate) fn key() -> ScalarUDF {
    function(
        "interval_key",
        &[],
        "interval_key(interval)",
        |given| match given {
            [DataType::Duration(unit)] => Some((vec![DataType::Duration(*unit)], KEY)),
            [kind] => Some((vec![interval(kind)?], KEY)),
            _ => None,
        },
        |args, _| {
            let lengths: Decimal128Array = match args[0].data_type() {
                DataType::Duration(unit) => {
                    let factor = match unit {
                        TimeUnit::Second => 1_000_000_000,
                        TimeUnit::Millisecond => 1_000_000,
                        TimeUnit::Microsecond => 1_000,
                        TimeUnit::Nanosecond => 1,
                    };
                    let values = arrow::compute::cast(&args[0], &DataType::Int64)?;
                    let values = values.as_primitive::<arrow::datatypes::Int64Type>();
                    values
                        .iter()
                        .map(|value| value.map(|value| i128::from(value) * factor))
                        .collect()
                }
                _ => args[0]
                    .as_primitive::<IntervalMonthDayNanoType>()
                    .iter()
                    .map(|value| value.map(length))
                    .collect(),
            };
            Ok(Arc::new(lengths.with_data_type(KEY)))
        },
    )
}

pub(crate) fn code() -> ScalarUDF {
    function(
        "interval_code",
        &[],
        "interval_code(interval)",
        |given| match given {
            [kind] => Some((vec![interval(kind)?], DataType::Binary)),
            _ => None,
        },
        |args, _| {
            let intervals = args[0].as_primitive::<IntervalMonthDayNanoType>();
            let mut codes = BinaryBuilder::new();
            for interval in intervals {
                match interval {
                    Some(interval) => codes.append_value(encode(interval)),
                    None => codes.append_null(),
                }
            }
            Ok(Arc::new(codes.finish()))
        },
    )
}

pub(crate) fn of_code() -> ScalarUDF {
    function(
        "interval_of_code",
        &[],
        "interval_of_code(code)",
        |given| match given {
            [DataType::Binary | DataType::Null] => Some((vec![DataType::Binary], INTERVAL)),
            _ => None,
        },
        |args, _| {
            let intervals: IntervalMonthDayNanoArray = args[0]
                .as_binary::<i32>()
                .iter()
                .map(|code| code.map(decode).transpose())
                .collect::<Result<_>>()?;
            let intervals: ArrayRef = Arc::new(intervals);
            Ok(intervals)
        },
    )
}

fn interval(kind: &DataType) -> Option<DataType> {
    matches!(
        kind,
        DataType::Interval(_) | DataType::Duration(_) | DataType::Null | DataType::Utf8
    )
    .then_some(INTERVAL)
}

/// The length, with its sign turned so that bytes sort as numbers do, then months and days.
pub(crate) fn encode(interval: IntervalMonthDayNano) -> [u8; 24] {
    let turned = length(interval).cast_unsigned() ^ (1 << 127);
    let mut code = [0; 24];
    code[..16].copy_from_slice(&turned.to_be_bytes());
    code[16..20].copy_from_slice(&interval.months.to_be_bytes());
    code[20..].copy_from_slice(&interval.days.to_be_bytes());
    code
}

pub(crate) fn decode(code: &[u8]) -> Result<IntervalMonthDayNano> {
    let (Some((length_bytes, rest)), true) = (code.split_first_chunk::<16>(), code.len() == 24) else {
        return exec_err!("{} bytes are no code of an interval", code.len());
    };
    let Some((months, days)) = rest.split_first_chunk::<4>() else {
        return exec_err!("a code of an interval is cut");
    };
    let days: [u8; 4] = days
        .try_into()
        .map_err(|_| exec_datafusion_err!("a code of an interval is cut"))?;
    let (months, days) = (i32::from_be_bytes(*months), i32::from_be_bytes(days));
    let total = (u128::from_be_bytes(*length_bytes) ^ (1 << 127)).cast_signed();
    let rest = total - length(IntervalMonthDayNano::new(months, days, 0));
    let nanoseconds = i64::try_from(rest)
        .map_err(|_| exec_datafusion_err!("a code of an interval is beyond what there is"))?;
    Ok(IntervalMonthDayNano::new(months, days, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_sort_by_value_and_hold_the_interval() {
        let of = IntervalMonthDayNano::new;
        let hour = 3_600_000_000_000;
        let sorted = [
            of(i32::MIN, i32::MIN, i64::MIN),
            of(-1, 0, 0),
            of(0, -1, 0),
            of(0, 1, -25 * hour),
            of(0, 0, 0),
            of(0, 0, 1),
            of(0, 0, 23 * hour),
            of(0, 1, 0),
            of(0, 0, 25 * hour),
            of(0, 29, 0),
            of(1, 0, 0),
            of(0, 31, 0),
            of(12, 0, 0),
            of(0, 365, 0),
            of(i32::MAX, i32::MAX, i64::MAX),
        ];
        for pair in sorted.windows(2) {
            assert!(encode(pair[0]) < encode(pair[1]), "{pair:?}");
            assert!(length(pair[0]) < length(pair[1]), "{pair:?}");
        }
        for interval in sorted {
            assert_eq!(decode(&encode(interval)).unwrap(), interval);
        }
        assert_eq!(length(of(1, 0, 0)), length(of(0, 30, 0)));
        assert_eq!(length(of(0, 1, 0)), length(of(0, 0, 24 * hour)));
        assert!(decode(&[0; 23]).is_err());
    }
}
