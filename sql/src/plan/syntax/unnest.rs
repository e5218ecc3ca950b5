//! `FROM t, unnest(t.list) AS x(a)`: a lateral subquery, which DataFusion plans where it does not plan this.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, Ident, SelectItem, TableFactor, TableWithJoins, Visitor,
};

use super::calls::call;
use super::columns::{alias, derived, query_of, quoted, select_of};
use super::titles::is_called;
use crate::dialect::folded;

/// Rewrites a call of `unnest` in FROM that reads columns.
pub(super) fn rewrite(factor: &mut TableFactor) {
    let (exprs, given) = match factor {
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_ordinality: false,
            ..
        } => (array_exprs.clone(), alias.clone()),
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality: false,
            ..
        } if is_called(name, "unnest") => {
            let exprs: Option<Vec<Expr>> = args.iter().map(argument).collect();
            match exprs {
                Some(exprs) => (exprs, alias.clone()),
                None => return,
            }
        }
        _ => return,
    };
    let plain = !exprs.iter().any(reads_columns);
    if exprs.is_empty() || (plain && matches!(factor, TableFactor::UNNEST { .. })) {
        return;
    }
    let mut outer = given.unwrap_or_else(|| alias(quoted("unnest")));
    let columns: Vec<Ident> = match outer.columns.is_empty() {
        // PostgreSQL calls a single column as its table.
        true if exprs.len() == 1 => vec![quoted(&folded(&outer.name))],
        true => (1..=exprs.len())
            .map(|number| quoted(&format!("unnest_{number}")))
            .collect(),
        false => outer.columns.iter().map(|column| column.name.clone()).collect(),
    };
    if columns.len() != exprs.len() {
        return;
    }
    outer.columns = Vec::new();
    // The lists are columns first: DataFusion does not unnest what it reads of an outer query.
    let (mut lists, mut items) = (Vec::new(), Vec::new());
    for (index, (expr, column)) in exprs.into_iter().zip(columns).enumerate() {
        let list = quoted(&format!("__list_{index}"));
        items.push(SelectItem::ExprWithAlias {
            expr: call("unnest", vec![Expr::Identifier(list.clone())]),
            alias: column,
        });
        lists.push(SelectItem::ExprWithAlias { expr, alias: list });
    }
    let from = TableWithJoins {
        relation: derived(
            query_of(None, select_of(lists, Vec::new())),
            false,
            alias(quoted("__lists")),
        ),
        joins: Vec::new(),
    };
    *factor = derived(query_of(None, select_of(items, vec![from])), true, outer);
}

fn argument(arg: &FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

fn reads_columns(expr: &Expr) -> bool {
    struct Columns;
    impl Visitor for Columns {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Columns).is_break()
}
