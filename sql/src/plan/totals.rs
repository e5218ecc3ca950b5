//! `GROUP BY ()` and `GROUPING SETS ((), ())`: as many rows of totals as there are empty sets.
//!
//! They become an aggregate without groups, beside as many rows as there are sets. Grouping sets without any
//! expression are lost where a plan is encoded, so that executors and caches would take two sets for one.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::subquery;

/// The name of what stands for aggregates where there are none.
const ROWS: &str = "__rows";

/// Rewrites the aggregates whose grouping sets are all empty.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => match empty_sets(&aggregate.group_expr) {
            Some(sets) => totals(aggregate, sets).map(Transformed::yes),
            None => Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    match rewritten.transformed {
        true => subquery::recomputed(rewritten.data),
        false => Ok(rewritten.data),
    }
}

/// How many sets there are, if none of them has an expression.
fn empty_sets(groups: &[Expr]) -> Option<usize> {
    match groups {
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => {
            sets.iter().all(Vec::is_empty).then_some(sets.len())
        }
        _ => None,
    }
}

fn totals(aggregate: Aggregate, sets: usize) -> Result<LogicalPlan> {
    let mut calls = aggregate.aggr_expr;
    if calls.is_empty() {
        calls.push(count_all().alias(ROWS));
    }
    let single = Aggregate::try_new(aggregate.input, Vec::new(), calls)?;
    let columns: Vec<Expr> = single.schema.columns().into_iter().map(Expr::Column).collect();
    let single = LogicalPlan::Aggregate(single);
    if sets == 1 {
        return Ok(single);
    }
    let numbers = (0..sets).map(|_| vec![lit(0_i64)]).collect();
    let rows = LogicalPlanBuilder::values(numbers)?.alias("__sets")?.build()?;
    LogicalPlanBuilder::from(single)
        .cross_join(rows)?
        .project(columns)?
        .build()
}
