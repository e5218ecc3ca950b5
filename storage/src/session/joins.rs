//! Joins that compare NULLs as equal, kept apart from those that do not.
//!
//! All keys of a join compare NULLs alike. Some of DataFusion's rules move keys from one join into another and
//! take its way of comparing for theirs: a condition `a = b` beside `c IS NOT DISTINCT FROM d` then holds for
//! NULLs, or the latter no longer does. These rules do not see such joins.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{NullEquality, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The rules that move keys between joins.
const GUARDED: [&str; 2] = ["eliminate_cross_join", "extract_equijoin_predicate"];

/// The rules, with those that move keys between joins kept from joins that compare NULLs as equal.
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

impl OptimizerRule for Guarded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match compares_nulls(&plan) {
            true => Ok(Transformed::no(plan)),
            false => self.0.rewrite(plan, config),
        }
    }
}

/// Whether the joins that begin at a node compare NULLs as equal.
fn compares_nulls(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => compares_nulls(&filter.input),
        LogicalPlan::Join(join) => {
            let own = join.null_equality == NullEquality::NullEqualsNull && !join.on.is_empty();
            own || compares_nulls(&join.left) || compares_nulls(&join.right)
        }
        _ => false,
    }
}
