//! The names of columns that joined tables share, written out where they are read: in a query's own expressions, and in
//! its subqueries as far as no table there has a column of that name.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, VisitMut, VisitorMut, With,
};

use super::columns::{InputColumn, Scopes, quoted};
use super::selects_of;
use crate::dialect::folded;

/// Replaces the names of shared columns.
pub(super) struct Replace<'c, 'n, 's> {
    shared: &'c [InputColumn],
    scopes: &'c Scopes<'n, 's>,
    /// The names that each subquery around the present place has itself. None where they are not known.
    hidden: Vec<Option<Vec<String>>>,
}

impl<'c, 'n, 's> Replace<'c, 'n, 's> {
    pub(super) fn new(shared: &'c [InputColumn], scopes: &'c Scopes<'n, 's>) -> Self {
        Self {
            shared,
            scopes,
            hidden: Vec::new(),
        }
    }

    /// A column that is selected keeps its name.
    pub(super) fn item(&mut self, item: &mut SelectItem) {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Some(column) = self.of(expr)
        {
            *item = item_of(column.expr.clone(), &column.name);
            return;
        }
        self.walk(item);
    }

    pub(super) fn walk(&mut self, node: &mut impl VisitMut) {
        let walked = node.visit(self);
        debug_assert!(walked.is_continue(), "the visitor never breaks");
    }

    fn of(&self, expr: &Expr) -> Option<&InputColumn> {
        let Expr::Identifier(ident) = expr else {
            return None;
        };
        let name = folded(ident);
        let column = self.shared.iter().find(|column| column.name == name)?;
        let is_hidden =
            |names: &Option<Vec<String>>| names.as_ref().is_none_or(|names| names.contains(&name));
        (!self.hidden.iter().any(is_hidden)).then_some(column)
    }

    /// The names of the columns and the aliases of a subquery.
    fn names_in(&self, query: &mut Query) -> Option<Vec<String>> {
        let with = query.with.clone();
        let mut selects = Vec::new();
        selects_of(&mut query.body, &mut selects);
        let mut names = Vec::new();
        for select in selects {
            names.extend(aliases(select));
            for from in &select.from {
                names.extend(self.names_of(&from.relation, with.as_ref())?);
                for join in &from.joins {
                    names.extend(self.names_of(&join.relation, with.as_ref())?);
                }
            }
        }
        Some(names)
    }

    /// The names of the columns of what stands in FROM.
    fn names_of(&self, factor: &TableFactor, with: Option<&With>) -> Option<Vec<String>> {
        if let TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } = factor
        {
            let mut names = self.names_of(&table_with_joins.relation, with)?;
            for join in &table_with_joins.joins {
                names.extend(self.names_of(&join.relation, with)?);
            }
            return Some(names);
        }
        let from = TableWithJoins {
            relation: factor.clone(),
            joins: Vec::new(),
        };
        let all = SelectItem::Wildcard(Default::default());
        match self.scopes.columns_of_item(&all, &[from], with) {
            Some(columns) => Some(columns.into_iter().map(|column| column.name).collect()),
            None => written_names(factor),
        }
    }
}

/// The names that a query in FROM gives its columns, if all of them are written out. One that reads columns of the
/// queries around it cannot be planned by itself.
fn written_names(factor: &TableFactor) -> Option<Vec<String>> {
    let TableFactor::Derived { subquery, alias, .. } = factor else {
        return None;
    };
    let SetExpr::Select(select) = subquery.body.as_ref() else {
        return None;
    };
    let of_item = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    };
    let own = select
        .projection
        .iter()
        .map(of_item)
        .collect::<Option<Vec<_>>>()?;
    let renamed = alias.iter().flat_map(|alias| &alias.columns);
    let renamed = renamed.map(|column| folded(&column.name));
    Some(own.into_iter().chain(renamed).collect())
}

fn aliases(select: &Select) -> impl Iterator<Item = String> + '_ {
    select.projection.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        _ => None,
    })
}

/// A selected column under a name.
pub(super) fn item_of(expr: Expr, name: &str) -> SelectItem {
    match &expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => SelectItem::UnnamedExpr(expr),
        _ => SelectItem::ExprWithAlias {
            expr,
            alias: quoted(name),
        },
    }
}

impl VisitorMut for Replace<'_, '_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let names = self.names_in(query);
        self.hidden.push(names);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.hidden.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(column) = self.of(expr) {
            *expr = column.expr.clone();
        }
        ControlFlow::Continue(())
    }
}
