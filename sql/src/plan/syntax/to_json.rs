//! `CAST(x AS JSON)`, where a type in a plan is a text: what is no text becomes one that is JSON.

use sqlparser::ast::{DataType, Expr};

use super::calls::call;

/// Rewrites what is cast; a literal, and a parameter, which is then a text, stay.
pub(super) fn rewrite(expr: &mut Expr) {
    if let Expr::Cast {
        expr: inner,
        data_type: DataType::JSON | DataType::JSONB,
        ..
    } = expr
        && !matches!(inner.as_ref(), Expr::Value(_))
    {
        let value = std::mem::replace(inner.as_mut(), Expr::Tuple(Vec::new()));
        **inner = call("as_json", vec![value]);
    }
}
