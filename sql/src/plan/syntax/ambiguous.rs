//! Refuses the names that several columns of one query have, where they are used: 42702.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    Expr, Ident, JoinConstraint, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, TableWithJoins, Visit, Visitor,
};
use sqlparser::tokenizer::Location;
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use super::columns::Scopes;
use super::repeated::shared_name;
use super::titles::{text, title};
use crate::dialect::{at, folded, read_name};

/// Refuses the use of a shared name in a select.
pub(super) fn check(select: &Select, scopes: &Scopes<'_, '_>) -> Result<(), DataFusionError> {
    let mut shared = Vec::new();
    for from in &select.from {
        shared_in(from, scopes, scopes.count(), &mut shared);
    }
    if shared.is_empty() {
        return Ok(());
    }
    check_use(select, &shared)?;
    select
        .from
        .iter()
        .try_for_each(|from| check_joins(from, &shared, scopes))
}

/// A name of ORDER BY that several different columns of the result have means none of them.
pub(super) fn check_order(select: &Select, order: &OrderBy) -> Result<(), DataFusionError> {
    let OrderByKind::Expressions(keys) = &order.kind else {
        return Ok(());
    };
    for key in keys {
        let Expr::Identifier(ident) = &key.expr else {
            continue;
        };
        let wanted = folded(ident);
        let mut found = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) if title(expr) == wanted => Some(expr),
            SelectItem::ExprWithAlias { expr, alias } if folded(alias) == wanted => Some(expr),
            _ => None,
        });
        if let Some(first) = found.next()
            && found.any(|other| !may_be_same(first, other))
        {
            return Err(ambiguous(&wanted, ident.span.start));
        }
    }
    Ok(())
}

/// Whether two expressions are the same. A column without its table's name is that of any table, as it is refused
/// where two tables have it.
fn may_be_same(left: &Expr, right: &Expr) -> bool {
    match (left, right) {
        (Expr::Identifier(_), Expr::CompoundIdentifier(_))
        | (Expr::CompoundIdentifier(_), Expr::Identifier(_)) => title(left) == title(right),
        _ => text(left) == text(right),
    }
}

fn ambiguous(name: &str, place: Location) -> DataFusionError {
    into_datafusion(at(ambiguity(name), place))
}

/// The error of a name that means several columns of one query.
pub(in crate::plan) fn ambiguity(name: &str) -> Error {
    Error::new(
        SqlState::AmbiguousColumn,
        format!("column \"{name}\" means several columns of a query"),
    )
    .with_hint("Give one of them another name with AS.")
}

/// The names that several columns of one table in FROM share, each with that table's name.
type Shared = [(String, String)];

fn shared_in(from: &TableWithJoins, scopes: &Scopes<'_, '_>, seen: usize, found: &mut Vec<(String, String)>) {
    let joined = from.joins.iter().map(|join| &join.relation);
    for factor in std::iter::once(&from.relation).chain(joined) {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => {
                shared_in(table_with_joins, scopes, seen, found);
            }
            TableFactor::Derived {
                subquery,
                alias: Some(alias),
                ..
            } => {
                let table = folded(&alias.name);
                shared_by(alias, Some(subquery), (scopes, seen), &table, found);
            }
            TableFactor::Table { name, alias, .. } => {
                let Ok(read) = read_name(name) else { continue };
                if read.schema.is_some() {
                    continue;
                }
                let table = alias
                    .as_ref()
                    .map_or(read.name.clone(), |alias| folded(&alias.name));
                if let Some((cte, before)) = scopes.common(&read.name, seen)
                    && alias.as_ref().is_none_or(|alias| alias.columns.is_empty())
                {
                    shared_by(&cte.alias, Some(&cte.query), (scopes, before), &table, found);
                }
            }
            _ => {}
        }
    }
}

fn shared_by(
    alias: &TableAlias,
    query: Option<&Query>,
    (scopes, seen): (&Scopes<'_, '_>, usize),
    table: &str,
    found: &mut Vec<(String, String)>,
) {
    if !alias.columns.is_empty() {
        let names = alias.columns.iter().map(|column| column.name.value.as_str());
        let shared = names.filter_map(shared_name);
        found.extend(shared.map(|name| (table.to_owned(), name.to_owned())));
        return;
    }
    // All columns of another query, whose names may be shared in turn.
    if let Some(SetExpr::Select(select)) = query.map(|query| query.body.as_ref())
        && select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::Wildcard(_)))
    {
        let mut inner = Vec::new();
        for from in &select.from {
            shared_in(from, scopes, seen, &mut inner);
        }
        found.extend(inner.into_iter().map(|(_, name)| (table.to_owned(), name)));
    }
}

/// Refuses a select that uses a name which several columns share.
fn check_use(select: &Select, shared: &Shared) -> Result<(), DataFusionError> {
    let mut uses = Uses { shared, depth: 0 };
    match select.visit(&mut uses) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Uses<'s> {
    shared: &'s Shared,
    /// Queries around the present place, within the select.
    depth: usize,
}

impl Visitor for Uses<'_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<DataFusionError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<DataFusionError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<DataFusionError> {
        let used = match expr {
            _ if self.depth > 0 => None,
            Expr::Identifier(ident) => {
                let name = folded(ident);
                let found = self.shared.iter().find(|(_, shared)| *shared == name);
                found.map(|_| (name, ident.span.start))
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, last] => {
                    let (table, name) = (folded(table), folded(last));
                    let found = self
                        .shared
                        .iter()
                        .find(|(of, shared)| *of == table && *shared == name);
                    found.map(|_| (name, table_place(parts)))
                }
                _ => None,
            },
            _ => None,
        };
        match used {
            Some((name, place)) => ControlFlow::Break(ambiguous(&name, place)),
            None => ControlFlow::Continue(()),
        }
    }
}

/// USING and NATURAL compare columns by name.
fn check_joins(
    from: &TableWithJoins,
    shared: &Shared,
    scopes: &Scopes<'_, '_>,
) -> Result<(), DataFusionError> {
    for join in &from.joins {
        match super::using::constraint(&join.join_operator) {
            Some(JoinConstraint::Using(names)) => {
                let names = names.iter().filter_map(|name| name.0.last()?.as_ident());
                for ident in names {
                    let name = folded(ident);
                    if shared.iter().any(|(_, shared)| *shared == name) {
                        return Err(ambiguous(&name, ident.span.start));
                    }
                }
            }
            Some(JoinConstraint::Natural) => {
                let joined = from.joins.iter().map(|join| &join.relation);
                for factor in std::iter::once(&from.relation).chain(joined) {
                    for column in scopes.of(factor).unwrap_or_default() {
                        if shared.iter().any(|(_, shared)| *shared == column.name) {
                            return Err(ambiguous(&column.name, Location::empty()));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn table_place(parts: &[Ident]) -> Location {
    parts.first().map_or(Location::empty(), |first| first.span.start)
}
