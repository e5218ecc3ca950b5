//! `array_agg(x ORDER BY 1)`: a number there is a constant, as in PostgreSQL. DataFusion takes it for the place of a column
//! of the input.

use sqlparser::ast::{Expr, FunctionArgumentClause, FunctionArguments, UnaryOperator, Value};

/// Removes such keys from the arguments of a call, by which nothing is ordered.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(call) = expr else { return };
    let FunctionArguments::List(list) = &mut call.args else {
        return;
    };
    list.clauses.retain_mut(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) => {
            keys.retain(|key| !is_number(&key.expr));
            !keys.is_empty()
        }
        _ => true,
    });
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Number(_, _)),
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => is_number(expr),
        Expr::Nested(inner) => is_number(inner),
        _ => false,
    }
}
