//! Walks over the expressions of a plan.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

type Convert<'c> = &'c dyn Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>;

/// Rewrites all expressions of one node, bottom up. Its columns keep their names.
pub(crate) fn rewrite(node: LogicalPlan, convert: Convert<'_>) -> Result<Transformed<LogicalPlan>> {
    walk(node, &|expr, schema| {
        expr.transform_up(|expr| convert(expr, schema))
    })
}

/// The same, top down: for what is converted by the types of its operands, which take long to find once the
/// operands are calls of functions.
pub(super) fn rewrite_down(node: LogicalPlan, convert: Convert<'_>) -> Result<Transformed<LogicalPlan>> {
    walk(node, &|expr, schema| {
        expr.transform_down(|expr| convert(expr, schema))
    })
}

fn walk(node: LogicalPlan, convert: Convert<'_>) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&node.inputs());
    let names = NamePreserver::new(&node);
    let node = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = convert(expr, &schema)?;
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
