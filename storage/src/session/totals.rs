//! Predicates without columns stay above aggregates that give a row where no row is left.
//!
//! `push_down_filter` of DataFusion 55 moves a predicate below an aggregate if all columns that it reads are keys, and
//! so every predicate without columns that is not folded to a constant yet. An aggregate without keys, or with an empty
//! grouping set, then gives a row that the predicate was to remove. No issue is known upstream.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

const GUARDED: &str = "push_down_filter";

/// The rules, with the one that moves predicates kept from such aggregates.
pub(super) fn guarded(rules: Vec<Rule>) -> Vec<Rule> {
    let guard = |rule: Rule| match rule.name() == GUARDED {
        true => Arc::new(Guarded(rule)) as Rule,
        false => rule,
    };
    rules.into_iter().map(guard).collect()
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

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Filter(filter) = &plan
            && let LogicalPlan::Aggregate(aggregate) = filter.input.as_ref()
            && has_total(aggregate)
        {
            return Ok(Transformed::no(plan));
        }
        self.0.rewrite(plan, config)
    }
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
