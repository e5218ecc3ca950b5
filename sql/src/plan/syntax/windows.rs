//! `OVER (w ORDER BY …)`: a window that refines a named one. DataFusion takes what it adds for all of it.
//!
//! What a window excludes from its frames, which its name holds, becomes an expression of its PARTITION BY.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    Expr, Function, FunctionArguments, GroupByExpr, Ident, NamedWindowDefinition, NamedWindowExpr,
    ObjectName, Query, Select, Visit, VisitMut, Visitor, VisitorMut, WindowSpec, WindowType,
};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;
use watershed_storage::windows::Exclusion;

use super::columns::quoted;
use crate::dialect::{folded, split_exclusion};

/// Refuses window functions where the rows that they see are not yet known.
pub(super) fn check(select: &Select) -> Result<(), DataFusionError> {
    let mut places: Vec<(&str, &Expr)> = Vec::new();
    places.extend(select.selection.iter().map(|expr| ("WHERE", expr)));
    places.extend(select.having.iter().map(|expr| ("HAVING", expr)));
    if let GroupByExpr::Expressions(exprs, _) = &select.group_by {
        places.extend(exprs.iter().map(|expr| ("GROUP BY", expr)));
    }
    for (clause, expr) in places {
        let mut find = Find { depth: 0 };
        if Visit::visit(expr, &mut find).is_break() {
            return Err(into_datafusion(
                Error::new(
                    SqlState::WindowingError,
                    format!("window functions are not allowed in {clause}"),
                )
                .with_hint("Filter by them with QUALIFY, or compute them in a subquery in FROM."),
            ));
        }
    }
    Ok(())
}

/// Stops at the first window function that is of no inner query.
struct Find {
    depth: usize,
}

impl Visitor for Find {
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
            Expr::Function(function) if self.depth == 0 && function.over.is_some() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Writes named windows into those that refine them.
pub(super) fn inline(select: &mut Select) {
    if select.named_window.is_empty() {
        return;
    }
    let mut known: Vec<(String, WindowSpec)> = Vec::new();
    for NamedWindowDefinition(name, definition) in &mut select.named_window {
        if let NamedWindowExpr::WindowSpec(spec) = definition {
            refine(spec, &known);
            known.push((folded(name), spec.clone()));
        } else if let NamedWindowExpr::NamedWindow(other) = definition
            && let Some(spec) = find(other, &known)
        {
            known.push((folded(name), spec));
        }
    }
    let mut inline = Inline { known, depth: 0 };
    for item in &mut select.projection {
        let walked = VisitMut::visit(item, &mut inline);
        debug_assert!(walked.is_continue(), "the visitor never breaks");
    }
    if let Some(qualify) = &mut select.qualify {
        let walked = VisitMut::visit(qualify, &mut inline);
        debug_assert!(walked.is_continue(), "the visitor never breaks");
    }
}

fn find(name: &Ident, known: &[(String, WindowSpec)]) -> Option<WindowSpec> {
    let wanted = folded(name);
    known
        .iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, spec)| spec.clone())
}

/// Marks a call whose window has no name but for what it excludes.
pub(super) fn mark(expr: &mut Expr) {
    if let Expr::Function(function) = expr
        && let Some(WindowType::WindowSpec(spec)) = &mut function.over
        && let Some(name) = &spec.window_name
        && let Some(("", exclusion)) = split_exclusion(&name.value)
    {
        spec.window_name = None;
        spec.partition_by.push(call(exclusion));
    }
}

/// Takes the mark of what a window excludes from a call, for its name.
pub(super) fn unmark(expr: &mut Expr) {
    if let Expr::Function(function) = expr
        && let Some(WindowType::WindowSpec(spec)) = &mut function.over
    {
        spec.partition_by.retain(|key| match key {
            Expr::Function(key) => !is_mark(&key.name),
            _ => true,
        });
    }
}

fn is_mark(name: &ObjectName) -> bool {
    match name.0.as_slice() {
        [part] => part
            .as_ident()
            .is_some_and(|ident| watershed_storage::windows::mark(&ident.value).is_some()),
        _ => false,
    }
}

fn call(exclusion: Exclusion) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![quoted(&exclusion.mark())]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(sqlparser::ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn refine(spec: &mut WindowSpec, known: &[(String, WindowSpec)]) {
    let split = spec.window_name.as_ref().and_then(|name| {
        let (own, exclusion) = split_exclusion(&name.value)?;
        Some(((!own.is_empty()).then(|| quoted(own)), exclusion))
    });
    let Some((name, exclusion)) = split else {
        inherit(spec, known);
        return;
    };
    spec.window_name = name;
    inherit(spec, known);
    spec.partition_by.push(call(exclusion));
}

fn inherit(spec: &mut WindowSpec, known: &[(String, WindowSpec)]) {
    let Some(base) = spec.window_name.as_ref().and_then(|name| find(name, known)) else {
        return;
    };
    // The named one gives the partitions, and the order if it has one; a frame it must not have.
    if !spec.partition_by.is_empty() || base.window_frame.is_some() {
        return;
    }
    if !base.order_by.is_empty() && !spec.order_by.is_empty() {
        return;
    }
    spec.window_name = None;
    spec.partition_by = base.partition_by;
    if spec.order_by.is_empty() {
        spec.order_by = base.order_by;
    }
}

struct Inline {
    known: Vec<(String, WindowSpec)>,
    /// Queries around the present place, within the select.
    depth: usize,
}

impl VisitorMut for Inline {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0
            && let Expr::Function(function) = expr
        {
            match &mut function.over {
                Some(WindowType::WindowSpec(spec)) => refine(spec, &self.known),
                Some(WindowType::NamedWindow(name)) => {
                    if let Some(spec) = find(name, &self.known) {
                        function.over = Some(WindowType::WindowSpec(spec));
                    }
                }
                None => {}
            }
        }
        ControlFlow::Continue(())
    }
}
