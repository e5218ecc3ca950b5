//! Columns of a query that are called the same: `SELECT count(*) FROM (SELECT a, a FROM t) q`.
//!
//! A name has to mean one column only where it is used. DataFusion refuses such queries, or takes the first
//! column. Here columns that share a name get hidden names, which nothing in a statement can use: the name
//! itself, a separator and a number. A query in FROM or WITH names its columns anew by their places. Where the
//! shared name is used, it is ambiguous, and the columns of the whole result are shown under the name again.

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    Expr, Query, Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
};

use super::ambiguous;
use super::columns::{Scopes, quoted};
use super::titles::title;
use crate::dialect::folded;

/// Stands between a name and the number of the column.
const SEPARATOR: char = '\u{1f}';

/// The name that several columns share, of a hidden name.
pub(in crate::plan) fn shared_name(name: &str) -> Option<&str> {
    name.split_once(SEPARATOR).map(|(shared, _)| shared)
}

fn shown(name: &str) -> &str {
    shared_name(name).unwrap_or(name)
}

fn hidden(name: &str, number: usize) -> String {
    format!("{}{SEPARATOR}{number}", shown(name))
}

/// Names the columns of the queries in FROM and WITH, where some of them are called the same, and refuses the
/// use of a name that several have.
pub(super) fn name_sources(query: &mut Query, scopes: &Scopes<'_, '_>) -> Result<(), DataFusionError> {
    for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
        name_columns(&mut cte.alias, &cte.query, scopes);
    }
    let mut selects = Vec::new();
    super::selects_of(&mut query.body, &mut selects);
    for select in selects {
        for from in &mut select.from {
            in_from(from, scopes);
        }
        ambiguous::check(select, scopes)?;
    }
    Ok(())
}

/// Gives the expressions of a query's select lists distinct names.
pub(super) fn hide(query: &mut Query, scopes: &Scopes<'_, '_>) -> Result<(), DataFusionError> {
    if let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &query.order_by) {
        ambiguous::check_order(select, order)?;
    }
    let mut selects = Vec::new();
    super::selects_of(&mut query.body, &mut selects);
    let mut first = None;
    for select in selects {
        distinct_items(select, scopes);
        match &first {
            None => first = Some(select.projection.iter().map(name_of).collect::<Vec<_>>()),
            Some(first) => hide_operand(select, first),
        }
    }
    Ok(())
}

fn in_from(from: &mut TableWithJoins, scopes: &Scopes<'_, '_>) {
    let joined = from.joins.iter_mut().map(|join| &mut join.relation);
    for factor in std::iter::once(&mut from.relation).chain(joined) {
        match factor {
            TableFactor::Derived {
                subquery,
                alias: Some(alias),
                ..
            } => name_columns(alias, subquery, scopes),
            TableFactor::Table { .. } => complete(factor, scopes),
            TableFactor::NestedJoin { table_with_joins, .. } => in_from(table_with_joins, scopes),
            _ => {}
        }
    }
}

/// Names the columns of a query, if some of them are called the same.
pub(super) fn name_columns(alias: &mut TableAlias, query: &Query, scopes: &Scopes<'_, '_>) {
    let given: Vec<String> = alias.columns.iter().map(|column| folded(&column.name)).collect();
    let repeated = |names: &[String]| {
        let hides = |name: &String| shared_name(name).is_some();
        names.iter().enumerate().any(|(index, name)| {
            let mut others = names[index + 1..].iter();
            others.any(|other| shown(other) == shown(name) && !(hides(other) && hides(name) && other != name))
        })
    };
    let Some(mut names) = names_of(query, scopes, given.is_empty()) else {
        return;
    };
    if given.len() > names.len() {
        return;
    }
    let complete = given.is_empty() || given.len() == names.len();
    names.splice(..given.len(), given);
    if complete && !repeated(&names) {
        return;
    }
    let columns = names.iter().enumerate().map(|(index, name)| {
        let same = |other: &&String| shown(other) == shown(name);
        let unique = names.iter().filter(same).count() == 1;
        TableAliasColumnDef {
            name: match unique {
                true => quoted(name),
                false => quoted(&hidden(name, index + 1)),
            },
            data_type: None,
        }
    });
    alias.columns = columns.collect();
}

