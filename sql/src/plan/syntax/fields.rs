//! `(x).a` and `l[1].a`: fields of structures behind a dot, where DataFusion takes them in brackets alone.

use sqlparser::ast::{AccessExpr, Expr, Subscript, Value};

use crate::dialect::folded;

pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else {
        return;
    };
    // `t.a[1]` begins with the name of a column.
    let mut is_value = !matches!(root.as_ref(), Expr::Identifier(_));
    for access in access_chain {
        match access {
            AccessExpr::Dot(Expr::Identifier(name)) if is_value => {
                let index = Expr::Value(Value::SingleQuotedString(folded(name)).into());
                *access = AccessExpr::Subscript(Subscript::Index { index });
            }
            AccessExpr::Dot(_) => {}
            AccessExpr::Subscript(_) => is_value = true,
        }
    }
}
