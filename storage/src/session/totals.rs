//! Predicates without columns stay above aggregates that give a row where no row is left.
//!
//! `push_down_filter` of DataFusion 55 moves a predicate below an aggregate if all columns that it reads are keys, and
//! so every predicate without columns that is not folded to a constant yet. An aggregate without keys, or with an empty
//! grouping set, then gives a row that the predicate was to remove. No issue is known upstream.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan};
use datafusion::optimizer::OptimizerConfig;

use super::guards::{Guard, Rule};

pub(super) const GUARD: Guard = Guard {
    rules: &["push_down_filter"],
    rewrite,
};

fn rewrite(rule: &Rule, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Filter(filter) = &plan
        && let LogicalPlan::Aggregate(aggregate) = filter.input.as_ref()
        && has_total(aggregate)
    {
        return Ok(Transformed::no(plan));
    }
    rule.rewrite(plan, config)
}

/// Whether an aggregate gives a row over no rows.
fn has_total(aggregate: &Aggregate) -> bool {
    match aggregate.group_expr.first() {
        None => true,
        Some(Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_))) => true,
        Some(Expr::GroupingSet(GroupingSet::GroupingSets(sets))) => sets.iter().any(Vec::is_empty),
        Some(_) => false,
    }
}
