//! Pushing predicates down, except through nodes whose columns share names.
//!
//! DataFusion moves a predicate from a node to its input by the names of the columns. Where an input has two
//! columns of one name, as a join of tables with a common column name has, the predicate then reads the
//! first of them. Such nodes are optimized by themselves: no predicate passes into them from above.
//! No issue is known upstream; the code is `FilterRemapper` in `datafusion-physical-plan`.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The names of DataFusion's rules that move predicates.
const GUARDED: [&str; 2] = ["FilterPushdown", "FilterPushdown(Post)"];

/// The rules, with those that move predicates kept to where names are distinct.
pub(super) fn guarded(rules: &[Rule]) -> Vec<Rule> {
    rules
        .iter()
        .map(|rule| match GUARDED.contains(&rule.name()) {
            true => Arc::new(Guarded(Arc::clone(rule))) as Rule,
            false => Arc::clone(rule),
        })
        .collect()
}

#[derive(Debug)]
struct Guarded(Rule);

impl PhysicalOptimizerRule for Guarded {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut any = false;
        plan.apply(|node| {
            any = any || shares_names(node);
            Ok(match any {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })?;
        if !any {
            return self.0.optimize(plan, config);
        }
        // From the leaves up: each node that shares names is optimized down to those below it, and then
        // hidden from what is above it.
        let hidden = plan.transform_up(|node| {
            let reads_shared = node.children().into_iter().any(is_hidden_with_shared_names);
            if !shares_names(&node) && !reads_shared {
                return Ok(Transformed::no(node));
            }
            let optimized = self.0.optimize(node, config)?;
            Ok(Transformed::yes(Arc::new(Hidden(optimized)) as _))
        })?;
        let optimized = self.0.optimize(hidden.data, config)?;
        reveal(optimized)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn shares_names(node: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = node.schema();
    let mut seen = HashSet::new();
    !schema.fields().iter().all(|field| seen.insert(field.name()))
}

fn is_hidden_with_shared_names(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<Hidden>().is_some() && shares_names(node)
}

fn reveal(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_down(|mut node| {
        let mut found = false;
        // A hidden plan may itself begin with one.
        while let Some(hidden) = node.downcast_ref::<Hidden>() {
            found = true;
            node = Arc::clone(&hidden.0);
        }
        Ok(match found {
            true => Transformed::yes(node),
            false => Transformed::no(node),
        })
    })
    .map(|revealed| revealed.data)
}

/// A leaf that stands for a plan and lets no predicate in.
#[derive(Debug)]
struct Hidden(Arc<dyn ExecutionPlan>);

impl DisplayAs for Hidden {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden")
    }
}

impl ExecutionPlan for Hidden {
    fn name(&self) -> &'static str {
        "Hidden"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("a plan that is hidden from the optimizer was run")
    }
}
