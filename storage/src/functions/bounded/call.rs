//! The arguments of one call of a function: the bytes, the texts, the elements and the numbers among them.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::array::cast::AsArray;
use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMillisecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

use super::sizes::{Sizes, lengths, sizes, total};

/// Nanoseconds of the shortest month and of the shortest day that a clock has.
const MONTH: i64 = 28 * DAY;
const DAY: i64 = 23 * 3_600_000_000_000;

/// See the module.
pub(super) struct Call<'a> {
    args: Vec<Arg<'a>>,
    rows: usize,
}

struct Arg<'a> {
    /// The text of a constant, which is not copied.
    text: Option<&'a str>,
    /// The values: of a constant the one.
    values: ArrayRef,
    constant: bool,
    sizes: OnceCell<Sizes>,
    lengths: OnceCell<Sizes>,
    numbers: OnceCell<Int64Array>,
}

impl<'a> Call<'a> {
    pub(super) fn new(args: &'a [ColumnarValue], rows: usize) -> Result<Self> {
        let constant = args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let args = args.iter().map(Arg::of).collect::<Result<_>>()?;
        let rows = if constant { rows.min(1) } else { rows };
        Ok(Self { args, rows })
    }

    /// The rows that the call has results for.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of arguments.
    pub(super) fn args(&self) -> usize {
        self.args.len()
    }

    /// The bytes of a value; none where there is no such argument.
    pub(super) fn bytes(&self, arg: usize, row: usize) -> u64 {
        let Some(arg) = self.args.get(arg) else { return 0 };
        match arg.text {
            Some(text) => text.len() as u64,
            None => arg.sizes.get_or_init(|| sizes(&arg.values)).at(arg.place(row)),
        }
    }

    /// The bytes of all arguments in all rows.
    pub(super) fn all_bytes(&self) -> u64 {
        let bytes = self.args.iter().map(|arg| {
            let of_values = match arg.text {
                Some(text) => text.len() as u64,
                None => total(&arg.values),
            };
            let times = if arg.constant { self.rows as u64 } else { 1 };
            of_values.saturating_mul(times)
        });
        bytes.fold(0, u64::saturating_add)
    }

    /// The elements of a list.
    pub(super) fn elements(&self, arg: usize, row: usize) -> u64 {
        self.args.get(arg).map_or(0, |arg| {
            arg.lengths
                .get_or_init(|| lengths(&arg.values))
                .at(arg.place(row))
        })
    }

    pub(super) fn kind(&self, arg: usize) -> Option<&DataType> {
        self.args.get(arg).map(|arg| arg.values.data_type())
    }

    pub(super) fn text(&self, arg: usize, row: usize) -> Option<&str> {
        let arg = self.args.get(arg)?;
        if arg.text.is_some() {
            return arg.text;
        }
        let row = arg.place(row);
        if arg.values.is_null(row) {
            return None;
        }
        match arg.values.data_type() {
            DataType::Utf8 => Some(arg.values.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => Some(arg.values.as_string::<i64>().value(row)),
            DataType::Utf8View => Some(arg.values.as_string_view().value(row)),
            _ => None,
        }
    }

    /// A number; of a time its milliseconds, of an interval the fewest nanoseconds that it may take.
    pub(super) fn number(&self, arg: usize, row: usize) -> Option<i64> {
        let arg = self.args.get(arg)?;
        let numbers = arg.numbers.get_or_init(|| numbers(arg));
        let row = arg.place(row);
        numbers.is_valid(row).then(|| numbers.value(row))
    }

    /// A number of times that something is done.
    pub(super) fn times(&self, arg: usize, row: usize) -> u64 {
        self.number(arg, row)
            .map_or(0, |times| u64::try_from(times).unwrap_or(0))
    }
}

impl<'a> Arg<'a> {
    fn of(value: &'a ColumnarValue) -> Result<Self> {
        let (text, values) = match value {
            ColumnarValue::Array(values) => (None, Arc::clone(values)),
            ColumnarValue::Scalar(scalar) => match scalar.try_as_str().flatten() {
                Some(text) => (
                    Some(text),
                    ScalarValue::try_from(&scalar.data_type())?.to_array()?,
                ),
                None => (None, scalar.to_array()?),
            },
        };
        Ok(Self {
            text,
            values,
            constant: matches!(value, ColumnarValue::Scalar(_)),
            sizes: OnceCell::new(),
            lengths: OnceCell::new(),
            numbers: OnceCell::new(),
        })
    }

    fn place(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }
}

/// All values as numbers. What has no number here is NULL.
fn numbers(arg: &Arg<'_>) -> Int64Array {
    let text: ArrayRef;
    let values = match arg.text {
        Some(constant) => {
            text = Arc::new(arrow::array::StringArray::from(vec![constant]));
            &text
        }
        None => &arg.values,
    };
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let none = || Int64Array::new_null(values.len());
    match values.data_type() {
        DataType::UInt64 => values
            .as_primitive::<arrow::datatypes::UInt64Type>()
            .iter()
            .map(|value| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
            .collect(),
        kind if kind.is_integer() => cast(values, &DataType::Int64)
            .map_or_else(|_| none(), |values| values.as_primitive::<Int64Type>().clone()),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            cast(values, &DataType::Timestamp(TimeUnit::Millisecond, None)).map_or_else(
                |_| none(),
                |values| {
                    let values = values.as_primitive::<TimestampMillisecondType>();
                    values.iter().collect()
                },
            )
        }
        kind if kind.is_string() || matches!(kind, DataType::Interval(_) | DataType::Duration(_)) => {
            cast(values, &interval).map_or_else(
                |_| none(),
                |values| {
                    let values = values.as_primitive::<IntervalMonthDayNanoType>();
                    let values = values.iter().map(|value| {
                        value.map(|value| {
                            let months = i64::from(value.months).saturating_mul(MONTH);
                            let days = i64::from(value.days).saturating_mul(DAY);
                            months.saturating_add(days).saturating_add(value.nanoseconds)
                        })
                    });
                    values.collect()
                },
            )
        }
        _ => none(),
    }
}