/// Adds the names of further columns to those that are given for the first ones of a table.
fn complete(factor: &mut TableFactor, scopes: &Scopes<'_, '_>) {
    if !matches!(factor, TableFactor::Table { alias: Some(given), .. } if !given.columns.is_empty()) {
        return;
    }
    let mut bare = factor.clone();
    let TableFactor::Table {
        alias: Some(given), ..
    } = factor
    else {
        return;
    };
    if let TableFactor::Table { alias, .. } = &mut bare {
        *alias = None;
    }
    let known = scopes.of(&bare).unwrap_or_default();
    let more = known.into_iter().skip(given.columns.len());
    given.columns.extend(more.map(|column| TableAliasColumnDef {
        name: quoted(&column.name),
        data_type: None,
    }));
}

/// The names of a query's columns. None if they are not known; or, if only repeated ones are looked for, if there
/// cannot be any.
fn names_of(query: &Query, scopes: &Scopes<'_, '_>, repeated_only: bool) -> Option<Vec<String>> {
    let mut body = query.body.as_ref();
    let select = loop {
        match body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Query(query) => return names_of(query, scopes, repeated_only),
            _ => return None,
        }
    };
    let single_table = matches!(select.from.as_slice(), [from] if from.joins.is_empty());
    if repeated_only && single_table && matches!(select.projection.as_slice(), [SelectItem::Wildcard(_)]) {
        return None;
    }
    let mut names = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(Expr::Function(call))
                if super::titles::is_called(&call.name, "unnest") =>
            {
                return None;
            }
            SelectItem::UnnamedExpr(expr) => names.push(title(expr)),
            SelectItem::ExprWithAlias { alias, .. } => names.push(folded(alias)),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                let columns = scopes.columns_of_item(item, &select.from, query.with.as_ref())?;
                names.extend(columns.into_iter().map(|column| column.name));
            }
            _ => return None,
        }
    }
    Some(names)
}

/// Gives the expressions of a select list distinct names. What `*` stands for keeps its names, unless it stands
/// there again.
fn distinct_items(select: &mut Select, scopes: &Scopes<'_, '_>) {
    if select.projection.len() < 2 {
        return;
    }
    let is_expr = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
        )
    };
    let all_exprs = select.projection.iter().all(is_expr);
    let mut taken: Vec<String> = Vec::new();
    // Columns that wildcards stand for.
    let mut read: Vec<Expr> = Vec::new();
    if !all_exprs {
        let items = std::mem::take(&mut select.projection);
        for item in items {
            let columns = match is_expr(&item) {
                true => None,
                false => scopes.columns_of_item(&item, &select.from, None),
            };
            let Some(columns) = columns else {
                select.projection.push(item);
                continue;
            };
            let again = columns.iter().any(|column| read.contains(&column.expr));
            taken.extend(columns.iter().map(|column| column.name.clone()));
            read.extend(columns.iter().map(|column| column.expr.clone()));
            match again {
                true => select.projection.extend(
                    columns
                        .into_iter()
                        .map(|column| SelectItem::UnnamedExpr(column.expr)),
                ),
                false => select.projection.push(item),
            }
        }
    }
    for (index, item) in select.projection.iter_mut().enumerate() {
        let Some(name) = name_of(item) else { continue };
        match taken.contains(&name) {
            true => rename(item, &hidden(&name, index + 1)),
            false => taken.push(name),
        }
    }
}

/// The name of an expression of a select list. None of what may be several columns.
fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Function(call)) if super::titles::is_called(&call.name, "unnest") => {
            None
        }
        SelectItem::UnnamedExpr(expr) => Some(title(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    }
}

fn rename(item: &mut SelectItem, name: &str) {
    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
        let expr = expr.clone();
        *item = SelectItem::ExprWithAlias {
            expr,
            alias: quoted(name),
        };
    }
}

/// Hides the names of a later operand of a set operation where the first one has one of them at another place:
/// DataFusion gives the columns the first operand's names, beside those that they have.
fn hide_operand(select: &mut Select, first: &[Option<String>]) {
    let names: Vec<Option<String>> = select.projection.iter().map(name_of).collect();
    let clashes = names.iter().enumerate().any(|(index, name)| {
        let mut others = first.iter().enumerate().filter(|(other, _)| *other != index);
        name.is_some() && others.any(|(_, other)| other == name)
    });
    if !clashes || names.iter().any(Option::is_none) {
        return;
    }
    for (index, item) in select.projection.iter_mut().enumerate() {
        if let Some(name) = name_of(item) {
            rename(item, &hidden(&name, index + 1));
        }
    }
}
