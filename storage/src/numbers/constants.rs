//! Arguments that decide about the type of a function's result become literals before plans are typed: an
//! optimizer that folds them later would change the type.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::exprs;

/// The place of that argument, by the name of the function.
const DECIDING: [(&str, usize); 6] = [
    ("arrow_cast", 1),
    ("arrow_try_cast", 1),
    ("date_part", 0),
    ("date_trunc", 0),
    ("round", 1),
    ("trunc", 1),
];

#[derive(Debug)]
pub(super) struct ConstantArguments;

impl AnalyzerRule for ConstantArguments {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &folded))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "constant_arguments"
    }
}

fn folded(expr: Expr, _: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, mut args }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let place = DECIDING.iter().find(|(name, _)| *name == func.name());
    let found = place
        .and_then(|(_, place)| args.get_mut(*place))
        .and_then(|arg| constant(arg).map(|value| (arg, value)));
    let changed = match found {
        Some((arg, value)) => {
            *arg = lit(value);
            true
        }
        None => false,
    };
    let expr = Expr::ScalarFunction(ScalarFunction { func, args });
    Ok(Transformed::new_transformed(expr, changed))
}

/// The value of an expression that is always the same; none of a literal. What fails fails when it is run.
pub(crate) fn constant(expr: &Expr) -> Option<ScalarValue> {
    if matches!(expr, Expr::Literal(_, _)) {
        return None;
    }
    let open = |expr: &Expr| {
        Ok(match expr {
            Expr::Literal(_, _) | Expr::Alias(_) | Expr::Cast(_) | Expr::TryCast(_) => false,
            Expr::BinaryExpr(_) | Expr::Negative(_) | Expr::Case(_) | Expr::Not(_) => false,
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            _ => true,
        })
    };
    if expr.exists(open).unwrap_or(true) {
        return None;
    }
    let schema = DFSchema::empty();
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().build());
    let typed = simplifier.coerce(expr.clone(), &schema).ok()?;
    match simplifier.simplify(typed).ok()? {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}
