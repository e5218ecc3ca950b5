//! The subqueries that DataFusion evaluates right, and that are left to it.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema, JoinType, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::{contains_subquery, domain, subquery_of};

/// A condition of WHERE, or a part of one between AND and OR: a row passes if it is true, so that NULL may be
/// taken for false.
pub(super) fn as_condition(expr: &Expr, outer: &DFSchema) -> Result<bool> {
    as_part(expr, outer, true)
}

fn as_part(expr: &Expr, outer: &DFSchema, whole: bool) -> Result<bool> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And | Operator::Or,
            right,
        }) => as_part(left, outer, false)? && as_part(right, outer, false)?,
        Expr::Exists(found) => is_joinable(&found.subquery.subquery, outer)?,
        Expr::Not(inner) => match inner.as_ref() {
            Expr::Exists(found) => is_joinable(&found.subquery.subquery, outer)?,
            other => !contains_subquery(other)?,
        },
        Expr::InSubquery(found) if contains_subquery(&found.expr)? => false,
        Expr::InSubquery(found) if found.negated => {
            whole && domain::references(&found.subquery.subquery)?.is_empty()
        }
        Expr::InSubquery(found) => is_joinable(&found.subquery.subquery, outer)?,
        other => {
            let mut left = true;
            other.apply(|inner| {
                if subquery_of(inner).is_some() {
                    left = left && in_expression(inner, outer, true)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            left
        }
    })
}

/// A subquery anywhere in an expression: a scalar one that reads nothing outside, or, where DataFusion looks for
/// them, an aggregate over rows that are found by equality.
pub(super) fn in_expression(expr: &Expr, outer: &DFSchema, correlated: bool) -> Result<bool> {
    let Expr::ScalarSubquery(subquery) = expr else {
        return Ok(false);
    };
    let plan = subquery.subquery.as_ref();
    let read = domain::references(plan)?;
    if read.is_empty() {
        return Ok(true);
    }
    Ok(correlated && read.iter().all(|(_, column)| outer.has_column(column)) && is_aggregate(plan)?)
}

/// A lateral subquery that is a selection of rows.
pub(super) fn as_lateral(plan: &LogicalPlan, outer: &DFSchema) -> Result<bool> {
    is_joinable(plan, outer)
}

/// Rows of tables and inner joins, selected by conditions: these conditions become those of a join.
fn is_joinable(plan: &LogicalPlan, outer: &DFSchema) -> Result<bool> {
    let read = domain::references(plan)?;
    if read.is_empty() {
        return Ok(true);
    }
    Ok(read.iter().all(|(_, column)| outer.has_column(column)) && selects(plan, false)?)
}

fn selects(plan: &LogicalPlan, by_equality: bool) -> Result<bool> {
    if domain::references(plan)?.is_empty() {
        return Ok(true);
    }
    Ok(match plan {
        LogicalPlan::Filter(found) => {
            let mut fits = true;
            for condition in split_conjunction(&found.predicate) {
                fits = fits
                    && (!condition.contains_outer()
                        || (!contains_subquery(condition)?
                            && (!by_equality || is_equality(condition, found.input.schema()))));
            }
            fits && selects(&found.input, by_equality)?
        }
        LogicalPlan::Projection(found) => {
            found.expr.iter().all(|expr| !expr.contains_outer()) && selects(&found.input, by_equality)?
        }
        // DataFusion does not find the columns that a condition within a derived table reads if that does not give them.
        LogicalPlan::Join(found) if found.join_type == JoinType::Inner => {
            let outer = |expr: &Expr| expr.contains_outer();
            let condition = found.filter.iter().any(outer);
            let keys = found.on.iter().any(|(l, r)| outer(l) || outer(r));
            !condition && !keys && selects(&found.left, by_equality)? && selects(&found.right, by_equality)?
        }
        _ => false,
    })
}

/// `own = outer`, in either order, where `own` is a column. Floats, nested values and values of two types are compared by
/// functions of them, which DataFusion takes for no equality of columns.
fn is_equality(condition: &Expr, schema: &DFSchema) -> bool {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = condition
    else {
        return false;
    };
    let plain = |kind: &DataType| !kind.is_floating() && !kind.is_nested();
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(own), Expr::OuterReferenceColumn(outer, _))
        | (Expr::OuterReferenceColumn(outer, _), Expr::Column(own)) => {
            let kind = outer.data_type();
            plain(kind)
                && schema
                    .field_from_column(own)
                    .is_ok_and(|own| own.data_type() == kind)
        }
        _ => false,
    }
}

/// An aggregate without GROUP BY whose rows are found by equality, and that is NULL without rows; or a count.
fn is_aggregate(plan: &LogicalPlan) -> Result<bool> {
    let (mut plan, mut computed) = (plan, false);
    loop {
        match plan {
            LogicalPlan::Projection(found) => {
                for expr in &found.expr {
                    let expr = expr.clone().unalias();
                    computed = computed || !matches!(expr, Expr::Column(_));
                    if !gives_null_for_null(&expr) {
                        return Ok(false);
                    }
                }
                plan = &found.input;
            }
            // DataFusion does not find the mark that it adds to an aggregate where a derived table is around that.
            LogicalPlan::Aggregate(found) if found.group_expr.is_empty() => {
                for expr in &found.aggr_expr {
                    if expr.contains_outer() || contains_subquery(expr)? {
                        return Ok(false);
                    }
                    if let Expr::AggregateFunction(function) = expr.clone().unalias()
                        && function.func.name() == "count"
                        && computed
                    {
                        return Ok(false);
                    }
                }
                return selects(&found.input, true);
            }
            _ => return Ok(false),
        }
    }
}

fn gives_null_for_null(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Cast(cast) => gives_null_for_null(&cast.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            use Operator::{Divide, Minus, Modulo, Multiply, Plus};
            matches!(op, Plus | Minus | Multiply | Divide | Modulo)
                && gives_null_for_null(left)
                && gives_null_for_null(right)
        }
        _ => false,
    }
}
