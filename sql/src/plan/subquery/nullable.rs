//! Scalar subqueries that may give no row, and then are NULL whatever their column says of itself.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions::core::expr_fn::nullif;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery, lit};

use super::Fresh;

/// Gives the values of a node's scalar subqueries a nullable type where there may be no row.
pub(super) fn values(node: LogicalPlan, fresh: &mut Fresh<'_>) -> Result<LogicalPlan> {
    let changed = node.map_expressions(|expr| {
        expr.transform_up(|inner| match inner {
            Expr::ScalarSubquery(subquery) if may_be_missing(&subquery.subquery) => {
                nullable(subquery).map(|subquery| Transformed::yes(Expr::ScalarSubquery(subquery)))
            }
            other => Ok(Transformed::no(other)),
        })
    })?;
    if changed.transformed {
        // Makes the caller recompute the schemas of the nodes above.
        fresh.last += 1;
    }
    Ok(changed.data)
}

/// Whether a plan gives a value that is declared NOT NULL, and perhaps none.
fn may_be_missing(plan: &LogicalPlan) -> bool {
    let schema = plan.schema();
    let declared = schema.fields().first().is_some_and(|field| {
        !field.is_nullable() && !field.data_type().is_nested() && !field.data_type().is_null()
    });
    declared && !gives_a_row(plan)
}

fn gives_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(found) => gives_a_row(&found.input),
        LogicalPlan::SubqueryAlias(found) => gives_a_row(&found.input),
        LogicalPlan::Sort(found) => gives_a_row(&found.input),
        LogicalPlan::Aggregate(found) => found.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(found) => found.produce_one_row,
        LogicalPlan::Values(found) => !found.values.is_empty(),
        _ => false,
    }
}

fn nullable(subquery: Subquery) -> Result<Subquery> {
    let (qualifier, field) = subquery.subquery.schema().qualified_field(0);
    let value = Expr::Column(Column::from((qualifier, field)));
    let null = lit(ScalarValue::try_from(field.data_type())?);
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone())
        .project([nullif(value, null).alias_qualified(qualifier.cloned(), field.name())])?
        .build()?;
    Ok(Subquery {
        subquery: Arc::new(plan),
        ..subquery
    })
}
