//! Distances in frames of RANGE, and offsets of `lag` and `lead`: what DataFusion reads otherwise than PostgreSQL.
//!
//! DataFusion reads a distance as a value of the key's type, whatever it was written as, so that 5 before a date are
//! five months; and a distance that leads beyond the key's type reaches to the edge of the partition, NULLs included.

use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast, lit,
};
use datafusion::optimizer::AnalyzerRule;
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;
use crate::functions::interval::length;
use crate::functions::type_name;
use crate::numbers::constant;
use crate::numbers::exprs;

/// The digits of the widest integers are 20, and a decimal has 38.
const MOST_DECIMALS: usize = 18;

/// Has to run before types are coerced.
#[derive(Debug)]
pub(super) struct Distances;

impl AnalyzerRule for Distances {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(_) => exprs::rewrite(node, &checked),
            other => Ok(Transformed::no(other)),
        })
        .map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "distances"
    }
}

fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut call) = expr else {
        return Ok(Transformed::no(expr));
    };
    let changed = offset(&mut call, schema)? | distances(&mut call, schema)?;
    Ok(Transformed::new_transformed(Expr::WindowFunction(call), changed))
}

/// The offset of `lag` and `lead` has to be a constant; NULL gives NULL.
fn offset(call: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let WindowFunctionDefinition::WindowUDF(function) = &call.fun else {
        return Ok(false);
    };
    let name = function.name();
    if !["lag", "lead"].contains(&name) {
        return Ok(false);
    }
    let mut changed = false;
    for (place, what) in [(1, "offset"), (2, "default")] {
        let Some(arg) = call.params.args.get_mut(place) else {
            continue;
        };
        if let Some(value) = constant(arg) {
            *arg = lit(value);
            changed = true;
        }
        if !matches!(arg, Expr::Literal(_, _) | Expr::Placeholder(_)) {
            return Err(refused(format!("the {what} of {name}() has to be a constant")));
        }
    }
    if let [value, Expr::Literal(offset, _), ..] = call.params.args.as_slice()
        && offset.is_null()
    {
        let nothing = lit(ScalarValue::try_from(&value.get_type(schema)?)?);
        call.params.args = vec![nothing];
        changed = true;
    }
    Ok(changed)
}

fn distances(call: &mut WindowFunction, schema: &DFSchema) -> Result<bool> {
    let params = &mut call.params;
    let frame = &params.window_frame;
    let written: Vec<String> = [&frame.start_bound, &frame.end_bound]
        .into_iter()
        .filter_map(written)
        .cloned()
        .collect();
    let [sort] = params.order_by.as_mut_slice() else {
        return Ok(false);
    };
    if frame.units != WindowFrameUnits::Range || written.is_empty() {
        return Ok(false);
    }
    let kind = sort.expr.get_type(schema)?;
    let wanted = match &kind {
        DataType::Null => return Ok(false),
        kind if kind.is_numeric() => {
            let mut decimals = 0;
            for text in &written {
                decimals = decimals.max(number(text, kind)?);
            }
            wide(kind, decimals)?
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            let mut within_days = false;
            for text in &written {
                within_days |= interval(text, &kind)?.nanoseconds != 0;
            }
            let is_date = !matches!(kind, DataType::Timestamp(_, _));
            (is_date && within_days).then_some(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        other => {
            return Err(refused(format!(
                "RANGE with a distance is not supported over {}",
                type_name::of(other)
            )));
        }
    };
    let Some(wanted) = wanted else {
        return Ok(false);
    };
    sort.expr = cast(std::mem::take(&mut sort.expr), wanted);
    Ok(true)
}

/// A distance as it was written. It has a type once the plan was analyzed.
fn written(bound: &WindowFrameBound) -> Option<&String> {
    match bound {
        WindowFrameBound::Preceding(ScalarValue::Utf8(distance))
        | WindowFrameBound::Following(ScalarValue::Utf8(distance)) => distance.as_ref(),
        _ => None,
    }
}

/// The decimals of a distance between numbers.
fn number(text: &str, kind: &DataType) -> Result<usize> {
    let Ok(value) = text.trim().parse::<f64>() else {
        return Err(other_kind(text, kind, "a number"));
    };
    if value < 0.0 {
        return Err(negative());
    }
    let plain = !text.contains(['e', 'E']);
    let decimals = text
        .trim()
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    match plain && decimals <= MOST_DECIMALS || kind.is_floating() {
        true => Ok(decimals),
        false => Err(refused(format!("the distance {text} of RANGE is not supported"))),
    }
}

/// A type for keys that holds what lies a distance away from any of them, and its decimals; none where the key's own
/// does.
fn wide(kind: &DataType, decimals: usize) -> Result<Option<DataType>> {
    let decimals = i8::try_from(decimals).map_err(|error| DataFusionError::External(Box::new(error)))?;
    match kind {
        kind if kind.is_integer() => Ok(Some(DataType::Decimal128(38, decimals))),
        DataType::Decimal128(precision, scale) if *scale < decimals => {
            match i16::from(*precision) - i16::from(*scale) + i16::from(decimals) <= 38 {
                true => Ok(Some(DataType::Decimal128(38, decimals))),
                false => Err(refused(format!(
                    "RANGE over {} with a distance of {decimals} decimals is not supported",
                    type_name::of(kind)
                ))),
            }
        }
        _ => Ok(None),
    }
}

fn interval(text: &str, kind: &DataType) -> Result<IntervalMonthDayNano> {
    let wrong = || other_kind(text, kind, "an interval");
    // DataFusion reads a bare number as months.
    if text.trim().parse::<f64>().is_ok() {
        return Err(wrong());
    }
    let target = DataType::Interval(IntervalUnit::MonthDayNano);
    match ScalarValue::try_from_string(text.to_owned(), &target) {
        Ok(ScalarValue::IntervalMonthDayNano(Some(value))) if length(value) < 0 => Err(negative()),
        Ok(ScalarValue::IntervalMonthDayNano(Some(value))) => Ok(value),
        _ => Err(wrong()),
    }
}

fn other_kind(text: &str, kind: &DataType, wanted: &str) -> DataFusionError {
    let message = format!(
        "RANGE over {} takes {wanted} as distance, not {text}",
        type_name::of(kind)
    );
    into_datafusion(Error::new(SqlState::DatatypeMismatch, message))
}

fn negative() -> DataFusionError {
    into_datafusion(Error::new(
        SqlState::InvalidPrecedingOrFollowingSize,
        "the distance of a frame must not be negative",
    ))
}

fn refused(message: String) -> DataFusionError {
    into_datafusion(Error::new(SqlState::FeatureNotSupported, message))
}
