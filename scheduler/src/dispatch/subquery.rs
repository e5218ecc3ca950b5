//! Scalar subqueries that refer to nothing outside are answered first, and the query is planned with
//! their values: they prune files like any literal, and every path gives the same answer.

use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery, lit};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use watershed_core::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;

use super::context::StatementContext;
use super::{Dispatch, Job};

/// Subqueries of one query that are answered so. More stay as they are.
const MAX_SUBQUERIES: usize = 64;

/// The plan with the values of its scalar subqueries in their places.
pub(super) fn fold<'a>(
    dispatch: &'a Dispatch,
    statement: &'a Arc<StatementContext>,
    plan: &'a LogicalPlan,
) -> BoxFuture<'a, Result<Option<LogicalPlan>>> {
    Box::pin(async move {
        let found = find(plan).map_err(from_datafusion)?;
        if found.is_empty() || found.len() > MAX_SUBQUERIES {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(found.len());
        for subquery in found {
            let value = answer(dispatch, statement, &subquery).await?;
            values.push((subquery, value));
        }
        replace(plan.clone(), &values).map(Some).map_err(from_datafusion)
    })
}

fn is_closed(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) if subquery.outer_ref_columns.is_empty() => Some(subquery),
        _ => None,
    }
}

fn find(plan: &LogicalPlan) -> DataFusionResult<Vec<Subquery>> {
    let mut found: Vec<Subquery> = Vec::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|inner| {
                if let Some(subquery) = is_closed(inner)
                    && !found.contains(subquery)
                {
                    found.push(subquery.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

async fn answer(
    dispatch: &Dispatch,
    statement: &Arc<StatementContext>,
    subquery: &Subquery,
) -> Result<ScalarValue> {
    let plan = LogicalPlan::clone(&subquery.subquery);
    let data_type = plan.schema().field(0).data_type().clone();
    let job = Job {
        statement: Arc::clone(statement),
        plan,
        optimized: None,
        write: None,
    };
    let (_, mut rows) = dispatch.run(&job).await?;
    let mut value = None;
    while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
        for row in 0..batch.num_rows() {
            if value.is_some() {
                return Err(Error::new(
                    SqlState::CardinalityViolation,
                    "a subquery used as an expression gave more than one row",
                )
                .with_hint("Aggregate it, or add LIMIT 1."));
            }
            value = Some(ScalarValue::try_from_array(batch.column(0), row).map_err(from_datafusion)?);
        }
    }
    match value {
        Some(value) => value.cast_to(&data_type).map_err(from_datafusion),
        None => ScalarValue::try_from(&data_type).map_err(from_datafusion),
    }
}

fn replace(plan: LogicalPlan, values: &[(Subquery, ScalarValue)]) -> DataFusionResult<LogicalPlan> {
    let replaced = plan.transform_up(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|inner| {
                let value = is_closed(&inner)
                    .and_then(|subquery| values.iter().find(|(answered, _)| answered == subquery))
                    .map(|(_, value)| value.clone());
                Ok(match value {
                    Some(value) => Transformed::yes(lit(value)),
                    None => Transformed::no(inner),
                })
            })?;
            Ok(changed.update_data(|expr| name.restore(expr)))
        })
    })?;
    replaced.data.recompute_schema()
}
