//! MIN and MAX of floats in their order: NaN is the greatest. DataFusion's compare a NaN as neither less nor
//! greater, so that what they give depends on the order of rows. Floats go through them as integers that
//! order the same way, nested values as their codes, since what DataFusion does with them depends on the type, the
//! order of rows and the path; all other types are DataFusion's.

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
use super::nested;

/// DataFusion's MIN or MAX, with floats and nested values in their order.
#[derive(Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Extreme<B> {
    builtin: B,
}

/// The type of what stands for values of a type.
fn keys_of(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Float64 => Some(DataType::Int64),
        DataType::Float32 => Some(DataType::Int32),
        kind if nested::is_nested(kind) => Some(DataType::Binary),
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
        kind if nested::is_nested(kind) => Arc::new(nested::codes(array)?),
        other => return internal_err!("{other} has no keys"),
    })
}

fn mapped<F: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &PrimitiveArray<F>,
    map: impl Fn(F::Native) -> T::Native,
) -> ArrayRef {
    Arc::new(array.unary::<_, T>(map))
}

/// The values of a type for which keys stand.
fn to_values(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
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
        DataType::Binary => nested::of_codes(array.as_binary(), kind)?,
        other => return internal_err!("{other} is no type of keys"),
    })
}

/// The type of the values, and the result of DataFusion's accumulator over keys; none where it takes the values as
/// they are.
fn over_keys(args: &AccumulatorArgs<'_>) -> Option<(DataType, FieldRef)> {
    let kind = args.return_field.data_type();
    let key = Arc::new(Field::new("key", keys_of(kind)?, true));
    Some((kind.clone(), key))
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
            Some((kind, return_field)) => Ok(Box::new(ByKey {
                within: self
                    .builtin
                    .accumulator(AccumulatorArgs { return_field, ..args })?,
                kind,
            })),
            None => self.builtin.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match over_keys(&args) {
            Some((_, return_field)) => self
                .builtin
                .groups_accumulator_supported(AccumulatorArgs { return_field, ..args }),
            None => self.builtin.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match over_keys(&args) {
            Some((kind, return_field)) => {
                let args = AccumulatorArgs { return_field, ..args };
                let within = self.builtin.create_groups_accumulator(args)?;
                Ok(Box::new(GroupsByKey { within, kind }))
            }
            None => self.builtin.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match over_keys(&args) {
            Some((kind, return_field)) => {
                let args = AccumulatorArgs { return_field, ..args };
                let within = self.builtin.create_sliding_accumulator(args)?;
                Ok(Box::new(ByKey { within, kind }))
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

    /// Statistics leave NaN out, and compare nested values otherwise.
    fn value_from_stats(&self, args: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        match keys_of(args.return_type) {
            Some(_) => None,
            None => self.builtin.value_from_stats(args),
        }
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.builtin.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.builtin.documentation()
    }
}

/// Values in, keys within, values out.
#[derive(Debug)]
struct ByKey {
    within: Box<dyn Accumulator>,
    /// The type of the values.
    kind: DataType,
}

impl Accumulator for ByKey {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.within.update_batch(&[to_keys(&values[0])?])
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.within.retract_batch(&[to_keys(&values[0])?])
    }

    fn supports_retract_batch(&self) -> bool {
        self.within.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.within.merge_batch(&[to_keys(&states[0])?])
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let key = self.within.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&to_values(&key, &self.kind)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.within.size()
    }
}

/// [`ByKey`] for groups.
struct GroupsByKey {
    within: Box<dyn GroupsAccumulator>,
    kind: DataType,
}

impl GroupsByKey {
    fn values(&self, keys: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        keys.iter().map(|keys| to_values(keys, &self.kind)).collect()
    }
}

impl GroupsAccumulator for GroupsByKey {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.within
            .update_batch(&[to_keys(&values[0])?], groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.within.merge_batch(&[to_keys(&states[0])?], groups, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        to_values(&self.within.evaluate(emit)?, &self.kind)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.within.state(emit)?;
        self.values(&states)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let states = self.within.convert_to_state(&[to_keys(&values[0])?], filter)?;
        self.values(&states)
    }

    fn size(&self) -> usize {
        self.within.size()
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
        let back = to_values(&keys, &DataType::Float64).unwrap();
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
