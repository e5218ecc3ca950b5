//! Sort keys of aggregates that stand there twice: `first_value(x ORDER BY a, a DESC)`.
//!
//! The second decides nothing. DataFusion's accumulators keep as many keys as are written and compare as many
//! as differ, and panic where the numbers are not the same.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Leaves the first of equal keys. It is an optimizer rule, as others make keys equal, and aggregates of
/// DISTINCT ON.
#[derive(Debug)]
pub(super) struct DistinctSortKeys;

impl OptimizerRule for DistinctSortKeys {
    fn name(&self) -> &str {
        "distinct_sort_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else {
            return Ok(Transformed::no(plan));
        };
        if !aggregate.aggr_expr.iter().any(has_repeated_keys) {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|expr| {
                Ok(match expr {
                    Expr::AggregateFunction(call) if repeats(&call.params.order_by) => {
                        Transformed::yes(Expr::AggregateFunction(distinct(call)))
                    }
                    other => Transformed::no(other),
                })
            })?;
            Ok(match changed.transformed {
                true => changed.update_data(|expr| name.restore(expr)),
                false => changed,
            })
        })
    }
}

fn has_repeated_keys(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(matches!(expr, Expr::AggregateFunction(call) if repeats(&call.params.order_by))))
        .unwrap_or_default()
}

fn repeats(keys: &[SortExpr]) -> bool {
    let first = |index: usize, key: &SortExpr| keys[..index].iter().all(|other| other.expr != key.expr);
    keys.iter().enumerate().any(|(index, key)| !first(index, key))
}

fn distinct(mut call: AggregateFunction) -> AggregateFunction {
    let keys = std::mem::take(&mut call.params.order_by);
    for key in keys {
        if call.params.order_by.iter().all(|other| other.expr != key.expr) {
            call.params.order_by.push(key);
        }
    }
    call
}
