//! The limit of a sort whose input is sorted already.
//!
//! Where a merge in place of `CoalescePartitionsExec` makes a sort superfluous, DataFusion 55 gives the sort's limit to
//! the merge, also if a window, a filter or a join stands between the two and has then read too few rows. No issue is
//! known upstream; the code is `replace_with_order_preserving_variants`. Above such nodes a limit of its own stands over
//! the sort. `LimitPushdown` makes one operator of both again where the sort stays.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::hidden::Rule;

/// The rule that moves limits.
const MOVES: &str = "EnsureRequirements";

/// The rules, with one before that which removes sorts.
pub(super) fn completed(mut rules: Vec<Rule>) -> Vec<Rule> {
    let place = rules.iter().position(|rule| rule.name() == MOVES);
    rules.insert(place.unwrap_or(0), Arc::new(LimitsOfSorts));
    rules
}

#[derive(Debug)]
struct LimitsOfSorts;

impl PhysicalOptimizerRule for LimitsOfSorts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(sort) = node.downcast_ref::<SortExec>() else {
                return Ok(Transformed::no(node));
            };
            let (Some(fetch), false) = (sort.fetch(), sort.preserve_partitioning()) else {
                return Ok(Transformed::no(node));
            };
            if all_rows_pass(sort.input()) {
                return Ok(Transformed::no(node));
            }
            let whole = SortExec::new(sort.expr().clone(), Arc::clone(sort.input()));
            let limit = GlobalLimitExec::new(Arc::new(whole), 0, Some(fetch));
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
