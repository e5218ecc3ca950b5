//! Aggregates with FILTER, and the statistics that answer the aggregates below them.
//!
//! `AggregateStatistics` of DataFusion 55 looks for the partial aggregate that belongs to a final one. It passes over
//! one with FILTER, which statistics cannot answer, and takes the next partial aggregate below for it. No issue is known
//! upstream; the code is `take_optimizable`.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

use super::hidden::{Guarded, Rule};

const GUARDED: &str = "aggregate_statistics";

/// The rules, with the one for statistics kept from looking through aggregates with FILTER.
pub(super) fn guarded(rules: Vec<Rule>) -> Vec<Rule> {
    let guard = |rule: Rule| match rule.name() == GUARDED {
        true => Arc::new(Guarded::new(&rule, has_filter)) as Rule,
        false => rule,
    };
    rules.into_iter().map(guard).collect()
}

fn has_filter(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| aggregate.filter_expr().iter().any(Option::is_some))
}
