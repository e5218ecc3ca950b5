//! Functions that cannot make more than a process has room for: how many bytes and steps a call takes is found from
//! its arguments, before it begins.
//!
//! [`guarded`] puts a function into such a guard, in everything else what it was. [`GuardedCalls`] does so with calls
//! that planners make without looking at what is registered, and replaces `||` by a function.

mod call;
mod guarded;
mod long;
mod refused;
mod rules;
mod sizes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use self::guarded::Guarded;
use super::text_concat;
use crate::numbers::exprs;

pub(super) use self::guarded::batch_limit;
pub(crate) use self::guarded::set_resources;

/// The function with a guard, if it needs one.
pub(crate) fn guarded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match rules::of(function.name()) {
        Some(rule) if !function.inner().is::<Guarded>() => {
            Arc::new(ScalarUDF::from(Guarded::new(function, rule)))
        }
        Some(_) | None => function,
    }
}

/// Puts guards around the functions that are registered.
pub(crate) fn guard(state: &mut SessionState) -> Result<()> {
    let functions: Vec<_> = state.scalar_functions().values().map(Arc::clone).collect();
    for function in functions {
        let guarded = guarded(Arc::clone(&function));
        // A name that another function has taken over stays with that one.
        let is_own = |name: &str| {
            let found = state.scalar_functions().get(name);
            found.is_some_and(|found| Arc::ptr_eq(found, &function))
        };
        let names = std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str));
        if !Arc::ptr_eq(&guarded, &function) && names.into_iter().all(is_own) {
            state.register_udf(guarded)?;
        }
    }
    Ok(())
}

/// See the module.
#[derive(Debug)]
pub(crate) struct GuardedCalls;

impl AnalyzerRule for GuardedCalls {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &guarded_call))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "guarded_calls"
    }
}

fn guarded_call(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let guarded = guarded(Arc::clone(&func));
            let changed = !Arc::ptr_eq(&guarded, &func);
            let expr = Expr::ScalarFunction(ScalarFunction { func: guarded, args });
            Ok(Transformed::new_transformed(expr, changed))
        }
        other => text_concat::in_place_of_operator(other, schema),
    }
}
