//! Orders that a node requires and its input no longer has.
//!
//! DataFusion leaves keys out of sorts where a key is constant or equals another one. Above a union each branch
//! may have left out another key, and nodes above a projection may not see why a key was left out. Its check at
//! the end then refuses the plan. Here such inputs are sorted.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The rule that refuses plans.
const CHECK: &str = "SanityCheckPlan";

/// The rules, with one before the last check that sorts what is to be sorted.
pub(super) fn completed(mut rules: Vec<Rule>) -> Vec<Rule> {
    let place = rules.iter().position(|rule| rule.name() == CHECK);
    rules.insert(place.unwrap_or(rules.len()), Arc::new(RequiredOrders));
    rules
}

#[derive(Debug)]
struct RequiredOrders;

impl PhysicalOptimizerRule for RequiredOrders {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let mut children: Vec<Arc<dyn ExecutionPlan>> = node.children().into_iter().cloned().collect();
            let mut changed = false;
            for (child, required) in children.iter_mut().zip(node.required_input_ordering()) {
                let Some(required) = required else { continue };
                let required = required.into_single();
                let known = child.equivalence_properties();
                if known.ordering_satisfy_requirement(required.clone())? {
                    continue;
                }
                let keys = required.into_iter().map(PhysicalSortExpr::from);
                let Some(order) = LexOrdering::new(keys) else {
                    continue;
                };
                let sort = SortExec::new(order, Arc::clone(child)).with_preserve_partitioning(true);
                *child = Arc::new(sort);
                changed = true;
            }
            if !changed {
                return Ok(Transformed::no(node));
            }
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            node.replace_children(children, options).map(Transformed::yes)
        })
        .map(|sorted| sorted.data)
    }

    fn name(&self) -> &str {
        "RequiredOrders"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
