//! Subqueries in expressions, and lateral ones in FROM, as joins.
//!
//! DataFusion evaluates some shapes of correlated subqueries and gives wrong rows or errors for others. Those
//! that it evaluates right, in [`simple`], are left to it, since its joins are the faster ones. All others
//! become joins here, by the method of "Unnesting Arbitrary Queries" (Neumann and Kemper, BTW 2015): the
//! subquery is evaluated once for all distinct values of the columns that it reads of the outer query, in
//! [`dependent`], and joined to the outer query by those, in [`attach`].

mod aggregate;
mod attach;
mod dependent;
mod domain;
mod join;
mod lateral;
mod node;
mod nullable;
mod repeatable;
mod simple;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery, Union};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

/// Replaces the subqueries that are not left to DataFusion. The plan is not yet typed.
pub(super) fn rewrite(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    if !has_subqueries(&plan)? {
        return Ok(plan);
    }
    let mut fresh = Fresh { state, last: 0 };
    let rewritten = nodes(plan, &mut fresh)?;
    if fresh.last > 0 {
        check_closed(&rewritten)?;
        // Outer joins made columns nullable that were not.
        return recomputed(rewritten);
    }
    Ok(rewritten)
}

/// The plan with the schemas that its nodes have over the inputs that they have now.
pub(super) fn recomputed(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Union(union) => Union::try_new_with_loose_types(union.inputs)
            .map(|union| Transformed::yes(LogicalPlan::Union(union))),
        other => other.recompute_schema().map(Transformed::yes),
    })
    .map(|recomputed| recomputed.data)
}

/// Gives names that no other relation of the statement has.
struct Fresh<'s> {
    state: &'s SessionState,
    last: usize,
}

impl Fresh<'_> {
    fn name(&mut self, what: &str) -> String {
        self.last += 1;
        format!("__{what}_{}", self.last)
    }
}

fn has_subqueries(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        found = found || matches!(node, LogicalPlan::Subquery(_)) || has_subquery_expressions(node)?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

fn has_subquery_expressions(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = found || contains_subquery(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn contains_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|inner| Ok(subquery_of(inner).is_some()))
}

fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(found) => Some(&found.subquery),
        Expr::SetComparison(found) => Some(&found.subquery),
        _ => None,
    }
}

/// Rewrites a plan from its leaves up, and the subqueries of each node before the node.
fn nodes(plan: LogicalPlan, fresh: &mut Fresh<'_>) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up(|node| {
        if !has_subquery_expressions(&node)? {
            return lateral::rewrite(node, fresh);
        }
        let node = nullable::values(node, fresh)?;
        let inner = node.map_subqueries(|plan| match plan {
            LogicalPlan::Subquery(subquery) => {
                aggregate::check(&subquery.subquery)?;
                let inner = nodes(LogicalPlan::clone(&subquery.subquery), fresh)?;
                let subquery = domain::subquery(inner)?;
                Ok(Transformed::yes(LogicalPlan::Subquery(subquery)))
            }
            _ => internal_err!("a subquery is not one"),
        })?;
        node::rewrite(inner.data, fresh).map(Transformed::yes)
    })?;
    Ok(rewritten.data)
}

/// Refuses a plan that still reads columns of an outer query that it does not have.
fn check_closed(plan: &LogicalPlan) -> Result<()> {
    match domain::references(plan)?.into_iter().next() {
        Some((_, column)) => Err(into_datafusion(
            Error::new(
                SqlState::GroupingError,
                format!(
                    "column \"{}\" cannot be read by this subquery",
                    column.flat_name()
                ),
            )
            .with_hint(
                "In a query with GROUP BY or DISTINCT, subqueries read its grouped or selected columns only.",
            ),
        )),
        None => Ok(()),
    }
}

fn refused(what: &str, hint: &str) -> datafusion::common::DataFusionError {
    into_datafusion(
        Error::unsupported(format!("{what} is not supported in a correlated subquery")).with_hint(hint),
    )
}
