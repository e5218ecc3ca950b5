//! Answers as plain values, so that they can be compared with what is expected.

mod compare;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use watershed_core::{Error, Result};

pub(crate) use compare::{difference, sorted};

/// A value. Integers and decimals are exact numbers; what is neither number nor float is its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    /// `digits` with `scale` of them after the point, without zeros at the end.
    Number {
        digits: i128,
        scale: i8,
    },
    Float(f64),
    Text(String),
}

impl Cell {
    pub(crate) fn int(value: impl Into<i128>) -> Self {
        Self::decimal(value.into(), 0)
    }

    pub(crate) fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    fn decimal(mut digits: i128, mut scale: i8) -> Self {
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Self::Number { digits, scale }
    }
}

/// The rows of a batch.
pub(crate) fn cells(batch: &RecordBatch) -> Result<Vec<Vec<Cell>>> {
    let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok((0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column[row].clone()).collect())
        .collect())
}

fn column(array: &ArrayRef) -> Result<Vec<Cell>> {
    let failed = |error: arrow::error::ArrowError| {
        Error::internal("an answer cannot be read").with_detail(error.to_string())
    };
    let as_type = |to: &DataType| cast(array, to).map_err(failed);
    let kind = array.data_type();
    Ok(match kind {
        DataType::Null => vec![Cell::Null; array.len()],
        DataType::UInt64 => each(array.as_primitive::<UInt64Type>().iter(), |value| {
            Cell::int(value)
        }),
        kind if kind.is_integer() => {
            let array = as_type(&DataType::Int64)?;
            each(array.as_primitive::<Int64Type>().iter(), Cell::int)
        }
        kind if kind.is_floating() => {
            let array = as_type(&DataType::Float64)?;
            each(array.as_primitive::<Float64Type>().iter(), Cell::Float)
        }
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            each(array.as_primitive::<Decimal128Type>().iter(), |value| {
                Cell::decimal(value, scale)
            })
        }
        _ => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(array, &options).map_err(failed)?;
            (0..array.len())
                .map(|row| match array.is_null(row) {
                    true => Cell::Null,
                    false => Cell::text(formatter.value(row).to_string()),
                })
                .collect()
        }
    })
}

fn each<T>(values: impl Iterator<Item = Option<T>>, cell: impl Fn(T) -> Cell) -> Vec<Cell> {
    values.map(|value| value.map_or(Cell::Null, &cell)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, Int32Array, StringArray};

    use super::*;

    #[test]
    fn numbers_of_all_types_are_one_kind() {
        let decimal = Decimal128Array::from(vec![Some(1_200), Some(1_250), None])
            .with_precision_and_scale(10, 2)
            .unwrap();
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::new(decimal) as ArrayRef),
            ("b", Arc::new(Int32Array::from(vec![12, 0, 1]))),
            ("c", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
        ])
        .unwrap();
        let rows = cells(&batch).unwrap();
        assert_eq!(rows[0], [Cell::int(12), Cell::int(12), Cell::text("x")]);
        assert_eq!(
            rows[1][0],
            Cell::Number {
                digits: 125,
                scale: 1
            }
        );
        assert_eq!(rows[2][0], Cell::Null);
    }
}
