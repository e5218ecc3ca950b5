//! The names of columns that a query gives none: the text of their expressions.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, VisitMut, VisitorMut,
};

use super::columns::quoted;
use super::selects_of;
use crate::dialect::folded;

/// Characters of such a name; of a longer text it is the beginning.
const LONGEST: usize = 200;

/// Names the columns of all queries in a query, by their expressions as they are written: this comes before any
/// rewriting of expressions, and outer queries come before the subqueries in their expressions.
pub(in crate::plan) fn give(query: &mut Query) {
    let walked = query.visit(&mut Give);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

struct Give;

impl VisitorMut for Give {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut selects = Vec::new();
        selects_of(&mut query.body, &mut selects);
        // The first select names the columns of a set operation.
        if let Some(select) = selects.into_iter().next() {
            name_columns(select);
        }
        ControlFlow::Continue(())
    }
}

/// Names the columns of a select that are neither columns of a table nor named.
fn name_columns(select: &mut Select) {
    let mut taken: Vec<String> = Vec::new();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                taken.push(folded(alias));
            }
            continue;
        };
        if !is_unnamed(expr) {
            continue;
        }
        let wanted = title(expr);
        let numbered = (1..).map(|number| format!("{wanted}_{number}"));
        let name = std::iter::once(wanted.clone())
            .chain(numbered)
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        let expr = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
        *item = SelectItem::ExprWithAlias {
            expr,
            alias: quoted(&name),
        };
        taken.push(name);
    }
}

/// Whether an expression has no name of its own. `unnest` of a structure gives several columns.
fn is_unnamed(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => false,
        Expr::Nested(inner) => is_unnamed(inner),
        Expr::Function(function) => !is_called(&function.name, "unnest"),
        _ => true,
    }
}

pub(super) fn is_called(name: &ObjectName, wanted: &str) -> bool {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => folded(ident) == wanted,
        _ => false,
    }
}

/// The name that an expression gives a column: its text, as it is written but for the case of names and for
/// white space. That of a column is its name.
pub(in crate::plan) fn title(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        Expr::Nested(inner) => title(inner),
        other => {
            let mut shown = other.clone();
            let walked = shown.visit(&mut Unmark);
            debug_assert!(walked.is_continue(), "the visitor never breaks");
            let text = text(&shown);
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

/// The text of an expression, which is the same for the same expression.
pub(super) fn text(expr: &Expr) -> String {
    let mut folded = expr.clone();
    let walked = folded.visit(&mut Fold);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    folded.to_string()
}

/// Takes out what stands for clauses that no text of an expression can show.
struct Unmark;

impl VisitorMut for Unmark {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        super::windows::unmark(expr);
        ControlFlow::Continue(())
    }
}

/// Folds names, and takes the quotes from those that need none.
struct Fold;

impl VisitorMut for Fold {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => fold(ident),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(fold),
            Expr::Function(function) => {
                for part in &mut function.name.0 {
                    if let ObjectNamePart::Identifier(ident) = part {
                        fold(ident);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn fold(ident: &mut Ident) {
    ident.value = folded(ident);
    let plain = |ch: char| ch.is_ascii_lowercase() || ch.is_ascii_digit() || ch == '_';
    let simple = ident.value.chars().all(plain) && !ident.value.starts_with(|ch: char| ch.is_ascii_digit());
    ident.quote_style = (!simple).then_some('"');
}
