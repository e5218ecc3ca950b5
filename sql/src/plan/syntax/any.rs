//! `x op ANY (array)`: NULL where no element decides and some are NULL. DataFusion plans ALL with these semantics,
//! and ANY without them (`plan_any_op` of `datafusion-sql` 55; no issue is known upstream).

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

/// Rewrites a comparison with the elements of an array; anything else stays.
pub(super) fn rewrite(expr: &mut Expr) {
    let rewritten = match expr {
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        } if !matches!(right.as_ref(), Expr::Subquery(_)) => any(left, compare_op, right),
        Expr::AllOp {
            left,
            compare_op: BinaryOperator::NotEq,
            right,
        } => listed(left, right, true),
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *expr = Expr::Nested(Box::new(rewritten));
    }
}

fn any(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    if *op == BinaryOperator::Eq
        && let Some(listed) = listed(left, right, false)
    {
        return Some(listed);
    }
    let all = Expr::AllOp {
        left: Box::new(left.clone()),
        compare_op: negated(op)?,
        right: Box::new(right.clone()),
    };
    Some(Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(Expr::Nested(Box::new(all))),
    })
}

/// `left IN (elements)`, by which scans can prune, where the elements are written out.
fn listed(left: &Expr, right: &Expr, negated: bool) -> Option<Expr> {
    match right {
        Expr::Array(array) if !array.elem.is_empty() => Some(Expr::InList {
            expr: Box::new(left.clone()),
            list: array.elem.clone(),
            negated,
        }),
        Expr::Nested(inner) => listed(left, inner, negated),
        _ => None,
    }
}

fn negated(op: &BinaryOperator) -> Option<BinaryOperator> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match op {
        Eq => Some(NotEq),
        NotEq => Some(Eq),
        Lt => Some(GtEq),
        LtEq => Some(Gt),
        Gt => Some(LtEq),
        GtEq => Some(Lt),
        _ => None,
    }
}
