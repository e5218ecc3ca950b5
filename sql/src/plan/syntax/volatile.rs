//! Common table expressions whose rows differ each time they are computed, as those that call `random()`. SQL computes
//! one once for a statement; here it is computed for each place that reads it, so that it may have one such place.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::logical_expr::Volatility;
use datafusion::logical_expr::planner::ContextProvider;
use sqlparser::ast::{Expr, Query, TableFactor, Visit, Visitor};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use crate::dialect::{folded, read_name};
use crate::plan::names::Names;

/// Refuses a query in which one is read twice. All have names of their own.
pub(super) fn check(query: &Query, names: &Names<'_>) -> Result<(), DataFusionError> {
    if query.with.is_none() && !has_common(query) {
        return Ok(());
    }
    let mut walk = Walk {
        names,
        bodies: vec![Body::default()],
        open: Vec::new(),
    };
    let walked = query.visit(&mut walk);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
    let bodies = walk.bodies;
    if bodies.iter().skip(1).all(|body| body.volatile.is_none()) {
        return Ok(());
    }
    for (body, times) in bodies.iter().zip(times(&bodies)).skip(1) {
        let Some(function) = &body.volatile else { continue };
        if times > 1 {
            return Err(into_datafusion(
                Error::new(
                    SqlState::FeatureNotSupported,
                    format!(
                        "the common table expression \"{}\" calls {function}() and is read more than once",
                        body.name
                    ),
                )
                .with_hint("Store its rows in a temporary table, and read that."),
            ));
        }
    }
    Ok(())
}

fn has_common(query: &Query) -> bool {
    struct Any;
    impl Visitor for Any {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            match query.with {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        }
    }
    query.visit(&mut Any).is_break()
}

/// How often each body is computed, up to two times.
fn times(bodies: &[Body]) -> Vec<usize> {
    let places: HashMap<&str, usize> = bodies
        .iter()
        .enumerate()
        .map(|(index, body)| (body.name.as_str(), index))
        .collect();
    let mut edges: Vec<(usize, usize, usize)> = Vec::new();
    for (reader, body) in bodies.iter().enumerate() {
        for (name, count) in &body.reads {
            if let Some(read) = places.get(name.as_str())
                // A recursive one reads the rows of its last step.
                && *read != reader
            {
                edges.push((reader, *read, *count));
            }
        }
    }
    let mut times = vec![0; bodies.len()];
    if let Some(statement) = times.first_mut() {
        *statement = 1;
    }
    // A body is read through as many others as there are, at most.
    for _ in bodies {
        let mut next = vec![0; bodies.len()];
        if let Some(statement) = next.first_mut() {
            *statement = 1;
        }
        for (reader, read, count) in &edges {
            next[*read] = (next[*read] + times[*reader] * count).min(2);
        }
        if next == times {
            break;
        }
        times = next;
    }
    times
}

/// The query of a common table expression; the first is that of the statement.
#[derive(Default)]
struct Body {
    name: String,
    /// A function that it calls itself.
    volatile: Option<String>,
    reads: HashMap<String, usize>,
}

struct Walk<'n, 's> {
    names: &'n Names<'s>,
    bodies: Vec<Body>,
    /// Queries around the present place that are those of bodies, and queries that will be, by their address.
    open: Vec<(*const Query, usize, bool)>,
}

impl Walk<'_, '_> {
    fn body(&mut self) -> Option<&mut Body> {
        let within = self.open.iter().rev().find(|(_, _, entered)| *entered);
        let index = within.map_or(0, |(_, index, _)| *index);
        self.bodies.get_mut(index)
    }
}

impl Visitor for Walk<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let place = self
            .open
            .iter()
            .position(|(address, _, _)| std::ptr::eq(*address, query));
        if let Some(place) = place {
            // It is the innermost of those that were entered.
            let (address, index, _) = self.open.remove(place);
            self.open.push((address, index, true));
        }
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.open.push((&raw const *cte.query, self.bodies.len(), false));
            self.bodies.push(Body {
                name: folded(&cte.alias.name),
                ..Body::default()
            });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.open
            .retain(|(address, _, entered)| !(*entered && std::ptr::eq(*address, query)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor
            && let Ok(name) = read_name(name)
            && name.schema.is_none()
            && self.bodies.iter().any(|body| body.name == name.name)
            && let Some(body) = self.body()
        {
            *body.reads.entry(name.name).or_default() += 1;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let [part] = function.name.0.as_slice()
            && let Some(ident) = part.as_ident()
        {
            let name = folded(ident);
            let known = self.names.get_function_meta(&name);
            if known.is_some_and(|known| known.signature().volatility == Volatility::Volatile)
                && let Some(body) = self.body()
            {
                body.volatile.get_or_insert(name);
            }
        }
        ControlFlow::Continue(())
    }
}
