//! SUM without overflow: of integers and decimals it is computed in 128 bits and refused only where the
//! result does not fit. All other types are DataFusion's.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::sum::Sum as Builtin;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use super::groups::ExactGroups;
use super::total::{DistinctAccumulator, Exact, ExactAccumulator};

#[derive(Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Sum {
    builtin: Builtin,
}

fn exact(args: &AccumulatorArgs<'_>) -> Option<Exact> {
    Exact::sum(
        args.expr_fields.first()?.data_type(),
        args.return_field.data_type(),
    )
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.builtin.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.builtin.return_type(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map(|field| field.data_type());
        match input.and_then(|input| Exact::sum(input, args.return_type())) {
            Some(exact) if args.is_distinct => Ok(DistinctAccumulator::state_fields(&exact, args.name)),
            Some(exact) => Ok(exact.state_fields(args.name)),
            None => self.builtin.state_fields(args),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match exact(&args) {
            Some(exact) if args.is_distinct => Ok(Box::new(DistinctAccumulator::new(exact, args)?)),
            Some(exact) => Ok(Box::new(ExactAccumulator::new(exact))),
            None => self.builtin.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match exact(&args) {
            Some(exact) => Ok(Box::new(ExactGroups::new(exact))),
            None => self.builtin.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match exact(&args) {
            Some(exact) if !args.is_distinct => Ok(Box::new(ExactAccumulator::new(exact))),
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
