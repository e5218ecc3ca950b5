//! Tables of outer queries that are called as a column of an inner table: `x.a` in a subquery is column `a` of
//! table `x` around it, though a table of the subquery has a column `x`.
//!
//! DataFusion takes it for a field of that column. Such tables get another name, within their select.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, OrderBy, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::columns::{Scopes, alias, quoted};
use crate::dialect::{folded, read_name};
use crate::plan::names::Names;

/// Renames the tables of a query that are mistaken for columns.
pub(super) fn rename(query: &mut Query, names: &Names<'_>) {
    let mut walk = Walk {
        scopes: Scopes::new(names),
        open: Vec::new(),
        renamed: Vec::new(),
    };
    let walked = query.visit(&mut walk);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

/// What is around a place.
enum Level {
    Select {
        tables: Vec<String>,
        from: Vec<TableWithJoins>,
        /// The names of the columns of its tables, once they were needed.
        columns: Option<Vec<String>>,
        /// Its tables that are taken for columns somewhere within it.
        mistaken: Vec<String>,
    },
    /// A query in FROM, which does not see the tables beside it.
    Fence,
}

struct Walk<'n, 's> {
    scopes: Scopes<'n, 's>,
    open: Vec<Level>,
    /// Those of the select that was left last.
    renamed: Vec<String>,
}

impl Walk<'_, '_> {
    /// Notes a table of an outer select if a select between has a column of its name.
    fn read(&mut self, name: &str) {
        let mut passed: Vec<usize> = Vec::new();
        let mut hidden = false;
        let mut found = None;
        for (index, level) in self.open.iter().enumerate().rev() {
            match level {
                Level::Fence => hidden = true,
                Level::Select { .. } if hidden => hidden = false,
                Level::Select { tables, .. } if tables.iter().any(|table| table == name) => {
                    found = Some(index);
                    break;
                }
                Level::Select { .. } => passed.push(index),
            }
        }
        let Some(found) = found else { return };
        if !passed.into_iter().any(|index| self.has_column(index, name)) {
            return;
        }
        if let Some(Level::Select { mistaken, .. }) = self.open.get_mut(found)
            && !mistaken.iter().any(|table| table == name)
        {
            mistaken.push(name.to_owned());
        }
    }

    fn has_column(&mut self, index: usize, name: &str) -> bool {
        let Some(Level::Select { from, columns, .. }) = self.open.get_mut(index) else {
            return false;
        };
        let columns = columns.get_or_insert_with(|| {
            let mut all = Vec::new();
            factors(from, &mut |factor| {
                let columns = self.scopes.of(factor).unwrap_or_default();
                all.extend(columns.into_iter().map(|column| column.name));
            });
            all
        });
        columns.iter().any(|column| column == name)
    }
}

impl VisitorMut for Walk<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.scopes.enter(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let renamed = std::mem::take(&mut self.renamed);
        if let (SetExpr::Select(_), Some(order)) = (query.body.as_ref(), &mut query.order_by) {
            for table in renamed {
                in_order(order, &table);
            }
        }
        self.scopes.leave(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut tables = Vec::new();
        factors(&select.from, &mut |factor| tables.extend(name_of(factor)));
        self.open.push(Level::Select {
            tables,
            from: select.from.clone(),
            columns: None,
            mistaken: Vec::new(),
        });
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let Some(Level::Select { mistaken, .. }) = self.open.pop() {
            for table in &mistaken {
                in_select(select, table);
            }
            self.renamed = mistaken;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if is_fence(factor) {
            self.open.push(Level::Fence);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if is_fence(factor) {
            self.open.pop();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(ident) = table_ident(expr) {
            let name = folded(ident);
            self.read(&name);
        }
        ControlFlow::Continue(())
    }
}

fn is_fence(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Derived { lateral: false, .. })
}

/// The first part of a name that may be that of a table.
fn table_ident(expr: &mut Expr) -> Option<&mut Ident> {
    match expr {
        Expr::CompoundIdentifier(parts) if parts.len() > 1 => parts.first_mut(),
        Expr::CompoundFieldAccess { root, access_chain } => match (root.as_mut(), access_chain.first()) {
            (Expr::Identifier(ident), Some(AccessExpr::Dot(_))) => Some(ident),
            _ => None,
        },
        _ => None,
    }
}

fn factors(from: &[TableWithJoins], found: &mut impl FnMut(&TableFactor)) {
    for item in from {
        let joined = item.joins.iter().map(|join| &join.relation);
        for factor in std::iter::once(&item.relation).chain(joined) {
            match factor {
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias: None,
                } => factors_of(table_with_joins, found),
                other => found(other),
            }
        }
    }
}

/// Not a closure's own recursion, whose type would hold itself.
fn factors_of(item: &TableWithJoins, found: &mut dyn FnMut(&TableFactor)) {
    factors(std::slice::from_ref(item), &mut |factor| found(factor));
}

fn name_of(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table {
            name, alias: None, ..
        } => read_name(name).ok().map(|read| read.name),
        TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } => {
            alias.as_ref().map(|alias| folded(&alias.name))
        }
        _ => None,
    }
}

