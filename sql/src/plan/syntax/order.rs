//! `ORDER BY` as PostgreSQL reads it: a name by itself is that of a column of the result, an expression is over
//! the columns of the tables, and one that is selected as well is that column.
//!
//! DataFusion looks the names within expressions up in the result first: in `SELECT -id AS id … ORDER BY id + 0`.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Distinct, Expr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr,
    TableWithJoins, Value, Visit, Visitor,
};

use super::columns::{Scopes, alias, derived, query_of, quoted, select_of};
use super::titles::text;
use crate::dialect::folded;

pub(super) fn settle(query: &mut Query, scopes: &Scopes<'_, '_>) {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return;
    };
    let Some(OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    }) = &mut query.order_by
    else {
        return;
    };
    if matches!(select.distinct, Some(Distinct::On(_))) {
        // Its keys begin with its expressions, as they are written.
        return;
    }
    if keys.iter().all(|key| is_plain(&key.expr)) {
        return;
    }
    let texts = texts(select);
    for key in keys.iter_mut().filter(|key| !is_plain(&key.expr)) {
        let wanted = text(&key.expr);
        if let Some(index) = texts.iter().position(|text| *text == wanted) {
            key.expr = number(index + 1);
        }
    }
    if keys.iter().any(|key| is_hidden(&key.expr, select, scopes)) {
        wrap(query);
    }
}

fn number(position: usize) -> Expr {
    Expr::Value(Value::Number(position.to_string(), false).into())
}

/// A name or a position.
fn is_plain(key: &Expr) -> bool {
    matches!(key, Expr::Identifier(_) | Expr::Value(_))
}

/// The selected expressions whose positions are known: those before the first `*`.
fn texts(select: &Select) -> Vec<String> {
    let known = select.projection.iter().map_while(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(text(expr)),
        _ => None,
    });
    known.collect()
}

/// Whether a key is an expression that reads a column of a table whose name a column of the result has too.
fn is_hidden(key: &Expr, select: &Select, scopes: &Scopes<'_, '_>) -> bool {
    if is_plain(key) {
        return false;
    }
    let given: Vec<String> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => Some((expr, folded(alias))),
            _ => None,
        })
        .filter(|(expr, alias)| super::titles::title(expr) != *alias || !is_column(expr))
        .map(|(_, alias)| alias)
        .collect();
    let mut read = Read {
        names: Vec::new(),
        of_table: Vec::new(),
        depth: 0,
    };
    let walked = key.visit(&mut read);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    if read.of_table.iter().any(|name| given.contains(name)) {
        return true;
    }
    read.names.retain(|name| given.contains(name));
    !read.names.is_empty() && {
        let tables = select.from.iter().flat_map(|from| {
            std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
        });
        let columns: Vec<_> = tables
            .filter_map(|table| scopes.of(table).ok())
            .flatten()
            .collect();
        read.names
            .iter()
            .any(|name| columns.iter().any(|column| column.name == *name))
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// The columns that an expression reads, but those of subqueries.
struct Read {
    names: Vec<String>,
    of_table: Vec<String>,
    depth: usize,
}

impl Visitor for Read {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            _ if self.depth > 0 => {}
            Expr::Identifier(ident) => self.names.push(folded(ident)),
            Expr::CompoundIdentifier(parts) => self.of_table.extend(parts.last().map(folded)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Selects the keys beside the columns, under names that nothing else has, and orders the result by these.
fn wrap(query: &mut Query) {
    let Some(OrderBy {
        kind: OrderByKind::Expressions(keys),
        interpolate: None,
    }) = query.order_by.clone()
    else {
        return;
    };
    let SetExpr::Select(select) = query.body.as_ref() else {
        return;
    };
    if select.distinct.is_some() {
        return;
    }
    let mut inner = select.as_ref().clone();
    let mut outer = Vec::new();
    let mut names = Vec::new();
    for (index, item) in inner.projection.iter_mut().enumerate() {
        let (expr, name) = match &*item {
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), folded(alias)),
            SelectItem::UnnamedExpr(expr) if is_column(expr) => (expr.clone(), super::titles::title(expr)),
            _ => return,
        };
        let column = quoted(&format!("__column_{index}"));
        *item = SelectItem::ExprWithAlias {
            expr,
            alias: column.clone(),
        };
        outer.push(SelectItem::ExprWithAlias {
            expr: Expr::Identifier(column.clone()),
            alias: quoted(&name),
        });
        names.push((name, column));
    }
    let mut outer_keys = Vec::new();
    for (index, key) in keys.into_iter().enumerate() {
        let column = match &key.expr {
            Expr::Identifier(ident) => column_named(&folded(ident), &names),
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) => number
                    .parse::<usize>()
                    .ok()
                    .and_then(|number| names.get(number.checked_sub(1)?))
                    .map(|(_, column)| column.clone()),
                _ => None,
            },
            _ => None,
        };
        let column = match column {
            Some(column) => column,
            None => {
                let column = quoted(&format!("__key_{index}"));
                inner.projection.push(SelectItem::ExprWithAlias {
                    expr: key.expr.clone(),
                    alias: column.clone(),
                });
                column
            }
        };
        outer_keys.push(OrderByExpr {
            expr: Expr::Identifier(column),
            ..key
        });
    }
    let from = TableWithJoins {
        relation: derived(query_of(None, inner), false, alias(quoted("__ordered"))),
        joins: Vec::new(),
    };
    *query.body = SetExpr::Select(Box::new(select_of(outer, vec![from])));
    query.order_by = Some(OrderBy {
        kind: OrderByKind::Expressions(outer_keys),
        interpolate: None,
    });
}

fn column_named(name: &str, names: &[(String, Ident)]) -> Option<Ident> {
    names
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, column)| column.clone())
}
