//! `ARRAY[a, b]` and `[a, b]` as a call of `make_array(a, b)`. DataFusion's planner reads the elements of an array
//! literal without the tables, common table expressions and lambda parameters around it.

use std::ops::ControlFlow;

use sqlparser::ast::{Array, Expr, VisitMut, VisitorMut};

use super::syntax::call;

/// Rewrites the arrays below a node.
pub(super) fn rewrite(node: &mut impl VisitMut) {
    let walked = node.visit(&mut Arrays);
    debug_assert!(walked.is_continue(), "the visitor never breaks");
}

struct Arrays;

impl VisitorMut for Arrays {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Array(Array { elem, .. }) = expr {
            *expr = call("make_array", std::mem::take(elem));
        }
        ControlFlow::Continue(())
    }
}
