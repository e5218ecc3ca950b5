//! Nodes whose expressions hold subqueries.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinType, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Sort};

use super::attach::Attach;
use super::{Fresh, contains_subquery, domain, refused, simple, subquery_of};

/// Replaces the subqueries of a node that are not left to DataFusion.
pub(super) fn rewrite(node: LogicalPlan, fresh: &mut Fresh<'_>) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Filter(found) => filter(found, fresh),
        LogicalPlan::Sort(found) => sort(found, fresh),
        LogicalPlan::Join(found) => join(found, fresh),
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => {
            expressions(node, fresh)
        }
        other => Ok(other),
    }
}

fn expressions(node: LogicalPlan, fresh: &mut Fresh<'_>) -> Result<LogicalPlan> {
    let Some(input) = node.inputs().first().map(|input| LogicalPlan::clone(input)) else {
        return Ok(node);
    };
    let projects = matches!(node, LogicalPlan::Projection(_));
    let schema = Arc::clone(input.schema());
    let mut attach = Attach::new(input, fresh);
    let names = NamePreserver::new(&node);
    let left = |expr: &Expr| -> Result<bool> { simple::in_expression(expr, &schema, projects) };
    let replaced = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let replaced = attach.replace(expr, &left)?;
        Ok(replaced.update_data(|expr| name.restore(expr)))
    })?;
    let Some(input) = attach.finish() else {
        return Ok(replaced.data);
    };
    let node = replaced.data;
    let passes_on = matches!(node, LogicalPlan::Window(_));
    let kept = Arc::clone(node.schema());
    let exprs = node.expressions();
    let node = node.with_new_exprs(exprs, vec![input])?;
    match passes_on {
        true => only(node, &kept),
        false => Ok(node),
    }
}

