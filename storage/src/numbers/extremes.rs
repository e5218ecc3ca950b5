//! MIN and MAX of floats in their order: NaN is the greatest. DataFusion's compare a NaN as neither less nor
//! greater, so that what they give depends on the order of rows. Floats go through them as integers that
//! order the same way; all other types are DataFusion's.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type,
};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity,
    Signature, StatisticsArgs,
};

use super::floats::OneForm;

/// DataFusion's MIN or MAX, with floats in their order.
#[derive(Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Extreme<B> {
    builtin: B,
}

/// The integers that stand for floats of a type.
fn keys_of(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Float64 => Some(DataType::Int64),
        DataType::Float32 => Some(DataType::Int32),
        _ => None,
    }
}

fn floats_of(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Int64 => Some(DataType::Float64),
        DataType::Int32 => Some(DataType::Float32),
        _ => None,
    }
}

/// An integer that orders as the float does. It is its own inverse but for the form of the float.
fn key64(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

fn key32(bits: i32) -> i32 {
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

fn to_keys(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Float64 => {
            let key = |value: f64| key64(value.one_form().to_bits().cast_signed());
            mapped::<Float64Type, Int64Type>(array.as_primitive(), key)
        }
        DataType::Float32 => {
            let key = |value: f32| key32(value.one_form().to_bits().cast_signed());
            mapped::<Float32Type, Int32Type>(array.as_primitive(), key)
        }
        other => return internal_err!("{other} has no keys"),
    })
}

fn mapped<F: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &PrimitiveArray<F>,
    map: impl Fn(F::Native) -> T::Native,
) -> ArrayRef {
    Arc::new(array.unary::<_, T>(map))
}

fn to_floats(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Int64 => {
            let keys: &PrimitiveArray<Int64Type> = array.as_primitive();
            let floats: Float64Array = keys.unary(|key| f64::from_bits(key64(key).cast_unsigned()));
            Arc::new(floats)
        }
        DataType::Int32 => {
            let keys: &PrimitiveArray<Int32Type> = array.as_primitive();
            let floats: Float32Array = keys.unary(|key| f32::from_bits(key32(key).cast_unsigned()));
            Arc::new(floats)
        }
        other => return internal_err!("{other} is no key of floats"),
    })
}

fn to_float(value: ScalarValue) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&to_floats(&value.to_array()?)?, 0)
}

/// The result of DataFusion's accumulator over keys; none where it takes the values as they are.
fn over_keys(args: &AccumulatorArgs<'_>) -> Option<FieldRef> {
    let kind = keys_of(args.return_field.data_type())?;
    Some(Arc::new(Field::new("key", kind, true)))
}

impl<B: AggregateUDFImpl + Hash + Eq + 'static> AggregateUDFImpl for Extreme<B> {
    fn name(&self) -> &str {
        self.builtin.name()
    }

    fn signature(&self) -> &Signature {
        self.builtin.signature()
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.builtin.coerce_types(args)
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.builtin.return_type(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.builtin.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match over_keys(&args) {
            Some(return_field) => Ok(Box::new(ByKey(
                self.builtin
                    .accumulator(AccumulatorArgs { return_field, ..args })?,
            ))),
            None => self.builtin.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.builtin.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match over_keys(&args) {
            Some(return_field) => {
                let args = AccumulatorArgs { return_field, ..args };
                Ok(Box::new(GroupsByKey(
                    self.builtin.create_groups_accumulator(args)?,
                )))
            }
            None => self.builtin.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match over_keys(&args) {
            Some(return_field) => {
                let args = AccumulatorArgs { return_field, ..args };
                Ok(Box::new(ByKey(self.builtin.create_sliding_accumulator(args)?)))
            }
            None => self.builtin.create_sliding_accumulator(args),
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.builtin.is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.builtin.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    /// Statistics leave NaN out.
    fn value_from_stats(&self, args: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        match args.return_type.is_floating() {
            true => None,
            false => self.builtin.value_from_stats(args),
        }
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.builtin.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.builtin.documentation()
    }
}

/// Floats in, keys within, floats out.
#[derive(Debug)]
struct ByKey(Box<dyn Accumulator>);

impl Accumulator for ByKey {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&[to_keys(&values[0])?])
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&[to_keys(&values[0])?])
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(&[to_keys(&states[0])?])
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.0.evaluate()?;
        match floats_of(&value.data_type()) {
            Some(_) => to_float(value),
            None => internal_err!("an extreme of keys is no key"),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}

/// [`ByKey`] for groups. It has no fields of its own, so that it is small.
struct GroupsByKey(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for GroupsByKey {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.0
            .update_batch(&[to_keys(&values[0])?], groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.0.merge_batch(&[to_keys(&states[0])?], groups, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        to_floats(&self.0.evaluate(emit)?)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit)?.iter().map(to_floats).collect()
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let states = self.0.convert_to_state(&[to_keys(&values[0])?], filter)?;
        states.iter().map(to_floats).collect()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_floats_do() {
        let odd = f64::from_bits(f64::NAN.to_bits() | 1 << 63);
        let values = vec![f64::NEG_INFINITY, -1.5, -0.0, 1e-300, 2.0, f64::INFINITY, odd];
        let array: ArrayRef = Arc::new(Float64Array::from(values));
        let keys = to_keys(&array).unwrap();
        let ordered = keys.as_primitive::<Int64Type>().values().to_vec();
        assert!(ordered.is_sorted(), "{ordered:?}");
        let back = to_floats(&keys).unwrap();
        let back = back.as_primitive::<Float64Type>().values().to_vec();
        assert_eq!(back[..2], [f64::NEG_INFINITY, -1.5]);
        assert_eq!(back[2].to_bits(), 0.0_f64.to_bits());
        assert_eq!(back[6].to_bits(), f64::NAN.to_bits());
    }

    #[test]
    fn small_floats_too() {
        let array: ArrayRef = Arc::new(Float32Array::from(vec![-2.0, -1.0, 0.0, f32::NAN]));
        let keys = to_keys(&array).unwrap();
        assert!(keys.as_primitive::<Int32Type>().values().is_sorted());
    }
}
