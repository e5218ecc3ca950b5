//! Exact sums of integers and decimals, over all rows or over a frame.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::AccumulatorArgs;
use std::sync::Arc;

use super::out_of_range;

/// What an exact sum is of, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exact {
    input: DataType,
    output: Output,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Output {
    Sum(DataType),
    Average,
}

impl Exact {
    /// The sum of values of that type as one of another; none where it is not for exact sums.
    pub(super) fn sum(input: &DataType, output: &DataType) -> Option<Self> {
        is_exact(input).then(|| Self {
            input: input.clone(),
            output: Output::Sum(output.clone()),
        })
    }

    /// The average as a DOUBLE.
    pub(super) fn average(input: &DataType) -> Self {
        Self {
            input: input.clone(),
            output: Output::Average,
        }
    }

    fn scale(&self) -> i8 {
        match self.input {
            DataType::Decimal128(_, scale) => scale,
            _ => 0,
        }
    }

    /// The type of sums that go from one step to the next.
    pub(super) fn state_type(&self) -> DataType {
        DataType::Decimal128(38, self.scale())
    }

    pub(super) fn output_type(&self) -> DataType {
        match &self.output {
            Output::Sum(output) => output.clone(),
            Output::Average => DataType::Float64,
        }
    }

    pub(super) fn is_average(&self) -> bool {
        self.output == Output::Average
    }

    /// The fields of a state: the sum, and the number of rows where an average needs it.
    pub(super) fn state_fields(&self, name: &str) -> Vec<FieldRef> {
        let field = |what: &str, kind| Arc::new(Field::new(format!("{name}[{what}]"), kind, true));
        let mut fields = vec![field("sum", self.state_type())];
        if self.is_average() {
            fields.push(field("count", DataType::UInt64));
        }
        fields
    }

    /// A sum as a value of the output.
    pub(super) fn value(&self, total: Total) -> Result<ScalarValue> {
        let Total { sum, count } = total;
        if count == 0 {
            return ScalarValue::try_from(self.output_type());
        }
        let fitting = |value: Option<ScalarValue>| value.ok_or_else(|| self.does_not_fit());
        match &self.output {
            Output::Sum(DataType::Int64) => fitting(i64::try_from(sum).ok().map(ScalarValue::from)),
            Output::Sum(DataType::UInt64) => fitting(u64::try_from(sum).ok().map(ScalarValue::from)),
            Output::Sum(DataType::Decimal128(precision, scale)) => {
                let fits = sum.unsigned_abs() < 10_u128.pow(u32::from(*precision));
                fitting(fits.then_some(ScalarValue::Decimal128(Some(sum), *precision, *scale)))
            }
            Output::Sum(other) => internal_err!("there is no exact sum of type {other}"),
            Output::Average => Ok(ScalarValue::from(quotient(sum, count, self.scale()))),
        }
    }

    pub(super) fn does_not_fit(&self) -> datafusion::common::DataFusionError {
        out_of_range(match &self.output {
            Output::Sum(DataType::Int64) => "a sum of type BIGINT",
            Output::Sum(DataType::UInt64) => "a sum of unsigned integers",
            Output::Sum(_) => "a sum of type DECIMAL",
            Output::Average => "the sum of an average",
        })
    }
}

/// Whether sums of that type are exact.
pub(super) fn is_exact(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Int64 | DataType::UInt64 | DataType::Decimal128(_, _)
    )
}

#[expect(clippy::cast_precision_loss, reason = "an average is as exact as a DOUBLE is")]
fn quotient(sum: i128, count: u64, scale: i8) -> f64 {
    let unit = u32::try_from(scale)
        .ok()
        .and_then(|scale| 10_u128.checked_pow(scale));
    match unit.and_then(|unit| unit.checked_mul(u128::from(count))) {
        // One rounding where both are whole numbers of a DOUBLE.
        Some(divisor) => sum as f64 / divisor as f64,
        None => sum as f64 / count as f64 / 10_f64.powi(i32::from(scale)),
    }
}

/// A sum and the number of values in it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    pub(super) sum: i128,
    pub(super) count: u64,
}

impl Total {
    /// The total of an array; none if it is beyond all bounds.
    fn of(values: &ArrayRef) -> Result<Option<Self>> {
        let count = (values.len() - values.null_count()) as u64;
        let sum = match values.data_type() {
            DataType::Int64 => Some(narrow(values.as_primitive::<Int64Type>())),
            DataType::UInt64 => Some(narrow(values.as_primitive::<UInt64Type>())),
            DataType::Decimal128(_, _) => {
                let values = values.as_primitive::<Decimal128Type>();
                values
                    .iter()
                    .flatten()
                    .try_fold(0_i128, |sum, value| sum.checked_add(value))
            }
            other => return internal_err!("there is no exact sum of type {other}"),
        };
        Ok(sum.map(|sum| Self { sum, count }))
    }

    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            sum: self.sum.checked_add(other.sum)?,
            count: self.count + other.count,
        })
    }

    fn minus(self, other: Self) -> Option<Self> {
        Some(Self {
            sum: self.sum.checked_sub(other.sum)?,
            count: self.count.saturating_sub(other.count),
        })
    }
}

