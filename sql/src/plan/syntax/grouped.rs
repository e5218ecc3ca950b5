//! What a query is grouped by: GROUP BY ALL as the places of all columns that are no aggregates, and a clear error where
//! an aggregate or a window function is grouped by, also by its place or its alias.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SelectItem, Value, Visit, Visitor, WildcardAdditionalOptions,
};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use super::columns::Scopes;
use super::groups::place;
use super::titles::title;
use crate::dialect::folded;

pub(super) fn settle(select: &mut Select, scopes: &Scopes<'_, '_>) -> Result<(), DataFusionError> {
    match &select.group_by {
        GroupByExpr::All(modifiers) if modifiers.is_empty() => {
            if let Some(places) = places(&select.projection, scopes) {
                select.group_by = GroupByExpr::Expressions(places, Vec::new());
            }
            Ok(())
        }
        GroupByExpr::All(_) => Ok(()),
        GroupByExpr::Expressions(exprs, _) => {
            let mut keys = Vec::new();
            exprs.iter().for_each(|expr| parts(expr, &mut keys));
            keys.into_iter().try_for_each(|key| check(key, select, scopes))
        }
    }
}

/// The places of the columns that are grouped by. None if some columns stand behind a star.
///
/// DataFusion takes the columns themselves, whose aliases it then finds among the columns below, and takes `sum(x) + 1`
/// for no aggregate (`group_by` of DataFusion 55; no issue is known upstream).
fn places(projection: &[SelectItem], scopes: &Scopes<'_, '_>) -> Option<Vec<Expr>> {
    let mut places = Vec::new();
    for (index, item) in projection.iter().enumerate() {
        let expr = expr_of(item)?;
        if kind(expr, scopes).is_none() {
            places.push(Expr::value(Value::Number((index + 1).to_string(), false)));
        }
    }
    Some(places)
}

fn expr_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The expressions in a part of GROUP BY.
fn parts<'e>(expr: &'e Expr, found: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
            sets.iter().flatten().for_each(|expr| parts(expr, found));
        }
        Expr::Tuple(exprs) => exprs.iter().for_each(|expr| parts(expr, found)),
        other => found.push(other),
    }
}

/// Refuses to group by what is computed of groups.
fn check(key: &Expr, select: &Select, scopes: &Scopes<'_, '_>) -> Result<(), DataFusionError> {
    let written = place(key, &select.projection).or_else(|| aliased(key, select, scopes));
    match kind(written.as_ref().unwrap_or(key), scopes) {
        Some(kind) => Err(refused(kind, key, written.as_ref())),
        None => Ok(()),
    }
}

/// The expression of the select list that a name in GROUP BY means, if it is of no group and no column is called so.
fn aliased(key: &Expr, select: &Select, scopes: &Scopes<'_, '_>) -> Option<Expr> {
    let Expr::Identifier(ident) = key else { return None };
    let name = folded(ident);
    let expr = select.projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if folded(alias) == name => Some(expr),
        _ => None,
    })?;
    kind(expr, scopes)?;
    let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    let columns = scopes.columns_of_item(&all, &select.from, None)?;
    let hidden = columns.iter().any(|column| column.name == name);
    (!hidden).then(|| expr.clone())
}

fn refused(kind: Kind, key: &Expr, written: Option<&Expr>) -> DataFusionError {
    let (state, what) = match kind {
        Kind::Aggregate => (SqlState::GroupingError, "aggregate functions"),
        Kind::Window => (SqlState::WindowingError, "window functions"),
    };
    let mut error = Error::new(state, format!("{what} are not allowed in GROUP BY"));
    if let Some(written) = written {
        error = error.with_detail(format!("{} stands for {}.", title(key), title(written)));
    }
    into_datafusion(error.with_hint("Compute it in a subquery in FROM, and group by its column."))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Aggregate,
    Window,
}

/// Whether an expression calls an aggregate or a window function, outside of subqueries.
fn kind(expr: &Expr, scopes: &Scopes<'_, '_>) -> Option<Kind> {
    let mut find = Find { scopes, depth: 0 };
    match Visit::visit(expr, &mut find) {
        ControlFlow::Break(kind) => Some(kind),
        ControlFlow::Continue(()) => None,
    }
}

struct Find<'f, 'n, 's> {
    scopes: &'f Scopes<'n, 's>,
    depth: usize,
}

impl Visitor for Find<'_, '_, '_> {
    type Break = Kind;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Kind> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Kind> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Kind> {
        match expr {
            Expr::Function(function) if self.depth == 0 && function.over.is_some() => {
                ControlFlow::Break(Kind::Window)
            }
            Expr::Function(function) if self.depth == 0 && self.scopes.is_aggregate(&function.name) => {
                ControlFlow::Break(Kind::Aggregate)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
