//! The values of `EXECUTE name (value, …)`.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::scalar::ScalarValue;
use datafusion::sql::planner::PlannerContext;
use sqlparser::ast;
use watershed_core::error::{Error, Result};
use watershed_storage::error::from_datafusion;

use crate::plan::names::Names;
use crate::plan::{PlanContext, query};

/// The values of expressions that read no column.
pub fn constants(exprs: Vec<ast::Expr>, context: &PlanContext<'_>) -> Result<Vec<ScalarValue>> {
    let names = Names::none(context);
    let schema = DFSchema::empty();
    let state = context.state;
    let simplifier = ExprSimplifier::new(
        SimplifyContext::builder()
            .with_config_options(Arc::new(names.options().clone()))
            .with_query_execution_start_time(state.execution_props().query_execution_start_time)
            .build(),
    );
    let values = exprs.into_iter().map(|expr| {
        let written = expr.to_string();
        let planned = query::planner_of(&names)
            .sql_to_expr(expr, &schema, &mut PlannerContext::new())
            .and_then(|expr| simplifier.coerce(expr, &schema))
            .and_then(|expr| simplifier.simplify(expr))
            .map_err(from_datafusion)?;
        match planned {
            Expr::Literal(value, _) => Ok(value),
            _ => Err(Error::unsupported(format!("{written} is no constant"))
                .with_hint("EXECUTE takes literals and expressions over them.")),
        }
    });
    values.collect()
}
