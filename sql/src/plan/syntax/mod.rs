//! A query's syntax tree brought into a form that DataFusion's planner reads as SQL means it.
//!
//! Each file is about one construct. The tree stays SQL: what it means by PostgreSQL's rules does not change,
//! but for the names of columns that have none, which are the text of their expressions.

mod aliases;
mod ambiguous;
mod any;
mod argument_order;
mod array_of;
mod at_zone;
mod by_name;
mod calls;
mod casts;
mod collate;
mod columns;
mod common;
mod complement;
mod fields;
mod frames;
mod grouped;
mod groups;
mod intervals;
mod lambdas;
mod order;
mod recursive;
mod refused;
mod repeated;
mod row_values;
mod semi;
mod shared_columns;
mod substrings;
mod titles;
mod to_json;
mod unnest;
mod using;
mod volatile;
mod windows;

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    Expr, Query, Select, SelectFlavor, SelectItem, SetExpr, TableFactor, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};

use super::names::Names;
use columns::Scopes;

pub(super) use ambiguous::ambiguity;
pub(super) use calls::call;
pub(super) use repeated::shared_name;
pub(super) use titles::{give as give_titles, title};

/// Rewrites a query with all queries in it.
pub(super) fn rewrite(query: &mut Query, names: &Names<'_>) -> Result<(), DataFusionError> {
    lambdas::check(query)?;
    lambdas::rename(query);
    common::distinct_names(query);
    volatile::check(query, names)?;
    let mut selects = Selects {
        scopes: Scopes::new(names),
    };
    match query.visit(&mut selects) {
        ControlFlow::Continue(()) => {
            aliases::rename(query, names);
            Ok(())
        }
        ControlFlow::Break(error) => Err(error),
    }
}

/// Rewrites queries from the innermost out, so that what is around one sees it as it is planned.
struct Selects<'n, 's> {
    scopes: Scopes<'n, 's>,
}

impl VisitorMut for Selects<'_, '_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        let mut selects = Vec::new();
        selects_of(&mut query.body, &mut selects);
        selects.into_iter().for_each(all_columns);
        self.scopes.enter(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        if let Err(error) = one(query, &self.scopes) {
            return ControlFlow::Break(error);
        }
        recursive::settle(query, &self.scopes);
        self.scopes.leave(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<DataFusionError> {
        if let Err(error) = refused::check(factor) {
            return ControlFlow::Break(error);
        }
        unnest::rewrite(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        array_of::rewrite(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        row_values::rewrite(expr);
        any::rewrite(expr);
        argument_order::rewrite(expr);
        at_zone::rewrite(expr);
        fields::rewrite(expr);
        complement::rewrite(expr);
        intervals::rewrite(expr);
        substrings::rewrite(expr);
        to_json::rewrite(expr);
        windows::mark(expr);
        match collate::rewrite(expr).and_then(|()| frames::rewrite(expr)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn one(query: &mut Query, scopes: &Scopes<'_, '_>) -> Result<(), DataFusionError> {
    repeated::name_sources(query, scopes)?;
    let mut order_by = query.order_by.take();
    let single = matches!(query.body.as_ref(), SetExpr::Select(_));
    let mut selects = Vec::new();
    selects_of(&mut query.body, &mut selects);
    for select in selects {
        for from in &select.from {
            refused::check_joins(from)?;
        }
        unnest::not_lateral(select);
        windows::check(select)?;
        semi::rewrite(select);
        windows::inline(select);
        grouped::settle(select, scopes)?;
        groups::expand(select)?;
        let order = order_by.as_mut().filter(|_| single);
        using::rewrite(select, order, scopes)?;
        casts::name(select, order_by.as_mut().filter(|_| single));
    }
    query.order_by = order_by;
    by_name::rewrite(&mut query.body);
    repeated::hide(query, scopes)?;
    order::settle(query, scopes);
    Ok(())
}

/// `FROM t` alone is `SELECT * FROM t`.
fn all_columns(select: &mut Select) {
    if select.flavor == SelectFlavor::FromFirstNoSelect && select.projection.is_empty() {
        let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
        select.projection.push(all);
        select.flavor = SelectFlavor::Standard;
    }
}

/// The selects of a query's own, not those of queries in it.
fn selects_of<'q>(body: &'q mut SetExpr, found: &mut Vec<&'q mut Select>) {
    match body {
        SetExpr::Select(select) => found.push(select),
        SetExpr::SetOperation { left, right, .. } => {
            selects_of(left, found);
            selects_of(right, found);
        }
        _ => {}
    }
}
