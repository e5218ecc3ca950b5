//! Windows that DataFusion cannot compute, as calls of [`frame`](super::frame).

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions_aggregate::first_last::{first_value_udaf, last_value_udaf};
use datafusion::functions_aggregate::nth_value::nth_value_udaf;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, lit, when,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use super::exclusion::Exclusion;
use super::frame::{self, Make, Shape};
use super::zoned;
use crate::numbers::exprs;

/// Aggregates of floats that take rows back exactly, as they compare or count values. All others add up: a float
/// that is taken back from a sum leaves what it swallowed, and an infinity or a NaN stays.
const EXACT_OVER_FLOATS: [&str; 10] = [
    "approx_distinct",
    "count",
    "max",
    "median",
    "min",
    "__mode_descending",
    "__quantile_disc_descending",
    "mode",
    "percentile_cont",
    "quantile_disc",
];

/// Has to run after types are coerced, as a call is then one of a function that takes all types.
#[derive(Debug)]
pub(super) struct RecomputedFrames;

impl AnalyzerRule for RecomputedFrames {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let zone = config.execution.time_zone.as_deref().unwrap_or("UTC");
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(_) => exprs::rewrite(node, &|expr, schema| recomputed(expr, schema, zone)),
            other => Ok(Transformed::no(other)),
        })
        .map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "recomputed_frames"
    }
}

fn recomputed(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut call) = expr else {
        return Ok(Transformed::no(expr));
    };
    let keys = std::mem::take(&mut call.params.partition_by);
    let count = keys.len();
    let exclusion = keys.iter().find_map(Exclusion::of);
    call.params.partition_by = keys
        .into_iter()
        .filter(|key| Exclusion::of(key).is_none())
        .collect();
    let marked = call.params.partition_by.len() < count;
    let ends = zoned::ends(&call, schema, zone)?;
    let Some(aggregate) = aggregate(&call, exclusion.is_some() || ends.is_some()) else {
        // Functions that number rows see no frame.
        return Ok(Transformed::new_transformed(Expr::WindowFunction(call), marked));
    };
    if exclusion.is_none() && ends.is_none() && can_move(&aggregate, &call, schema)? {
        return Ok(Transformed::no(Expr::WindowFunction(call)));
    }
    let params = &mut call.params;
    let shape = Shape {
        distinct: std::mem::take(&mut params.distinct),
        filter: params.filter.is_some(),
        exclusion,
        ends: ends.as_ref().map(|(ends, _)| *ends),
    };
    if let Some(condition) = params.filter.take() {
        // NULL leaves a row out.
        params
            .args
            .push(when(*condition, lit(true)).otherwise(lit(false))?);
    }
    if let Some((_, columns)) = ends {
        params.args.extend(columns);
        params.window_frame = WindowFrame::new_bounds(
            WindowFrameUnits::Rows,
            WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
            WindowFrameBound::Following(ScalarValue::UInt64(None)),
        );
    }
    call.fun = WindowFunctionDefinition::WindowUDF(frame::function(aggregate, shape));
    Ok(Transformed::yes(Expr::WindowFunction(call)))
}

/// The aggregate that a call computes over its frame. The functions that take one value of a frame are such only
/// where DataFusion does not find the frame.
fn aggregate(call: &WindowFunction, other_frame: bool) -> Option<Arc<AggregateUDF>> {
    match &call.fun {
        WindowFunctionDefinition::AggregateUDF(aggregate) => Some(Arc::clone(aggregate)),
        WindowFunctionDefinition::WindowUDF(function) => match function.name() {
            _ if !other_frame => None,
            "first_value" => Some(first_value_udaf()),
            "last_value" => Some(last_value_udaf()),
            "nth_value" => Some(nth_value_udaf()),
            _ => None,
        },
    }
}

/// Whether DataFusion computes an aggregate over the frames of a call.
fn can_move(aggregate: &Arc<AggregateUDF>, call: &WindowFunction, schema: &DFSchema) -> Result<bool> {
    let params = &call.params;
    if params.window_frame.is_ever_expanding() {
        return Ok(true);
    }
    for arg in &params.args {
        if !EXACT_OVER_FLOATS.contains(&aggregate.name()) && arg.get_type(schema)?.is_floating() {
            return Ok(false);
        }
    }
    let mut args: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    let mut fields: Vec<FieldRef> = Vec::new();
    for (index, arg) in params.args.iter().enumerate() {
        let (_, field) = arg.to_field(schema)?;
        args.push(match arg {
            Expr::Literal(value, _) => Arc::new(Literal::new(value.clone())),
            _ => Arc::new(Column::new(field.name(), index)),
        });
        fields.push(field);
    }
    let ignore_nulls = params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let make = Make::of(aggregate, &args, &fields, params.distinct, ignore_nulls)?;
    Ok(make.takes_rows_back())
}