/// A batch of 64-bit numbers has far fewer than the 2⁶³ rows that it would take to overflow.
fn narrow<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> i128
where
    i128: From<T::Native>,
{
    match values.null_count() {
        0 => values.values().iter().map(|value| i128::from(*value)).sum(),
        _ => values.iter().flatten().map(i128::from).sum(),
    }
}

/// The accumulator of an exact sum.
#[derive(Debug)]
pub(super) struct ExactAccumulator {
    exact: Exact,
    total: Total,
}

impl ExactAccumulator {
    pub(super) fn new(exact: Exact) -> Self {
        Self {
            exact,
            total: Total::default(),
        }
    }

    fn add(&mut self, other: Option<Total>) -> Result<()> {
        let total = other.and_then(|other| self.total.plus(other));
        self.total = total.ok_or_else(|| self.exact.does_not_fit())?;
        Ok(())
    }
}

impl Accumulator for ExactAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(Total::of(&values[0])?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let total = Total::of(&values[0])?.and_then(|other| self.total.minus(other));
        self.total = total.ok_or_else(|| self.exact.does_not_fit())?;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let mut total = Total::of(&states[0])?;
        if let (Some(total), Some(counts)) = (&mut total, states.get(1)) {
            total.count = counts.as_primitive::<UInt64Type>().iter().flatten().sum();
        }
        self.add(total)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Total { sum, count } = self.total;
        let sum = ScalarValue::Decimal128((count > 0).then_some(sum), 38, self.exact.scale());
        Ok(match self.exact.is_average() {
            true => vec![sum, ScalarValue::from(count)],
            false => vec![sum],
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.exact.value(self.total)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// An exact sum of distinct values, which another accumulator keeps apart.
#[derive(Debug)]
pub(super) struct DistinctAccumulator {
    values: Box<dyn Accumulator>,
    exact: Exact,
}

impl DistinctAccumulator {
    /// The field of its state: the distinct values.
    pub(super) fn state_fields(exact: &Exact, name: &str) -> Vec<FieldRef> {
        let item = Field::new_list_field(exact.state_type(), true);
        vec![Arc::new(Field::new_list(
            format!("{name}[distinct]"),
            item,
            false,
        ))]
    }

    /// Over DataFusion's accumulator of distinct decimals.
    pub(super) fn new(exact: Exact, args: AccumulatorArgs<'_>) -> Result<Self> {
        use datafusion::functions_aggregate::sum::Sum;
        use datafusion::logical_expr::AggregateUDFImpl;
        let state = Arc::new(Field::new("sum", exact.state_type(), true));
        let values = Sum::new().accumulator(AccumulatorArgs {
            return_field: state,
            ..args
        })?;
        Ok(Self { values, exact })
    }

    fn widened(&self, values: &ArrayRef) -> Result<ArrayRef> {
        Ok(arrow::compute::cast(values, &self.exact.state_type())?)
    }
}

impl Accumulator for DistinctAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = self.widened(&values[0])?;
        self.values.update_batch(&[values])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = self.values.state()?;
        let [ScalarValue::List(list)] = &state[..] else {
            return internal_err!("distinct values are no list");
        };
        let total = Total::of(list.values())?.ok_or_else(|| self.exact.does_not_fit())?;
        self.exact.value(total)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int64Array};

    use super::*;

    fn ints(values: &[i64]) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(values.to_vec()))]
    }

    #[test]
    fn only_the_final_sum_has_to_fit() {
        let exact = Exact::sum(&DataType::Int64, &DataType::Int64).unwrap();
        let mut sum = ExactAccumulator::new(exact.clone());
        sum.update_batch(&ints(&[i64::MAX, 1])).unwrap();
        assert!(sum.evaluate().is_err());
        let state = sum.state().unwrap();
        let mut merged = ExactAccumulator::new(exact);
        merged.merge_batch(&[state[0].to_array().unwrap()]).unwrap();
        assert!(merged.evaluate().is_err());
        merged.update_batch(&ints(&[-1])).unwrap();
        assert_eq!(merged.evaluate().unwrap(), ScalarValue::from(i64::MAX));
        // As a window that slides does it.
        let mut sliding = ExactAccumulator::new(Exact::sum(&DataType::Int64, &DataType::Int64).unwrap());
        sliding.update_batch(&ints(&[-1, i64::MAX, 1])).unwrap();
        sliding.retract_batch(&ints(&[-1, i64::MAX])).unwrap();
        assert_eq!(sliding.evaluate().unwrap(), ScalarValue::from(1_i64));
    }

    #[test]
    fn decimals_do_not_wrap() {
        let kind = DataType::Decimal128(38, 0);
        let mut sum = ExactAccumulator::new(Exact::sum(&kind, &kind).unwrap());
        let nines = Decimal128Array::from(vec![10_i128.pow(38) - 1]);
        let nines: ArrayRef = Arc::new(nines.with_precision_and_scale(38, 0).unwrap());
        sum.update_batch(&[Arc::clone(&nines)]).unwrap();
        assert!(sum.evaluate().is_ok());
        assert!(sum.update_batch(&[nines]).is_err());
    }

    #[test]
    fn averages_are_rounded_once() {
        assert!((quotient(3, 3, 1) - 0.1).abs() < f64::EPSILON / 16.0);
        assert!((quotient(1, 3, 0) - 1.0 / 3.0).abs() < f64::EPSILON / 16.0);
    }
}