fn fresh(table: &str) -> Ident {
    quoted(&format!("__outer_{table}"))
}

fn in_from(from: &mut [TableWithJoins], table: &str) {
    for item in from {
        let joined = item.joins.iter_mut().map(|join| &mut join.relation);
        for factor in std::iter::once(&mut item.relation).chain(joined) {
            let is_it = name_of(factor).as_deref() == Some(table);
            match factor {
                TableFactor::NestedJoin { table_with_joins, .. } => {
                    in_from(std::slice::from_mut(table_with_joins.as_mut()), table);
                }
                TableFactor::Table { alias: given, .. } | TableFactor::Derived { alias: given, .. }
                    if is_it =>
                {
                    match given {
                        Some(given) => given.name = fresh(table),
                        None => *given = Some(alias(fresh(table))),
                    }
                }
                _ => {}
            }
        }
    }
}

fn in_select(select: &mut Select, table: &str) {
    // Before the table has its new name, by which its select is known.
    let mut references = References {
        table,
        within: 0,
        shadowed: 0,
    };
    let walked = select.visit(&mut references);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    in_from(&mut select.from, table);
}

fn in_order(order: &mut OrderBy, table: &str) {
    let mut references = References {
        table,
        within: 1,
        shadowed: 0,
    };
    let walked = order.visit(&mut references);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

/// Renames what reads a table, but not where another table has its name.
struct References<'t> {
    table: &'t str,
    /// Selects around the present place, the table's own included.
    within: usize,
    /// Those of them and of the queries in FROM that do not see the table.
    shadowed: usize,
}

impl References<'_> {
    fn hides(&self, select: &Select) -> bool {
        let mut found = false;
        factors(&select.from, &mut |factor| {
            found = found || name_of(factor).as_deref() == Some(self.table);
        });
        found
    }
}

impl VisitorMut for References<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.within += 1;
        if self.within > 1 && (self.shadowed > 0 || self.hides(select)) {
            self.shadowed += 1;
        }
        if self.shadowed == 0 {
            for item in &mut select.projection {
                if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) =
                    item
                    && read_name(name).is_ok_and(|read| read.schema.is_none() && read.name == self.table)
                {
                    *name = ObjectName::from(vec![fresh(self.table)]);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if self.within > 1 && (self.shadowed > 1 || self.shadowed == 1 && self.hides(select)) {
            self.shadowed -= 1;
        }
        self.within -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if self.within == 1 && is_fence(factor) || self.shadowed > 0 && is_fence(factor) {
            self.shadowed += 1;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if self.shadowed > 0 && is_fence(factor) {
            self.shadowed -= 1;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.shadowed == 0
            && let Some(ident) = table_ident(expr)
            && folded(ident) == self.table
        {
            *ident = fresh(self.table);
        }
        ControlFlow::Continue(())
    }
}
