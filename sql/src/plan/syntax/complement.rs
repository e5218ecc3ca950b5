//! `~x`, the complement of a whole number, as the exclusive or with a number whose bits are all set.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::UnaryOp {
        op: UnaryOperator::BitwiseNot,
        expr: operand,
    } = expr
    else {
        return;
    };
    let ones = Expr::UnaryOp {
        op: UnaryOperator::Minus,
        expr: Box::new(Expr::value(Value::Number("1".to_owned(), false))),
    };
    let operand = std::mem::replace(operand.as_mut(), Expr::value(Value::Null));
    *expr = Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(operand))),
        op: BinaryOperator::PGBitwiseXor,
        right: Box::new(ones),
    }));
}
