//! Predicates from which DataFusion concludes more than they say. They are written as `(…) IS TRUE`, which filters alike
//! and lets nothing be concluded.
//!
//! - `coalesce(f, '0') = '0'`: both sides are taken for the same, and one is written for the other in sort keys. Where one
//!   side holds the other, each time gives another key, so that what is sorted by a key is never known to be.
//! - `n / 10 = 1`, `CAST(t AS DATE) = DATE '2024-01-01'`: `FilterExec` narrows the bounds of the columns by interval
//!   arithmetic, which inverts a division and a cast as if they lost nothing. `t` then is one value, midnight, and a
//!   sort by it is left out. For dates that are subtracted and casts to dates the arithmetic fails as a whole.
//!   The code is `analyze` in `datafusion-physical-expr`; no issue is known upstream. `TRY_CAST` takes no part in it and
//!   prunes files as well as `CAST`, so that it stands for the casts that never fail.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, Filter, LogicalPlan, Operator, TryCast,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Has to be the last rule, as others simplify `IS TRUE`.
#[derive(Debug)]
pub(super) struct GuardedPredicates;

impl OptimizerRule for GuardedPredicates {
    fn name(&self) -> &str {
        "guarded_predicates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(Filter { predicate, input, .. }) => {
                let attempted = predicate.transform_up(|expr| attempted(expr, input.schema()))?;
                let misread = |part: &Expr| equates_itself(part) || computes(part, input.schema());
                let guarded = match split_conjunction(&attempted.data).into_iter().any(misread) {
                    true => Transformed::yes(guarded(attempted.data, misread)),
                    false => attempted,
                };
                let changed = guarded.transformed;
                let filter = LogicalPlan::Filter(Filter::try_new(guarded.data, input)?);
                Ok(Transformed::new_transformed(filter, changed))
            }
            LogicalPlan::TableScan(mut scan)
                if scan
                    .filters
                    .iter()
                    .flat_map(split_conjunction)
                    .any(equates_itself) =>
            {
                let filters = scan.filters.into_iter();
                scan.filters = filters.map(|filter| guarded(filter, equates_itself)).collect();
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn guarded(predicate: Expr, misread: impl Fn(&Expr) -> bool) -> Expr {
    let parts = split_conjunction_owned(predicate)
        .into_iter()
        .map(|part| match misread(&part) {
            true => part.is_true(),
            false => part,
        });
    conjunction(parts).unwrap_or_else(|| datafusion::logical_expr::lit(true))
}

/// Whether a predicate equates a literal with an expression that holds it.
fn equates_itself(predicate: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = predicate
    else {
        return false;
    };
    let holds = |literal: &Expr, other: &Expr| {
        matches!(literal, Expr::Literal(..))
            && !matches!(other, Expr::Literal(..))
            && other.exists(|part| Ok(part == literal)).unwrap_or_default()
    };
    holds(left, right) || holds(right, left)
}

/// Whether a comparison is one of results that interval arithmetic would invert, and loses something.
fn computes(predicate: &Expr, schema: &DFSchema) -> bool {
    let compares =
        |part: &Expr| matches!(part, Expr::BinaryExpr(BinaryExpr { op, .. }) if op.supports_propagation());
    let loses = |part: &Expr| match part {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => op.is_numerical_operators(),
        Expr::Cast(Cast { expr, field }) => {
            !matches!(expr.as_ref(), Expr::Literal(..))
                && !expr
                    .get_type(schema)
                    .is_ok_and(|from| loses_nothing(&from, field.data_type()))
        }
        _ => false,
    };
    compares(predicate) && predicate.exists(|part| Ok(loses(part))).unwrap_or_default()
}

/// `TRY_CAST` in the place of a cast that loses something and never fails.
fn attempted(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: inner, field }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let from = inner.get_type(schema)?;
    let to = field.data_type();
    Ok(match !loses_nothing(&from, to) && never_fails(&from, to) {
        true => Transformed::yes(Expr::TryCast(TryCast { expr: inner, field })),
        false => Transformed::no(Expr::Cast(Cast { expr: inner, field })),
    })
}

/// Casts of which the result says what the value was, or that fail.
fn loses_nothing(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => digits(*from) <= digits(*to),
        (DataType::Date32, DataType::Timestamp(..) | DataType::Date64) => true,
        (DataType::Float32, DataType::Float64) => true,
        (from, to) if from.is_integer() && to.is_integer() => true,
        (from, DataType::Float64) if from.is_integer() => !matches!(from, DataType::Int64 | DataType::UInt64),
        (from, to) => from == to,
    }
}

fn never_fails(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(..), DataType::Date32 | DataType::Date64) => true,
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => digits(*from) > digits(*to),
        (from, to) => from.is_integer() && (to.is_floating() || to.is_string()),
    }
}

/// Decimal digits of the fractions of a second.
fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}
