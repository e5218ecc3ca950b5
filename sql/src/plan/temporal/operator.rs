//! Operators that DataFusion's planner refuses, as they have no types for it: an interval and a number, a date and a
//! part of a day, a list and an element of another type.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::utils::list_ndims;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast};
use sqlparser::ast::BinaryOperator;
use watershed_storage::functions;

use super::super::types::timestamp;
use super::intervals::{INTERVAL, scaled};
use super::kinds::{call, is_span, is_text_literal, kind};
use super::zones::has_whole_days;

/// The planners of operators, ours first.
pub(in super::super) fn operators(state: &SessionState) -> Vec<Arc<dyn ExprPlanner>> {
    let ours: Arc<dyn ExprPlanner> = Arc::new(Operators);
    std::iter::once(ours)
        .chain(state.expr_planners().iter().cloned())
        .collect()
}

#[derive(Debug)]
struct Operators;

impl ExprPlanner for Operators {
    /// DataFusion's planner has a function of its own for it, whatever is registered by that name.
    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("date_part", args).map(PlannerResult::Planned)
    }

    /// Of bytes, too.
    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("substr", args).map(PlannerResult::Planned)
    }

    fn plan_binary_op(
        &self,
        found: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = found;
        let planned = match op {
            BinaryOperator::Multiply => scaled(&left, Operator::Multiply, &right, schema)?,
            BinaryOperator::Divide => scaled(&left, Operator::Divide, &right, schema)?,
            BinaryOperator::Plus => shifted(&left, Operator::Plus, &right, schema),
            BinaryOperator::Minus => shifted(&left, Operator::Minus, &right, schema),
            BinaryOperator::Eq => compared(&left, Operator::Eq, &right, schema),
            BinaryOperator::NotEq => compared(&left, Operator::NotEq, &right, schema),
            BinaryOperator::Lt => compared(&left, Operator::Lt, &right, schema),
            BinaryOperator::LtEq => compared(&left, Operator::LtEq, &right, schema),
            BinaryOperator::Gt => compared(&left, Operator::Gt, &right, schema),
            BinaryOperator::GtEq => compared(&left, Operator::GtEq, &right, schema),
            BinaryOperator::PGOverlap => overlapping(&left, &right, schema)?,
            BinaryOperator::StringConcat => list_with_element(&left, &right, schema)?,
            _ => None,
        };
        Ok(match planned {
            Some(expr) => PlannerResult::Planned(expr),
            None => PlannerResult::Original(RawBinaryExpr { op, left, right }),
        })
    }
}

/// `list || element` and `element || list`, which DataFusion's planner makes of functions of its own, whatever is
/// registered by their names.
fn list_with_element(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let dimensions = |expr: &Expr| expr.get_type(schema).map(|kind| list_ndims(&kind));
    let function = match dimensions(left)?.cmp(&dimensions(right)?) {
        Ordering::Greater => "array_append",
        Ordering::Less => "array_prepend",
        Ordering::Equal => return Ok(None),
    };
    let function = functions::registered(function)?;
    Ok(Some(function.call(vec![left.clone(), right.clone()])))
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// A date and an interval that may have a part of a day: a timestamp. The cast is in the session's zone.
fn shifted(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let of = |expr: &Expr| kind(expr, schema);
    let is_date = |expr: &Expr| matches!(of(expr), Some(DataType::Date32 | DataType::Date64));
    let moves = |expr: &Expr| of(expr).is_some_and(|of| is_span(&of)) && !has_whole_days(expr, schema);
    let instant = |expr: &Expr| cast(expr.clone(), timestamp());
    if is_date(left) && moves(right) {
        return Some(binary(instant(left), op, right.clone()));
    }
    (op == Operator::Plus && moves(left) && is_date(right)).then(|| binary(left.clone(), op, instant(right)))
}

/// `list && list`: whether they have an element in common.
fn overlapping(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    if list_ndims(&left.get_type(schema)?) == 0 || list_ndims(&right.get_type(schema)?) == 0 {
        return Ok(None);
    }
    let function = functions::registered("array_has_any")?;
    Ok(Some(function.call(vec![left.clone(), right.clone()])))
}

/// An interval beside a text that stands for one.
fn compared(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let interval = |expr: &Expr| kind(expr, schema).is_some_and(|of| is_span(&of));
    if interval(left) && is_text_literal(right) {
        return Some(binary(left.clone(), op, cast(right.clone(), INTERVAL)));
    }
    (is_text_literal(left) && interval(right))
        .then(|| binary(cast(left.clone(), INTERVAL), op, right.clone()))
}
