//! `(x).a` and `l[1].a`: fields of structures behind a dot, where DataFusion takes them in brackets alone.

use sqlparser::ast::{AccessExpr, Expr, Subscript, Value};

use crate::dialect::folded;

pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { access_chain, .. } = expr else {
        return;
    };
    for access in access_chain {
        if let AccessExpr::Dot(Expr::Identifier(name)) = access {
            let index = Expr::Value(Value::SingleQuotedString(folded(name)).into());
            *access = AccessExpr::Subscript(Subscript::Index { index });
        }
    }
}
