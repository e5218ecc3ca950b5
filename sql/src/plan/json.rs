//! The operators over JSON, as functions over its text.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use sqlparser::ast::BinaryOperator;
use watershed_storage::functions;

#[derive(Debug)]
pub(super) struct Json;

impl ExprPlanner for Json {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let name = match expr.op {
            BinaryOperator::Arrow => "json_step",
            BinaryOperator::LongArrow => "json_step_text",
            BinaryOperator::HashArrow => "json_steps",
            BinaryOperator::HashLongArrow => "json_steps_text",
            BinaryOperator::Question => "json_has_key",
            BinaryOperator::QuestionPipe => "json_has_any",
            BinaryOperator::QuestionAnd => "json_has_all",
            // Lists have these operators, too.
            BinaryOperator::AtArrow | BinaryOperator::ArrowAt if is_text(&expr, schema) => "json_holds",
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let args = match expr.op {
            BinaryOperator::ArrowAt => vec![expr.right, expr.left],
            _ => vec![expr.left, expr.right],
        };
        Ok(PlannerResult::Planned(functions::named(name)?.call(args)))
    }
}

fn is_text(expr: &RawBinaryExpr, schema: &DFSchema) -> bool {
    let kind = |side: &Expr| side.get_type(schema).unwrap_or(DataType::Null);
    let (left, right) = (kind(&expr.left), kind(&expr.right));
    left.is_string() && right.is_string()
}
