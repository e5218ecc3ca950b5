//! Times as we promise them: TIMESTAMP is an instant, in µs of UTC. The session's time zone is the one in
//! which dates, texts and times without a zone become instants, and in which days and months count.
//!
//! DataFusion has no zone of the session: it takes a date beside an instant for a time of UTC, and counts
//! days in the zone of a type. Types do not carry the session's zone here, so that conversions are put in
//! where it matters: [`operands`] where times meet, [`zones`] where they are cast, cut and added to,
//! [`intervals`] where intervals are compared, and [`aggregates`] where they are grouped.

mod aggregates;
mod intervals;
mod kinds;
mod operands;
mod operator;
mod outer;
mod unions;
mod zones;

pub(super) use operator::operators;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use watershed_storage::numbers::with_numeric_types;

/// Puts conversions of times where they are missing, and gives numbers the types in which they meet. The plan is not yet
/// typed.
pub(super) fn rewrite(plan: LogicalPlan, zone: &str) -> Result<LogicalPlan> {
    let once = rewritten(plan, zone)?;
    if !once.transformed {
        return Ok(once.data);
    }
    // The subqueries of a node are rewritten before what is below it.
    let retyped = outer::retyped(once.data)?;
    match retyped.transformed {
        true => rewritten(retyped.data, zone).data(),
        false => Ok(retyped.data),
    }
}

fn rewritten(plan: LogicalPlan, zone: &str) -> Result<Transformed<LogicalPlan>> {
    let mut changed = false;
    plan.transform_up_with_subqueries(|node| {
        // What is below may have other types than before.
        let node = match changed {
            true => node.recompute_schema()?,
            false => node,
        };
        let node = operands::align(node, zone)?
            .transform_data(|node| expressions(node, zone))?
            .transform_data(aggregates::by_value)?;
        changed |= node.transformed;
        Ok(node)
    })
}

/// An expression over a schema, as [`rewrite`] changes those of plans.
pub(super) fn rewrite_expression(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Expr> {
    expr.transform_up(|expr| convert(expr, schema, zone)).data()
}

fn expressions(node: LogicalPlan, zone: &str) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&node.inputs());
    let names = NamePreserver::new(&node);
    let node = node.map_expressions(|expr| {
        let name = names.save(&expr);
        // Lists below may have other elements than before.
        let changed = expr
            .resolve_lambda_variables(&schema)?
            .transform_data(|expr| expr.transform_up(|expr| convert(expr, &schema, zone)))?;
        Ok(if changed.transformed {
            changed.update_data(|expr| name.restore(expr))
        } else {
            changed
        })
    })?;
    if node.transformed {
        node.map_data(LogicalPlan::recompute_schema)
    } else {
        Ok(node)
    }
}

fn convert(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    // Numbers too: what stands above CASE and unions is planned for the types that their branches have in the end.
    with_numeric_types(expr, schema)?
        .transform_data(|expr| zones::calls(expr, schema, zone))?
        .transform_data(|expr| operands::convert(expr, schema, zone))?
        .transform_data(|expr| intervals::convert(expr, schema))?
        .transform_data(|expr| zones::convert(expr, schema, zone))
}
