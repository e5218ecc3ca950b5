//! The types of columns that subqueries read of the queries around them, once those have other types than when they were
//! planned: DataFusion's plans name the type beside the column, and a comparison by another one would be wrong.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

/// The plan with the types that the columns have now.
pub(super) fn retyped(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    plan.transform_down_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|expr| expr.transform_down(|expr| with_subquery(expr, &schema)))
    })
}

fn with_subquery(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let subquery = match &mut expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => subquery,
        _ => return Ok(Transformed::no(expr)),
    };
    let changed = refresh(subquery, schema)?;
    Ok(Transformed::new_transformed(expr, changed))
}

fn refresh(subquery: &mut Subquery, schema: &DFSchema) -> Result<bool> {
    if subquery.outer_ref_columns.is_empty() {
        return Ok(false);
    }
    let mut changed = false;
    let plan = subquery.subquery.as_ref().clone();
    let plan = plan.transform_up_with_subqueries(|node| {
        let node = node.map_expressions(|expr| expr.transform_up(|expr| Ok(column(expr, schema))))?;
        changed |= node.transformed;
        match changed {
            true => node.map_data(LogicalPlan::recompute_schema),
            false => Ok(node),
        }
    })?;
    if changed {
        subquery.subquery = Arc::new(plan.data);
        for outer in &mut subquery.outer_ref_columns {
            *outer = column(std::mem::take(outer), schema).data;
        }
    }
    Ok(changed)
}

/// A column of the query around, with its type there. One of a query further out stays as it is.
fn column(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::OuterReferenceColumn(field, column) = expr else {
        return Transformed::no(expr);
    };
    let now: Option<FieldRef> = schema
        .maybe_index_of_column(&column)
        .map(|index| Arc::clone(schema.field(index)));
    match now {
        Some(now) if now.data_type() != field.data_type() => {
            Transformed::yes(Expr::OuterReferenceColumn(now, column))
        }
        _ => Transformed::no(Expr::OuterReferenceColumn(field, column)),
    }
}
