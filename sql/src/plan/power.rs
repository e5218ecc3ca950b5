//! `a ^ b`: a power, computed in floating-point numbers as in PostgreSQL and DuckDB.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::functions::expr_fn::power;
use datafusion::logical_expr::cast;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use sqlparser::ast::BinaryOperator;

#[derive(Debug)]
pub(super) struct Power;

impl ExprPlanner for Power {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        _schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        Ok(match expr.op {
            BinaryOperator::PGExp => PlannerResult::Planned(power(
                cast(expr.left, DataType::Float64),
                cast(expr.right, DataType::Float64),
            )),
            _ => PlannerResult::Original(expr),
        })
    }
}
