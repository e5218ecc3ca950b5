//! `substring(text FROM 'pattern')`: what a pattern finds, where the place is a text, as in PostgreSQL.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use crate::dialect::parse_expression;

/// Rewrites a substring whose place is a text; anything else stays.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Substring {
        expr: text,
        substring_from: Some(from),
        substring_for: None,
        ..
    } = expr
    else {
        return;
    };
    let is_text = |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)));
    if !is_text(from) {
        return;
    }
    // The first group of the pattern counts, or all of it where it has none.
    let Ok(Expr::CompoundFieldAccess {
        mut root,
        access_chain,
    }) = parse_expression("(regexp_match(a, b))[1]")
    else {
        return;
    };
    if let Expr::Nested(call) = root.as_mut()
        && let Expr::Function(call) = call.as_mut()
        && let FunctionArguments::List(list) = &mut call.args
    {
        let args = [text.as_ref().clone(), from.as_ref().clone()];
        list.args = args
            .into_iter()
            .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
            .collect();
        *expr = Expr::CompoundFieldAccess { root, access_chain };
    }
}
