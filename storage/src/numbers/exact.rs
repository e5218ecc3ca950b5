//! SUM and AVG without overflow, in the place of DataFusion's: of integers and decimals they are computed in 128
//! bits and refused only where the result does not fit. AVG of decimals is a DOUBLE, as a DECIMAL result would
//! have to cut its digits somewhere. All other types are DataFusion's.

use std::hash::Hash;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use super::groups::ExactGroups;
use super::total::{DistinctAccumulator, Exact, ExactAccumulator};

/// An aggregate of DataFusion that is exact for some types.
pub(super) trait HasExact: AggregateUDFImpl + Hash + Eq + Default + 'static {
    /// Whether it is NULL, a BIGINT, over NULLs that have no type, which DataFusion refuses.
    const TAKES_UNTYPED: bool;

    /// How it is computed over values of a type; none where DataFusion computes it. The result is of the second
    /// type.
    fn exact(input: &DataType, output: &DataType) -> Option<Exact>;

    /// The type of a result that is not DataFusion's.
    fn result(input: &DataType) -> Option<DataType>;
}

impl HasExact for Sum {
    const TAKES_UNTYPED: bool = true;

    fn exact(input: &DataType, output: &DataType) -> Option<Exact> {
        Exact::sum(input, output)
    }

    fn result(_: &DataType) -> Option<DataType> {
        None
    }
}

impl HasExact for Avg {
    const TAKES_UNTYPED: bool = false;

    fn exact(input: &DataType, _: &DataType) -> Option<Exact> {
        matches!(input, DataType::Decimal128(_, _)).then(|| Exact::average(input))
    }

    fn result(input: &DataType) -> Option<DataType> {
        matches!(input, DataType::Decimal128(_, _)).then_some(DataType::Float64)
    }
}

/// The aggregate of ours.
#[derive(Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Exactly<B> {
    builtin: B,
}

fn exact<B: HasExact>(args: &AccumulatorArgs<'_>) -> Option<Exact> {
    B::exact(
        args.expr_fields.first()?.data_type(),
        args.return_field.data_type(),
    )
}

impl<B: HasExact> AggregateUDFImpl for Exactly<B> {
    fn name(&self) -> &str {
        self.builtin.name()
    }

    fn aliases(&self) -> &[String] {
        self.builtin.aliases()
    }

    fn signature(&self) -> &Signature {
        self.builtin.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args.first() {
            // A value without a type, as a parameter is before one is bound.
            Some(DataType::Null) if B::TAKES_UNTYPED => Ok(DataType::Int64),
            input => match input.and_then(B::result) {
                Some(kind) => Ok(kind),
                None => self.builtin.return_type(args),
            },
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map(|field| field.data_type());
        match input.and_then(|input| B::exact(input, args.return_type())) {
            Some(exact) if args.is_distinct => Ok(DistinctAccumulator::state_fields(&exact, args.name)),
            Some(exact) => Ok(exact.state_fields(args.name)),
            None => self.builtin.state_fields(args),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match exact::<B>(&args) {
            Some(exact) if args.is_distinct => Ok(Box::new(DistinctAccumulator::new(exact, args)?)),
            Some(exact) => Ok(Box::new(ExactAccumulator::new(exact))),
            None if B::TAKES_UNTYPED && is_untyped(&args) => Ok(Box::new(Untyped)),
            None => self.builtin.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match exact::<B>(&args) {
            Some(_) => !args.is_distinct,
            None => {
                !(B::TAKES_UNTYPED && is_untyped(&args)) && self.builtin.groups_accumulator_supported(args)
            }
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match exact::<B>(&args) {
            Some(exact) => Ok(Box::new(ExactGroups::new(exact))),
            None => self.builtin.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match exact::<B>(&args) {
            Some(exact) if !args.is_distinct => Ok(Box::new(ExactAccumulator::new(exact))),
            None if B::TAKES_UNTYPED && is_untyped(&args) => Ok(Box::new(Untyped)),
            _ => self.builtin.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.builtin.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.builtin.documentation()
    }
}

fn is_untyped(args: &AccumulatorArgs<'_>) -> bool {
    args.expr_fields
        .first()
        .is_some_and(|field| field.data_type().is_null())
}

/// The sum of NULLs that have no type.
#[derive(Debug)]
struct Untyped;

impl Accumulator for Untyped {
    fn update_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(None))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(None)])
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn retract_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}
