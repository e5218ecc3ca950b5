//! Pushing predicates down, except through nodes whose columns share names, and below aggregates without groups.
//!
//! DataFusion moves a predicate from a node to its input by the names of the columns. Where an input has two
//! columns of one name, as a join of tables with a common column name has, the predicate then reads the
//! first of them. Such nodes are optimized by themselves: no predicate passes into them from above.
//! No issue is known upstream; the code is `FilterRemapper` in `datafusion-physical-plan`.
//!
//! A predicate without columns, such as `now() IS NULL`, passes below an aggregate without groups, which gives a row
//! also where no row is left: all columns that the predicate reads are among the keys. Nothing passes into such nodes.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

use super::hidden::{Guarded, Rule, is_hidden};
use super::lists_pushed::WithoutLists;

/// The names of DataFusion's rules that move predicates.
const GUARDED: [&str; 2] = ["FilterPushdown", "FilterPushdown(Post)"];

/// The rules, with those that move predicates kept to where names are distinct.
pub(super) fn guarded(rules: &[Rule]) -> Vec<Rule> {
    rules
        .iter()
        .map(|rule| match GUARDED.contains(&rule.name()) {
            true => {
                let without_lists = Arc::new(WithoutLists(Arc::clone(rule))) as Rule;
                Arc::new(Guarded::new(&without_lists, keeps_predicates_out)) as Rule
            }
            false => Arc::clone(rule),
        })
        .collect()
}

fn shares_names(node: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = node.schema();
    let mut seen = HashSet::new();
    !schema.fields().iter().all(|field| seen.insert(field.name()))
}

fn keeps_predicates_out(node: &Arc<dyn ExecutionPlan>) -> bool {
    let is_shared = |node: &Arc<dyn ExecutionPlan>| is_hidden(node) && shares_names(node);
    shares_names(node)
        || node.children().into_iter().any(is_shared)
        || node
            .downcast_ref::<AggregateExec>()
            .is_some_and(|aggregate| aggregate.group_expr().is_empty())
}
