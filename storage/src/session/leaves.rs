//! The rule that moves accesses to fields of structures towards scans, kept from plans that it cannot make.
//!
//! It brings a column of a table and an alias of the same name into one projection (`SELECT s['a'] FROM (SELECT id AS n,
//! t.n AS m, s FROM t …)`), which then has no schema (`extract_leaf_expressions.rs` of `datafusion-optimizer` 55; no issue
//! is known upstream). The access stays where it is then.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::OptimizerConfig;

use super::guards::{Guard, Rule};

pub(super) const GUARD: Guard = Guard {
    rules: &["extract_leaf_expressions", "push_down_leaf_projections"],
    rewrite,
};

fn rewrite(rule: &Rule, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    match rule.rewrite(plan.clone(), config) {
        Err(error) if is_of_schema(&error) => Ok(Transformed::no(plan)),
        rewritten => rewritten,
    }
}

fn is_of_schema(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::SchemaError(..))
}
