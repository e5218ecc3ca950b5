//! `EXCEPT` and `INTERSECT`: columns of both sides have one type, as those of UNION have, and with ALL rows count as often
//! as they occur.
//!
//! DataFusion compares columns of different types in a common one, and gives the type of the left side.
//!
//! DataFusion makes an anti or a semi join of each, which removes or keeps all rows that are equal. Here equal
//! rows are numbered on both sides, and the number is one more key: the third row of its kind is found by the
//! third on the other side.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    Distinct, Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder, cast,
};
use watershed_storage::numbers::row_number;

use super::subquery::recomputed;

/// The number of a row among those that are equal to it.
const NUMBER: &str = "__occurrence";

/// Gives the columns of set operations their types, and numbers the rows of those that keep duplicates. The plan is as
/// DataFusion's planner made it: only set operations are semi and anti joins that compare NULLs as equal.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut retyped = false;
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_set_operation(&join) => {
            let common = common_types(&join);
            retyped |= common.is_some();
            let join = match common {
                Some(types) => aligned(join, &types)?,
                None => join,
            };
            match matches!(join.left.as_ref(), LogicalPlan::Distinct(Distinct::All(_))) {
                true => Ok(Transformed::yes(LogicalPlan::Join(join))),
                false => numbered(join).map(Transformed::yes),
            }
        }
        other => Ok(Transformed::no(other)),
    })?;
    match retyped {
        true => recomputed(rewritten.data),
        false => Ok(rewritten.data),
    }
}

fn is_set_operation(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
}

/// The types that the columns of both sides become, if those of numbers or of times differ.
fn common_types(join: &Join) -> Option<Vec<DataType>> {
    let types = |plan: &LogicalPlan| -> Vec<DataType> {
        let fields = plan.schema().fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    let (left, right) = (types(&join.left), types(&join.right));
    let common: Vec<DataType> = left.iter().zip(&right).map(|(a, b)| common_type(a, b)).collect();
    (left.len() == right.len() && (common != left || common != right)).then_some(common)
}

/// The type that holds the values of both; the first where there is none, and DataFusion says what is wrong.
fn common_type(a: &DataType, b: &DataType) -> DataType {
    let is_time = |kind: &DataType| matches!(kind, DataType::Date32 | DataType::Timestamp(_, _));
    let found = match (a, b) {
        _ if a.is_floating() && b.is_decimal() || a.is_decimal() && b.is_floating() => {
            Some(DataType::Float64)
        }
        (DataType::Date32, time @ DataType::Timestamp(_, _))
        | (time @ DataType::Timestamp(_, _), DataType::Date32) => Some(time.clone()),
        _ if a.is_numeric() && b.is_numeric() || is_time(a) && is_time(b) => {
            type_union_resolution(&[a.clone(), b.clone()])
        }
        _ => None,
    };
    found.unwrap_or_else(|| a.clone())
}

fn aligned(mut join: Join, types: &[DataType]) -> Result<Join> {
    join.left = Arc::new(with_types(&join.left, types)?);
    join.right = Arc::new(with_types(&join.right, types)?);
    let left = LogicalPlan::clone(&join.left);
    join.schema = Arc::clone(left.schema());
    Ok(join)
}

/// The plan with its columns as those types, where both are numbers or times.
fn with_types(plan: &LogicalPlan, types: &[DataType]) -> Result<LogicalPlan> {
    if let LogicalPlan::Distinct(Distinct::All(input)) = plan {
        // Values that become equal are one row.
        let input = Arc::new(with_types(input, types)?);
        return Ok(LogicalPlan::Distinct(Distinct::All(input)));
    }
    let exprs: Vec<Expr> = types
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            let (qualifier, field) = plan.schema().qualified_field(index);
            let column = Expr::Column(Column::from((qualifier, field)));
            let own = field.data_type();
            match own == kind || common_type(own, kind) != *kind {
                true => column,
                false => cast(column, kind.clone()).alias_qualified(qualifier.cloned(), field.name()),
            }
        })
        .collect();
    LogicalPlanBuilder::from(plan.clone()).project(exprs)?.build()
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
