//! `lead` and `lag` with IGNORE NULLS, which look at a whole partition where they look ahead.
//!
//! DataFusion also computes them row by row from what it has seen of a partition, and loses values there: with two or more
//! rows ahead it does not count the NULL that its range ends at (`evaluate` in `lead_lag.rs` of
//! `datafusion-functions-window` 55; no issue is known upstream). What it computes of a whole partition is right.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::logical_expr::function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

/// Registers them in the place of DataFusion's.
pub(crate) fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for inner in [lag_udwf(), lead_udwf()] {
        registry.register_udwf(Arc::new(WindowUDF::from(Shifted { inner })))?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shifted {
    inner: Arc<WindowUDF>,
}

impl WindowUDFImpl for Shifted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.inner().expressions(args)
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let ignores_nulls = args.ignore_nulls();
        let evaluator = self.inner.inner().partition_evaluator(args)?;
        // One that looks ahead is not causal.
        Ok(match ignores_nulls && !evaluator.is_causal() {
            true => Box::new(OfPartition(evaluator)),
            false => evaluator,
        })
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        self.inner.inner().field(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(types)
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.inner.inner().reverse_expr() {
            ReversedUDWF::Reversed(inner) => {
                ReversedUDWF::Reversed(Arc::new(WindowUDF::from(Self { inner })))
            }
            other => other,
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.inner().documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        let offset = args.get(1).and_then(|offset| offset.downcast_ref::<Literal>());
        let looks_back = match (self.inner.name() == lag_udwf().name(), args.len(), offset) {
            (true, ..=1, _) => true,
            (true, _, Some(offset)) => matches!(offset.value(), ScalarValue::Int64(Some(0..))),
            _ => false,
        };
        // Without NULLs, the row that is so far ahead may lie anywhere behind it.
        match looks_back {
            true => LimitEffect::None,
            false => LimitEffect::Unknown,
        }
    }
}

/// An evaluator that gets whole partitions.
#[derive(Debug)]
struct OfPartition(Box<dyn PartitionEvaluator>);

impl PartitionEvaluator for OfPartition {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        self.0.evaluate_all(values, rows)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.0.evaluate(values, range)
    }

    fn get_range(&self, row: usize, rows: usize) -> Result<Range<usize>> {
        self.0.get_range(row, rows)
    }

    fn supports_bounded_execution(&self) -> bool {
        false
    }
}
