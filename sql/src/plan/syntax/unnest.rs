//! `FROM t, unnest(t.list) AS x(a)` and `FROM t, generate_series(1, t.n) AS x(a)`: lateral subqueries, which DataFusion
//! plans where it does not plan these.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    Select, SelectItem, TableFactor, TableFunctionArgs, TableWithJoins, Visit, Visitor,
};

use super::columns::{alias, derived, query_of, quoted, select_of};
use super::titles::is_called;
use crate::dialect::folded;

/// The functions of which there is one that gives a list, too.
const SERIES: [&str; 2] = ["generate_series", "range"];

/// Rewrites a call of `unnest`, or of a series, in FROM that reads columns.
pub(super) fn rewrite(factor: &mut TableFactor) {
    let mut series = false;
    let (exprs, given) = match factor {
        TableFactor::Table {
            name,
            alias,
            args: Some(TableFunctionArgs { args, settings: None }),
            with_ordinality: false,
            ..
        } if SERIES.iter().any(|known| is_called(name, known)) => {
            series = true;
            (vec![function(name.clone(), args.clone())], alias.clone())
        }
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality: false,
            ..
        } if SERIES.iter().any(|known| is_called(name, known)) => {
            series = true;
            (vec![function(name.clone(), args.clone())], alias.clone())
        }
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
    if exprs.is_empty() || (plain && (series || matches!(factor, TableFactor::UNNEST { .. }))) {
        return;
    }
    let mut outer = given.unwrap_or_else(|| alias(quoted("unnest")));
    let columns: Vec<Ident> = match outer.columns.is_empty() {
        // As DataFusion calls that of a series which reads nothing.
        true if series => vec![quoted("value")],
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
            expr: call(Expr::Identifier(list.clone())),
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

/// What comes first in FROM has nothing before it: it reads columns of the queries around, which DataFusion plans for
/// what is not lateral.
pub(super) fn not_lateral(select: &mut Select) {
    if let Some(first) = select.from.first_mut() {
        first_of(&mut first.relation);
    }
}

fn first_of(factor: &mut TableFactor) {
    match factor {
        TableFactor::Derived { lateral, .. } => *lateral = false,
        TableFactor::NestedJoin { table_with_joins, .. } => first_of(&mut table_with_joins.relation),
        _ => {}
    }
}

fn argument(arg: &FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

fn call(list: Expr) -> Expr {
    let name = ObjectName::from(vec![Ident::new("unnest")]);
    function(name, vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(list))])
}

fn function(name: ObjectName, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
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
