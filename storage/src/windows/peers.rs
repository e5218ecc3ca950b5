//! Frames of peers over keys of any type: `sum(x) OVER (ORDER BY key)`.
//!
//! The frame of a window with an order is by default RANGE from the first row to the last peer of the current
//! one. DataFusion allows RANGE over numbers, texts and times alone, since bounds may be distances. A frame
//! without a distance is the same in GROUPS, which only compares keys.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use datafusion::optimizer::AnalyzerRule;

use crate::numbers::exprs;

/// Has to run before types are coerced, when DataFusion checks the keys of RANGE.
#[derive(Debug)]
pub(super) struct PeerFrames;

impl AnalyzerRule for PeerFrames {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(_) => exprs::rewrite(node, &in_groups),
            other => Ok(Transformed::no(other)),
        })
        .map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "peer_frames"
    }
}

fn in_groups(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut call) = expr else {
        return Ok(Transformed::no(expr));
    };
    if !needs_groups(&call, schema) {
        return Ok(Transformed::no(Expr::WindowFunction(call)));
    }
    let frame = &call.params.window_frame;
    call.params.window_frame = WindowFrame::new_bounds(
        WindowFrameUnits::Groups,
        frame.start_bound.clone(),
        frame.end_bound.clone(),
    );
    Ok(Transformed::yes(Expr::WindowFunction(call)))
}

fn needs_groups(call: &WindowFunction, schema: &DFSchema) -> bool {
    let frame = &call.params.window_frame;
    let first = call.params.order_by.first();
    frame.units == WindowFrameUnits::Range
        && is_without_distance(&frame.start_bound)
        && is_without_distance(&frame.end_bound)
        && first.is_some_and(|key| key.expr.get_type(schema).is_ok_and(|kind| !has_distances(&kind)))
}

fn is_without_distance(bound: &WindowFrameBound) -> bool {
    match bound {
        WindowFrameBound::CurrentRow => true,
        WindowFrameBound::Preceding(distance) | WindowFrameBound::Following(distance) => distance.is_null(),
    }
}

/// Whether DataFusion takes a type for one that RANGE can be over.
fn has_distances(kind: &DataType) -> bool {
    kind.is_numeric()
        || kind.is_string()
        || kind.is_null()
        || matches!(
            kind,
            DataType::Boolean | DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _)
        )
}
