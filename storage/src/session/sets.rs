//! What is constant below an aggregate with grouping sets is not constant above it.
//!
//! `AggregateExec` of DataFusion 55 hands on constants, equal columns and orders of its input also where a grouping set
//! puts NULL in their places, so that sorts above are left out. No issue is known upstream; the code is
//! `AggregateExec::compute_properties`. A union with a relation without rows holds none of these: it becomes the input.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};

use super::hidden::Rule;

/// The rules, with one before all others that removes what aggregates must not hand on.
pub(super) fn completed(mut rules: Vec<Rule>) -> Vec<Rule> {
    rules.insert(0, Arc::new(GroupingSets));
    rules
}

#[derive(Debug)]
struct GroupingSets;

impl PhysicalOptimizerRule for GroupingSets {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(aggregate) = node.downcast_ref::<AggregateExec>() else {
                return Ok(Transformed::no(node));
            };
            let input = aggregate.input();
            let raw = aggregate.mode().input_mode() == AggregateInputMode::Raw;
            if !raw || aggregate.group_expr().is_single() || knows_nothing(input) {
                return Ok(Transformed::no(node));
            }
            let nothing = Arc::new(EmptyExec::new(input.schema()));
            let union = UnionExec::try_new(vec![Arc::clone(input), nothing])?;
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            node.replace_children(vec![union], options).map(Transformed::yes)
        })
        .map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &'static str {
        "grouping_sets"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn knows_nothing(input: &Arc<dyn ExecutionPlan>) -> bool {
    let known = input.equivalence_properties();
    known.constants().is_empty() && known.eq_group().is_empty() && known.oeq_class().is_empty()
}
