//! The rule that moves accesses to fields of structures towards scans, kept from plans that it cannot make.
//!
//! It brings a column of a table and an alias of the same name into one projection (`SELECT s['a'] FROM (SELECT id AS n,
//! t.n AS m, s FROM t …)`), which then has no schema (`extract_leaf_expressions.rs` of `datafusion-optimizer` 55; no issue
//! is known upstream). The access stays where it is then.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

const GUARDED: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

/// The rules, with these guarded.
pub(super) fn guarded(rules: Vec<Rule>) -> Vec<Rule> {
    rules
        .into_iter()
        .map(|rule| match GUARDED.contains(&rule.name()) {
            true => Arc::new(WherePossible(rule)) as Rule,
            false => rule,
        })
        .collect()
}

#[derive(Debug)]
struct WherePossible(Rule);

impl OptimizerRule for WherePossible {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match self.0.rewrite(plan.clone(), config) {
            Err(error) if is_of_schema(&error) => Ok(Transformed::no(plan)),
            rewritten => rewritten,
        }
    }
}

fn is_of_schema(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::SchemaError(..))
}
