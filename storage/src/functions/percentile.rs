//! `percentile_cont(p) WITHIN GROUP (ORDER BY x)` and `quantile_cont(x, p)`: interpolated in floats.
//!
//! DataFusion's aggregate cuts the fraction between two values at six digits (`INTERPOLATION_PRECISION` of
//! `datafusion-functions-aggregate` 55; no issue is known upstream). Its signature, types and states are used.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Schema};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::percentile_cont::percentile_cont_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Signature};
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

pub(super) fn percentile_cont() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Percentile {
        inner: percentile_cont_udaf(),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Percentile {
    inner: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Percentile {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    /// Rows may come in any order, but the direction of ORDER BY counts, and DataFusion does not encode that of an
    /// insensitive aggregate.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::SoftRequirement
    }

    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if !matches!(
            args.return_field.data_type(),
            DataType::Float64 | DataType::Float32
        ) || args
            .expr_fields
            .first()
            .is_some_and(|field| field.data_type().is_null())
        {
            return self.inner.accumulator(args);
        }
        Ok(Box::new(Interpolated {
            part: part(&args)?,
            descending: args.order_bys.first().is_some_and(|key| key.options.descending),
            distinct: args.is_distinct,
            data_type: args.return_field.data_type().clone(),
            values: Vec::new(),
        }))
    }
}

/// The constant between 0 and 1.
fn part(args: &AccumulatorArgs) -> Result<f64> {
    let refused = |what: String| {
        let error = Error::new(SqlState::InvalidParameterValue, what);
        Err(into_datafusion(
            error.with_hint("The percentile is a number between 0 and 1."),
        ))
    };
    let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let value = match args.exprs.get(1).map(|expr| expr.evaluate(&none)) {
        Some(Ok(ColumnarValue::Scalar(value))) => value.cast_to(&DataType::Float64)?,
        _ => return refused("a percentile has to be a constant".to_owned()),
    };
    match value {
        ScalarValue::Float64(Some(part)) if (0.0..=1.0).contains(&part) => Ok(part),
        other => refused(format!("a percentile cannot be {other}")),
    }
}

/// All values of a group. Floats of 32 bits are computed with as such of 64.
#[derive(Debug)]
struct Interpolated {
    part: f64,
    descending: bool,
    distinct: bool,
    data_type: DataType,
    values: Vec<f64>,
}

impl Interpolated {
    fn interpolated(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.values.iter().map(|value| value + 0.0).collect();
        // Every NaN is the largest value, whatever its sign.
        sorted.sort_unstable_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
        if self.distinct {
            sorted.dedup_by(|a, b| a == b || a.is_nan() && b.is_nan());
        }
        if self.descending {
            sorted.reverse();
        }
        let place = self.part * sorted.len().checked_sub(1)? as f64;
        let (lower, upper) = (
            *sorted.get(place.floor() as usize)?,
            *sorted.get(place.ceil() as usize)?,
        );
        // Of two equal infinities there is no difference.
        Some(match lower == upper {
            true => lower,
            false => lower + (upper - lower) * place.fract(),
        })
    }
}

fn floats(array: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(array, &DataType::Float64)?
        .as_primitive::<Float64Type>()
        .clone())
}

impl Accumulator for Interpolated {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else {
            return exec_err!("an aggregate got no argument");
        };
        self.values.extend(floats(column)?.iter().flatten());
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::Float64(self.interpolated()).cast_to(&self.data_type)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: ArrayRef = Arc::new(Float64Array::from(std::mem::take(&mut self.values)));
        let values = cast(&values, &self.data_type)?;
        let field = Arc::new(Field::new_list_field(self.data_type.clone(), true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
        let list = arrow::array::ListArray::try_new(field, offsets, values, None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(lists) = states.first() else {
            return exec_err!("the state of an aggregate is missing");
        };
        for list in lists.as_list::<i32>().iter().flatten() {
            self.values.extend(floats(&list)?.iter().flatten());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(column) = values.first() else {
            return exec_err!("an aggregate got no argument");
        };
        for value in floats(column)?.iter().flatten() {
            let same = |known: &f64| known.to_bits() == value.to_bits();
            if let Some(at) = self.values.iter().position(same) {
                self.values.swap_remove(at);
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_keep_their_digits() {
        let of = |values: &[f64], part, descending| {
            let group = Interpolated {
                part,
                descending,
                distinct: false,
                data_type: DataType::Float64,
                values: values.to_vec(),
            };
            group.interpolated()
        };
        let values = [100.0, 0.0, 2.0, 1.0, 3.0];
        assert_eq!(of(&values, 0.3, false), Some(1.2));
        assert_eq!(of(&values, 0.25, true), Some(3.0));
        assert_eq!(of(&values, 0.9, false), Some(3.0 + 97.0 * 0.6000000000000001));
        assert_eq!(of(&[], 0.5, false), None);
        assert_eq!(
            of(&[f64::INFINITY, f64::INFINITY], 0.5, false),
            Some(f64::INFINITY)
        );
        assert!(of(&[f64::NAN, 1.0], 1.0, false).is_some_and(f64::is_nan));
    }
}
