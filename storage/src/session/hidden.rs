//! Rules of the physical optimizer that must not look through some nodes.

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

pub(super) type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// A rule that optimizes each node that `hides` by itself, with what is below it, and sees a leaf in its place.
#[derive(Debug)]
pub(super) struct Guarded {
    rule: Rule,
    hides: fn(&Arc<dyn ExecutionPlan>) -> bool,
}

impl Guarded {
    pub(super) fn new(rule: &Rule, hides: fn(&Arc<dyn ExecutionPlan>) -> bool) -> Self {
        Self {
            rule: Arc::clone(rule),
            hides,
        }
    }
}

impl PhysicalOptimizerRule for Guarded {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut any = false;
        plan.apply(|node| {
            any = any || (self.hides)(node);
            Ok(match any {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })?;
        if !any {
            return self.rule.optimize(plan, config);
        }
        // From the leaves up: each such node is optimized down to those below it, and then hidden from what is above
        // it.
        let hidden = plan.transform_up(|node| {
            if !(self.hides)(&node) {
                return Ok(Transformed::no(node));
            }
            let optimized = self.rule.optimize(node, config)?;
            Ok(Transformed::yes(Arc::new(Hidden(optimized)) as _))
        })?;
        let optimized = self.rule.optimize(hidden.data, config)?;
        reveal(optimized)
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }
}

pub(super) fn is_hidden(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<Hidden>().is_some()
}

/// The plan with the hidden ones in their places.
pub(super) fn reveal(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
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

/// A leaf that stands for a plan.
#[derive(Debug)]
pub(super) struct Hidden(Arc<dyn ExecutionPlan>);

impl Hidden {
    pub(super) fn new(plan: Arc<dyn ExecutionPlan>) -> Self {
        Self(plan)
    }
}

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
