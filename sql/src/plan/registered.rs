//! Functions that DataFusion's planner takes by itself, as those that a statement finds by the same names: plans find
//! functions by name where they are decoded.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::ContextProvider as _;
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, WindowFunctionDefinition};

use super::names::Names;

/// Replaces the functions of a plan that are others than a statement would find.
pub(super) fn rewrite(plan: LogicalPlan, names: &Names<'_>) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let node = node.map_expressions(|expr| {
            expr.transform_up(|expr| {
                let Expr::ScalarFunction(mut call) = expr else {
                    return Ok(Transformed::no(expr));
                };
                let changed = match names.get_function_meta(call.func.name()) {
                    Some(own) if own != call.func => {
                        call.func = own;
                        true
                    }
                    _ => false,
                };
                Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed))
            })
        })?;
        match node.transformed {
            true => node.map_data(LogicalPlan::recompute_schema),
            false => Ok(node),
        }
    })?;
    Ok(rewritten.data)
}

/// Replaces the aggregates that rewrites have put into a plan by the session's of the same names: `max` of DataFusion
/// passes over NaN, `sum` wraps.
pub(super) fn aggregates(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let own = |func: &mut Arc<AggregateUDF>| match state.aggregate_functions().get(func.name()) {
        Some(own) if own != func => {
            *func = Arc::clone(own);
            true
        }
        _ => false,
    };
    let rewritten = plan.transform_up_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)) {
            return Ok(Transformed::no(node));
        }
        let node = node.map_expressions(|expr| {
            expr.transform_up(|mut expr| {
                let changed = match &mut expr {
                    Expr::AggregateFunction(call) => own(&mut call.func),
                    Expr::WindowFunction(call) => match &mut call.fun {
                        WindowFunctionDefinition::AggregateUDF(func) => own(func),
                        WindowFunctionDefinition::WindowUDF(_) => false,
                    },
                    _ => false,
                };
                Ok(Transformed::new_transformed(expr, changed))
            })
        })?;
        match node.transformed {
            true => node.map_data(LogicalPlan::recompute_schema),
            false => Ok(node),
        }
    })?;
    Ok(rewritten.data)
}
