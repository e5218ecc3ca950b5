//! Predicates `expression = literal` whose expression holds that literal: `coalesce(f, '0') = '0'`.
//!
//! DataFusion takes both sides for the same and writes one for the other in sort keys. Where one side holds the
//! other, each time it does so gives another key, so that what is sorted by a key is never known to be. Such a
//! predicate is written as `(…) IS TRUE`, which filters alike and equates nothing.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Has to be the last rule, as others simplify `IS TRUE`.
#[derive(Debug)]
pub(super) struct GuardedEqualities;

impl OptimizerRule for GuardedEqualities {
    fn name(&self) -> &str {
        "guarded_equalities"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(filter) if split(&filter.predicate).any(equates_itself) => {
                let predicate = guarded(filter.predicate);
                Filter::try_new(predicate, filter.input)
                    .map(|filter| Transformed::yes(LogicalPlan::Filter(filter)))
            }
            LogicalPlan::TableScan(mut scan) if scan.filters.iter().flat_map(split).any(equates_itself) => {
                scan.filters = scan.filters.into_iter().map(guarded).collect();
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn split(predicate: &Expr) -> std::vec::IntoIter<&Expr> {
    datafusion::logical_expr::utils::split_conjunction(predicate).into_iter()
}

fn guarded(predicate: Expr) -> Expr {
    let parts = split_conjunction_owned(predicate)
        .into_iter()
        .map(|part| match equates_itself(&part) {
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
