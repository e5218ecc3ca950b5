//! Functions that DataFusion's planner takes by itself, as those of the session with the same names: plans find
//! functions by name where they are decoded.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};

pub(super) fn rewrite(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let node = node.map_expressions(|expr| {
            expr.transform_up(|expr| {
                let Expr::ScalarFunction(mut call) = expr else {
                    return Ok(Transformed::no(expr));
                };
                let changed = match state.scalar_functions().get(call.func.name()) {
                    Some(own) if *own != call.func => {
                        call.func = Arc::clone(own);
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
