//! Limits that a sort must not pass, and what stands for more of them.
//!
//! A sort that a node above an `OFFSET` without a `LIMIT` requires is moved below it by DataFusion 55, and the sort that is
//! there is removed if nothing above requires it: other rows are left out (`pushdown_requirement_to_children`,
//! `parallelize_sorts`; no issue is known upstream). Such a limit, and the barrier of a view, which no expression of its
//! reader passes, are optimized by themselves, and the order of a limit's input is required.
//!
//! Where a merge in place of `CoalescePartitionsExec` makes a sort superfluous, DataFusion 55 gives the sort's limit to
//! the merge, also if a window, a filter or a join stands between the two and has then read too few rows. No issue is
//! known upstream; the code is `replace_with_order_preserving_variants`. Above such nodes a limit of its own stands over
//! the sort. `LimitPushdown` makes one operator of both again where the sort stays.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::Distribution;
use datafusion::physical_expr_common::sort_expr::OrderingRequirements;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::output_requirements::OutputRequirementExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};

use super::hidden::{Guarded, Rule};
use crate::guard::GuardExec;

/// The rule that moves limits.
const MOVES: &str = "EnsureRequirements";

/// The rules, with the one that moves sorts kept from moving them below such nodes, and one before it.
pub(super) fn completed(rules: &[Rule]) -> Vec<Rule> {
    let mut completed: Vec<Rule> = Vec::with_capacity(rules.len() + 1);
    for rule in rules {
        if rule.name() == MOVES {
            completed.push(Arc::new(LimitsOfSorts));
            completed.push(Arc::new(Guarded::new(rule, keeps_sorts_out)));
        } else {
            completed.push(Arc::clone(rule));
        }
    }
    completed
}

fn keeps_sorts_out(node: &Arc<dyn ExecutionPlan>) -> bool {
    let limit = node.downcast_ref::<GlobalLimitExec>();
    node.is::<GuardExec>() || limit.is_some_and(leaves_out)
}

/// Whether it is an `OFFSET` without a `LIMIT`.
fn leaves_out(limit: &GlobalLimitExec) -> bool {
    limit.skip() > 0 && limit.fetch().is_none()
}

/// The input of a limit, with its order as a requirement, which limits have not: a sort that nothing requires is removed.
/// A projection may have left out the keys. A later rule of DataFusion takes the node away again.
fn in_order(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(projection) = input.downcast_ref::<ProjectionExec>() {
        let below = in_order(projection.input())?;
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        return Arc::clone(input).replace_children(vec![below], options);
    }
    Ok(match input.output_ordering() {
        Some(order) => {
            let order = OrderingRequirements::from(order.clone());
            let input = Arc::clone(input);
            Arc::new(OutputRequirementExec::new(
                input,
                Some(order),
                Distribution::SinglePartition,
                None,
            ))
        }
        None => Arc::clone(input),
    })
}

#[derive(Debug)]
struct LimitsOfSorts;

impl PhysicalOptimizerRule for LimitsOfSorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(limit) = node
                .downcast_ref::<GlobalLimitExec>()
                .filter(|limit| leaves_out(limit))
            {
                let ordered = GlobalLimitExec::new(in_order(limit.input())?, limit.skip(), limit.fetch());
                return Ok(Transformed::yes(Arc::new(ordered) as _));
            }
            let Some(sort) = node.downcast_ref::<SortExec>() else {
                return Ok(Transformed::no(node));
            };
            let (Some(fetch), false) = (sort.fetch(), sort.preserve_partitioning()) else {
                return Ok(Transformed::no(node));
            };
            if all_rows_pass(sort.input()) {
                return Ok(Transformed::no(node));
            }
            let whole: Arc<dyn ExecutionPlan> =
                Arc::new(SortExec::new(sort.expr().clone(), Arc::clone(sort.input())));
            let limit = GlobalLimitExec::new(in_order(&whole)?, 0, Some(fetch));
            Ok(Transformed::yes(Arc::new(limit)))
        })
        .map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &'static str {
        "limits_of_sorts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether rows pass one by one through all nodes that hand on an order.
fn all_rows_pass(node: &Arc<dyn ExecutionPlan>) -> bool {
    let one_by_one =
        node.is::<ProjectionExec>() || node.is::<CoalescePartitionsExec>() || node.is::<RepartitionExec>();
    let orders = node.maintains_input_order();
    node.children()
        .into_iter()
        .zip(orders)
        .all(|(child, keeps_order)| match one_by_one {
            true => all_rows_pass(child),
            false => !keeps_order,
        })
}
