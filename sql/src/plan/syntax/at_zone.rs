//! `x AT TIME ZONE zone` as a call of `timezone(zone, x)`. DataFusion's cast to the zone is the same instant.

use sqlparser::ast::Expr;

use super::calls::call;

/// Rewrites the operator; anything else stays.
pub(super) fn rewrite(expr: &mut Expr) {
    if let Expr::AtTimeZone { timestamp, time_zone } = expr {
        let args = vec![Expr::clone(time_zone), Expr::clone(timestamp)];
        *expr = call("timezone", args);
    }
}
