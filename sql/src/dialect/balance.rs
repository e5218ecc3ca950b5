//! Long `a OR b OR c …` made a balanced tree, so that what recurses over it stays shallow.
//!
//! `OR` is associative also where NULLs are, so that nothing else changes.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Value, VisitMut, VisitorMut};

/// Shorter chains stay as they were written, and plans are easier to read.
const CHAIN_MIN: usize = 32;

/// Balances every long chain below a node.
pub(super) fn balance(node: &mut impl VisitMut) {
    let walked = node.visit(&mut Balance);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

struct Balance;

impl VisitorMut for Balance {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_or(expr) && links(expr) >= CHAIN_MIN {
            let operands = operands(take(expr));
            *expr = tree(operands);
        }
        ControlFlow::Continue(())
    }
}

fn is_or(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryOp {
            op: BinaryOperator::Or,
            ..
        }
    )
}

fn links(mut expr: &Expr) -> usize {
    let mut count = 0;
    while let Expr::BinaryOp {
        left,
        op: BinaryOperator::Or,
        ..
    } = expr
    {
        count += 1;
        // A balanced tree has a short left side: it is not taken apart again.
        expr = left;
    }
    count
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

fn operands(mut expr: Expr) -> Vec<Expr> {
    let mut reversed = Vec::new();
    loop {
        match expr {
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Or,
                right,
            } => {
                reversed.push(*right);
                expr = *left;
            }
            first => {
                reversed.push(first);
                reversed.reverse();
                return reversed;
            }
        }
    }
}

fn tree(mut level: Vec<Expr>) -> Expr {
    while level.len() > 1 {
        let mut pairs = Vec::with_capacity(level.len().div_ceil(2));
        let mut rest = level.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::BinaryOp {
                    left: Box::new(left),
                    op: BinaryOperator::Or,
                    right: Box::new(right),
                },
                None => left,
            });
        }
        level = pairs;
    }
    level.pop().unwrap_or(Expr::Value(Value::Null.into()))
}
