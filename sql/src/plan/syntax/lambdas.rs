//! Lambdas within lambdas. DataFusion's planner plans the body of one twice, so that each level doubles the time, and nothing
//! interrupts it (`sql_fn_name_to_expr` of DataFusion 55; no issue is known upstream): their depth is bounded.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use sqlparser::ast::{Expr, Query, Visit, Visitor};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use crate::dialect::with_room;

/// More make a statement slow.
const DEPTH_MAX: usize = 6;

/// An error for lambdas that are nested deeper.
pub(super) fn check(query: &Query) -> Result<(), DataFusionError> {
    match with_room(|| query.visit(&mut Depth(0))) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(into_datafusion(
            Error::new(
                SqlState::StatementTooComplex,
                format!("lambdas are nested deeper than {DEPTH_MAX} levels"),
            )
            .with_hint("Compute the inner lists in a subquery or a common table expression."),
        )),
    }
}

struct Depth(usize);

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.0 += 1;
        }
        match self.0 > DEPTH_MAX {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.0 -= 1;
        }
        ControlFlow::Continue(())
    }
}
