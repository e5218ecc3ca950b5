//! `EXCEPT ALL` and `INTERSECT ALL`: rows count as often as they occur.
//!
//! DataFusion makes an anti or a semi join of each, which removes or keeps all rows that are equal. Here equal
//! rows are numbered on both sides, and the number is one more key: the third row of its kind is found by the
//! third on the other side.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::logical_expr::{Distinct, Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder};
use watershed_storage::numbers::row_number;

/// The number of a row among those that are equal to it.
const NUMBER: &str = "__occurrence";

/// Numbers the rows of set operations that keep duplicates. The plan is as DataFusion's planner made it: only
/// set operations are semi and anti joins that compare NULLs as equal.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if keeps_duplicates(&join) => numbered(join).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    })
    .map(|rewritten| rewritten.data)
}

fn keeps_duplicates(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(Distinct::All(_)))
}

fn numbered(join: Join) -> Result<LogicalPlan> {
    let kept = join.schema.columns().into_iter().map(Expr::Column);
    let kept: Vec<Expr> = kept.collect();
    let (left, right): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let number = || Expr::Column(Column::new_unqualified(NUMBER));
    let mut on = join.on.clone();
    on.push((number(), number()));
    let joined = Join::try_new(
        Arc::new(with_number(&join.left, left)?),
        Arc::new(with_number(&join.right, right)?),
        on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined))
        .project(kept)?
        .build()
}

fn with_number(input: &LogicalPlan, equal: Vec<Expr>) -> Result<LogicalPlan> {
    let number = row_number().partition_by(equal).build()?.alias(NUMBER);
    LogicalPlanBuilder::from(input.clone())
        .window(vec![number])?
        .build()
}