fn filter(found: Filter, fresh: &mut Fresh<'_>) -> Result<LogicalPlan> {
    let input = Arc::unwrap_or_clone(found.input);
    let schema = Arc::clone(input.schema());
    let (mut plain, mut left, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for expr in split_conjunction_owned(found.predicate) {
        match contains_subquery(&expr)? {
            false => plain.push(expr),
            true if simple::as_condition(&expr, &schema)? => left.push(expr),
            true => ours.push(expr),
        }
    }
    if ours.is_empty() {
        plain.append(&mut left);
        return filtered(input, plain);
    }
    // Rows that other conditions remove need no subquery.
    let mut attach = Attach::new(filtered(input, plain)?, fresh);
    let replaced = ours
        .into_iter()
        .map(|expr| attach.replace(expr, &|expr| simple::in_expression(expr, &schema, true)))
        .map(|replaced| replaced.map(|replaced| replaced.data))
        .collect::<Result<Vec<_>>>()?;
    let input = attach.plan();
    left.extend(replaced);
    only(filtered(input, left)?, &schema)
}

fn filtered(input: LogicalPlan, conditions: Vec<Expr>) -> Result<LogicalPlan> {
    match conjunction(conditions) {
        Some(predicate) => Filter::try_new(predicate, Arc::new(input)).map(LogicalPlan::Filter),
        None => Ok(input),
    }
}

/// The columns of a schema alone.
pub(super) fn only(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let columns = schema.columns().into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// A subquery in ORDER BY may read columns that are not selected.
fn sort(found: Sort, fresh: &mut Fresh<'_>) -> Result<LogicalPlan> {
    let Sort { expr, input, fetch } = found;
    let kept = Arc::clone(input.schema());
    let (below, mut selected) = match input.as_ref() {
        LogicalPlan::Projection(projection) if !covers(&expr, &kept)? => {
            (Arc::clone(&projection.input), Some(projection.expr.clone()))
        }
        _ => (Arc::clone(&input), None),
    };
    let schema = Arc::clone(below.schema());
    let mut attach = Attach::new(Arc::unwrap_or_clone(below), fresh);
    let left = |expr: &Expr| -> Result<bool> { simple::in_expression(expr, &schema, false) };
    let mut keys = Vec::with_capacity(expr.len());
    for (index, key) in expr.into_iter().enumerate() {
        let replaced = attach.replace(key.expr.clone(), &left)?;
        let expr = match &mut selected {
            Some(selected) if replaced.transformed => {
                let name = format!("__key_{index}");
                selected.push(replaced.data.alias(&name));
                Expr::Column(Column::new_unqualified(name))
            }
            _ => replaced.data,
        };
        keys.push(key.with_expr(expr));
    }
    let builder = LogicalPlanBuilder::from(attach.plan());
    let builder = match selected {
        Some(selected) => builder.project(selected)?,
        None => builder,
    };
    let sorted = builder.sort_with_limit(keys, fetch)?.build()?;
    only(sorted, &kept)
}

/// Whether a schema has all columns that subqueries of these keys read of it.
fn covers(keys: &[datafusion::logical_expr::SortExpr], schema: &DFSchemaRef) -> Result<bool> {
    let mut covered = true;
    for key in keys {
        key.expr.apply(|expr| {
            if let Some(subquery) = subquery_of(expr) {
                let read = domain::references(&subquery.subquery)?;
                covered = covered && read.iter().all(|(_, column)| schema.has_column(column));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(covered)
}

/// A subquery in ON: a condition of the rows of one side, or of an inner join.
fn join(found: Join, fresh: &mut Fresh<'_>) -> Result<LogicalPlan> {
    let Some(condition) = found.filter.clone() else {
        return Ok(LogicalPlan::Join(found));
    };
    let kept = Arc::clone(&found.schema);
    let (mut plain, mut held) = (Vec::new(), Vec::new());
    for expr in split_conjunction_owned(condition) {
        match contains_subquery(&expr)? {
            true => held.push(expr),
            false => plain.push(expr),
        }
    }
    if found.join_type == JoinType::Inner {
        let joined = joined(&found, Arc::clone(&found.left), Arc::clone(&found.right), plain)?;
        let predicate = conjunction(held).unwrap_or_else(|| datafusion::logical_expr::lit(true));
        return filter(Filter::try_new(predicate, Arc::new(joined))?, fresh);
    }
    let (mut left, mut right) = (Arc::clone(&found.left), Arc::clone(&found.right));
    for mut expr in held {
        one_sided(&expr, left.schema(), right.schema())?;
        for (side, other) in [
            (&mut left, found.right.schema()),
            (&mut right, found.left.schema()),
        ] {
            let schema = Arc::clone(side.schema());
            let mut attach = Attach::new(LogicalPlan::clone(side), fresh);
            let replaced = attach.replace(expr, &|expr| {
                Ok(reads(expr, other)? || simple::in_expression(expr, &schema, false)?)
            })?;
            expr = replaced.data;
            *side = Arc::new(attach.plan());
        }
        plain.push(expr);
    }
    only(joined(&found, left, right, plain)?, &kept)
}

/// Refuses an expression with a subquery that reads columns of both sides.
fn one_sided(expr: &Expr, left: &DFSchema, right: &DFSchema) -> Result<()> {
    expr.apply(|inner| {
        if subquery_of(inner).is_some() && reads(inner, left)? && reads(inner, right)? {
            return Err(refused(
                "a condition of an outer join over columns of both sides",
                "Compute the subquery in one of the joined queries.",
            ));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn joined(
    join: &Join,
    left: Arc<LogicalPlan>,
    right: Arc<LogicalPlan>,
    conditions: Vec<Expr>,
) -> Result<LogicalPlan> {
    Join::try_new(
        left,
        right,
        join.on.clone(),
        conjunction(conditions),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
    .map(LogicalPlan::Join)
}

/// Whether an expression or a subquery in it reads a column of a schema.
fn reads(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let mut found = expr
        .column_refs()
        .into_iter()
        .any(|column| schema.has_column(column));
    expr.apply(|inner| {
        if let Some(subquery) = subquery_of(inner) {
            found = found || !domain::references_to(&subquery.subquery, schema)?.is_empty();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
