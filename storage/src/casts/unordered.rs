//! Casts that do not keep the order of their values: times of days, dates in zones whose clock was set back over a
//! midnight, and truth values from and to numbers.
//!
//! DataFusion prunes files and row groups by `CAST(min)` and `CAST(max)`, and takes every cast for monotone that is not
//! between text and another type (`rewrite_expr_to_prunable` in `datafusion-pruning`; no issue is known upstream). The
//! times of two instants are no bounds of the times between them, -1 and 1 are both TRUE and 0 is not, and
//! `CAST(NOT c AS INT)` fails there, since NOT moves to a number. Pruning does not look into functions, so that a rule
//! puts functions where these casts are.

use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::compute::kernels::cmp::neq;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF, TryCast};
use datafusion::optimizer::AnalyzerRule;

use super::recast;
use crate::functions::dates_go_back;
use crate::functions::function::function;
use crate::numbers::exprs;

const TIME: DataType = DataType::Time64(TimeUnit::Nanosecond);

static TIME_OF_DAY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        "time_of_day",
        &[],
        "time_of_day(timestamp)",
        |given| match given {
            [DataType::Timestamp(..)] => Some((given.to_vec(), TIME)),
            _ => None,
        },
        |args, _| Ok(cast(&args[0], &TIME)?),
    ))
});

static DATE_OF_INSTANT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        "date_of_instant",
        &[],
        "date_of_instant(timestamp)",
        |given| match given {
            [DataType::Timestamp(..)] => Some((given.to_vec(), DataType::Date32)),
            _ => None,
        },
        |args, _| Ok(cast(&args[0], &DataType::Date32)?),
    ))
});

static TRUTH_OF_NUMBER: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        "truth_of_number",
        &[],
        "truth_of_number(number)",
        |given| match given {
            [kind] if kind.is_numeric() => Some((given.to_vec(), DataType::Boolean)),
            _ => None,
        },
        |args, _| truth_of_number(&args[0]),
    ))
});

static NUMBER_OF_TRUTH: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(function(
        "number_of_truth",
        &[],
        "number_of_truth(boolean)",
        |given| match given {
            [DataType::Boolean] => Some((given.to_vec(), DataType::Int8)),
            _ => None,
        },
        |args, _| Ok(cast(&args[0], &DataType::Int8)?),
    ))
});

pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    [&TIME_OF_DAY, &DATE_OF_INSTANT, &TRUTH_OF_NUMBER, &NUMBER_OF_TRUTH]
        .into_iter()
        .map(|function| Arc::clone(function))
}

fn truth_of_number(numbers: &ArrayRef) -> Result<ArrayRef> {
    let kind = numbers.data_type();
    if kind.is_floating() {
        // -0.0 is zero, which the kernel of comparisons does not say.
        return Ok(cast(numbers, &DataType::Boolean)?);
    }
    let zero = ScalarValue::new_zero(kind)?.to_scalar()?;
    Ok(Arc::new(neq(numbers, &zero)?))
}

/// Puts the functions where the casts are. The plan is typed.
#[derive(Debug)]
pub(crate) struct UnorderedCasts;

impl AnalyzerRule for UnorderedCasts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &convert))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "unordered_casts"
    }
}

fn convert(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (inner, field, attempt) = match &expr {
        Expr::Cast(Cast { expr, field }) => (expr, field, false),
        Expr::TryCast(TryCast { expr, field }) => (expr, field, true),
        _ => return Ok(Transformed::no(expr)),
    };
    let to = field.data_type();
    let function = match (inner.get_type(schema)?, to) {
        (DataType::Timestamp(..), DataType::Time32(_) | DataType::Time64(_)) => &TIME_OF_DAY,
        (DataType::Timestamp(_, Some(zone)), DataType::Date32 | DataType::Date64) if dates_go_back(&zone) => {
            &DATE_OF_INSTANT
        }
        (from, DataType::Boolean) if from.is_numeric() => &TRUTH_OF_NUMBER,
        (DataType::Boolean, to) if to.is_numeric() => &NUMBER_OF_TRUTH,
        _ => return Ok(Transformed::no(expr)),
    };
    let call = function.call(vec![inner.as_ref().clone()]);
    if call.get_type(schema)? == *to {
        return Ok(Transformed::yes(call));
    }
    Ok(Transformed::yes(recast(call, field, attempt)))
}
