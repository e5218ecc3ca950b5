//! `x AT TIME ZONE zone` as a call of `timezone(zone, x)`. DataFusion's cast to the zone is the same instant.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
};

/// Rewrites the operator; anything else stays.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::AtTimeZone { timestamp, time_zone } = expr else {
        return;
    };
    let arg = |expr: &Expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr.clone()));
    *expr = Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("timezone")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![arg(time_zone), arg(timestamp)],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    });
}
