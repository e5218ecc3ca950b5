//! AVG of decimals as a DOUBLE, from an exact sum: a DECIMAL result would have to cut its digits somewhere.
//! All other types are DataFusion's.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::average::Avg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};

use super::groups::ExactGroups;
use super::total::{DistinctAccumulator, Exact, ExactAccumulator};

#[derive(Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Average {
    builtin: Avg,
}

fn exact_of(kind: &DataType) -> Option<Exact> {
    matches!(kind, DataType::Decimal128(_, _)).then(|| Exact::average(kind))
}

fn exact(args: &AccumulatorArgs<'_>) -> Option<Exact> {
    exact_of(args.expr_fields.first()?.data_type())
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        self.builtin.aliases()
    }

    fn signature(&self) -> &Signature {
        self.builtin.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [DataType::Decimal128(_, _)] => Ok(DataType::Float64),
            _ => self.builtin.return_type(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let input = args.input_fields.first().map(|field| field.data_type());
        match input.and_then(exact_of) {
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
        match exact(&args) {
            Some(_) => !args.is_distinct,
            None => self.builtin.groups_accumulator_supported(args),
        }
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

    fn documentation(&self) -> Option<&Documentation> {
        self.builtin.documentation()
    }
}
