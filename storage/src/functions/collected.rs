//! `array_agg` and `string_agg` as DataFusion has them, but for two things. Where another aggregate is sorted the other
//! way, DataFusion turns the order of one around and marks it as reversed, which its accumulator of distinct values does
//! not look at (`array_agg` of `datafusion-functions-aggregate` 55; no issue is known upstream). And `string_agg` says
//! that it requires sorted rows, so that two with different orders are refused, though it sorts its values itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::string_agg::string_agg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};
use datafusion::physical_expr::PhysicalSortExpr;
use watershed_core::error::{Error, SqlState};

use super::bounded::batch_limit;
use crate::error::into_datafusion;

pub(super) fn array_agg() -> Arc<AggregateUDF> {
    over(array_agg_udaf())
}

pub(super) fn string_agg() -> Arc<AggregateUDF> {
    over(string_agg_udaf())
}

fn over(inner: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Collected { inner }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Collected {
    inner: Arc<AggregateUDF>,
}

impl Collected {
    /// Whether the accumulator sorts, whatever is said of its input.
    fn always_sorts(&self) -> bool {
        self.inner.name() == string_agg_udaf().name()
    }

    /// Whether the rows of a window come in the reverse of its order.
    fn is_backwards(&self, args: &AccumulatorArgs<'_>) -> bool {
        args.is_reversed && args.order_bys.is_empty() && !self.always_sorts()
    }

    fn accumulates(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if !(args.is_distinct && args.is_reversed) {
            return self.inner.accumulator(args);
        }
        let order: Vec<_> = args.order_bys.iter().map(PhysicalSortExpr::reverse).collect();
        self.inner.accumulator(AccumulatorArgs {
            order_bys: &order,
            is_reversed: false,
            ..args
        })
    }
}

/// Counts the bytes of the results. In a window there is one for each row, and each has what those before it have.
#[derive(Debug)]
struct Counted {
    inner: Box<dyn Accumulator>,
    name: String,
    given: u64,
    /// Whether the window's rows come in the reverse of its order, which DataFusion marks the aggregate with
    /// and does not look at where the aggregate has no order of its own (`array_agg.rs`; no issue is known upstream).
    backwards: bool,
}

impl Counted {
    /// A value that grows with every batch would be copied for as long as memory lasts: it is bounded as values of other
    /// functions are.
    fn check_size(&self) -> Result<()> {
        let (size, most) = (self.inner.size() as u64, batch_limit());
        if size <= most {
            return Ok(());
        }
        let error = Error::new(
            SqlState::OutOfMemory,
            format!("the result of {} takes more than {most} bytes", self.name),
        );
        Err(into_datafusion(error.with_hint(
            "Aggregate fewer or shorter values, or give the process more memory by --memory-limit.",
        )))
    }
}

impl Accumulator for Counted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(values)?;
        self.check_size()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = match self.backwards {
            true => reversed(self.inner.evaluate()?)?,
            false => self.inner.evaluate()?,
        };
        // A single result has what is reserved already.
        let before = self.given;
        self.given = before.saturating_add(value.size() as u64);
        match before > 0 && self.given > batch_limit() {
            true => Err(into_datafusion(
                Error::new(
                    SqlState::OutOfMemory,
                    format!(
                        "the results of {} take {} bytes for one partition",
                        self.name, self.given
                    ),
                )
                .with_hint("Let the window have smaller frames or partitions."),
            )),
            false => Ok(value),
        }
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)?;
        self.check_size()
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

/// A list with its elements in the reverse order.
fn reversed(list: ScalarValue) -> Result<ScalarValue> {
    let ScalarValue::List(lists) = list else {
        return Ok(list);
    };
    if lists.is_null(0) {
        return Ok(ScalarValue::List(lists));
    }
    let values = lists.value(0);
    let backwards = UInt64Array::from_iter_values((0..values.len() as u64).rev());
    let DataType::List(item) = lists.data_type() else {
        return Ok(ScalarValue::List(lists));
    };
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let values = take(values.as_ref(), &backwards, None)?;
    let turned = ListArray::try_new(Arc::clone(item), offsets, values, None)?;
    Ok(ScalarValue::List(Arc::new(turned)))
}

impl AggregateUDFImpl for Collected {
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

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, kind: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(kind)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let backwards = self.is_backwards(&args);
        let inner = self.accumulates(args)?;
        let name = self.inner.name().to_owned();
        Ok(Box::new(Counted {
            inner,
            name,
            given: 0,
            backwards,
        }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let backwards = self.is_backwards(&args);
        let inner = self.inner.create_sliding_accumulator(args)?;
        let name = self.inner.name().to_owned();
        Ok(Box::new(Counted {
            inner,
            name,
            given: 0,
            backwards,
        }))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        if self.always_sorts() {
            return Ok(Some(self));
        }
        let inner = Arc::clone(self.inner.inner()).with_beneficial_ordering(beneficial)?;
        Ok(inner.map(|inner| {
            let inner = Arc::new(AggregateUDF::new_from_shared_impl(inner));
            Arc::new(Self { inner }) as Arc<dyn AggregateUDFImpl>
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        match self.always_sorts() {
            true => AggregateOrderSensitivity::SoftRequirement,
            false => self.inner.order_sensitivity(),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        // Its accumulator does not look at whether it is reversed.
        if self.always_sorts() {
            return ReversedUDAF::NotSupported;
        }
        match self.inner.reverse_udf() {
            ReversedUDAF::Reversed(inner) => ReversedUDAF::Reversed(over(inner)),
            other => other,
        }
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
