//! `f(x) FILTER (WHERE condition)`: `x` is computed for the rows of the condition alone, so that a division by zero or
//! a failed cast in other rows is no error. DataFusion computes the arguments of groups for all rows.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Visit, Visitor,
};

use crate::dialect::folded;

/// Shields the first argument of an aggregate that may fail.
pub(super) fn shield(call: &mut Function) {
    let Some(condition) = call.filter.as_deref() else {
        return;
    };
    let FunctionArguments::List(list) = &mut call.args else {
        return;
    };
    // With WITHIN GROUP the argument is a constant; keys of ORDER BY are compared with the argument.
    if !call.within_group.is_empty() || !list.clauses.is_empty() {
        return;
    }
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))) = list.args.first_mut() else {
        return;
    };
    if !may_fail(arg) || !is_repeatable(condition) {
        return;
    }
    let shielded = Expr::Case {
        case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: condition.clone(),
            result: arg.clone(),
        }],
        else_result: None,
    };
    *arg = shielded;
}

fn may_fail(expr: &Expr) -> bool {
    struct Fails;
    impl Visitor for Fails {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let fails = match expr {
                Expr::BinaryOp { op, .. } => matches!(op, BinaryOperator::Divide | BinaryOperator::Modulo),
                Expr::Cast { .. } | Expr::Function(_) => true,
                _ => false,
            };
            match fails {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Fails).is_break()
}

/// Whether a condition has the same value whenever it is computed, and no query in it.
fn is_repeatable(condition: &Expr) -> bool {
    struct Changes;
    impl Visitor for Changes {
        type Break = ();
        fn pre_visit_query(&mut self, _: &sqlparser::ast::Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let changes = match expr {
                Expr::Function(call) => match call.name.0.as_slice() {
                    [part] => part
                        .as_ident()
                        .is_some_and(|name| ["random", "rand", "uuid"].contains(&folded(name).as_str())),
                    _ => false,
                },
                _ => false,
            };
            match changes {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    condition.visit(&mut Changes).is_continue()
}
