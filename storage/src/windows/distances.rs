//! Distances in frames of RANGE, and offsets and defaults of `lag` and `lead`: what DataFusion reads otherwise than
//! PostgreSQL.
//!
//! DataFusion reads a distance as a value of the key's type, whatever it was written as, so that 5 before a date are
//! five months; and a distance that leads beyond the key's type reaches to the edge of the partition, NULLs included.
//! It casts a default to the type of the values, so that 2.5 becomes 2 beside integers.

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
use crate::numbers::{common_type, constant, exprs};

/// The digits of the widest integers are 20, and a decimal has 38.
const MOST_DECIMALS: usize = 18;

/// The digits of a decimal.
const DIGITS_MAX: usize = 38;

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
    Ok(default(&mut call.params.args, schema)? | changed)
}

/// Casts numbers to a type that holds the default, too, where their own does not.
fn default(args: &mut [Expr], schema: &DFSchema) -> Result<bool> {
    let [values, _, Expr::Literal(default, _)] = args else {
        return Ok(false);
    };
    let (kind, other) = (values.get_type(schema)?, default.data_type());
    if kind == other || default.is_null() || !(kind.is_numeric() && other.is_numeric()) {
        return Ok(false);
    }
    let within = default.cast_to(&kind).and_then(|cast| cast.cast_to(&other));
    if within.is_ok_and(|same| same == *default) {
        return Ok(false);
    }
    let Some(common) = common_type(&kind, &other) else {
        return Ok(false);
    };
    *default = default.cast_to(&common)?;
    *values = cast(std::mem::take(values), common);
    Ok(true)
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
            let mut digits = Digits::default();
            for text in &written {
                digits = digits.max(number(text, kind)?);
            }
            wide(kind, digits)?
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

/// The digits of numbers before and behind the point.
#[derive(Debug, Clone, Copy, Default)]
struct Digits {
    whole: usize,
    decimals: usize,
}

impl Digits {
    fn max(self, other: Self) -> Self {
        Self {
            whole: self.whole.max(other.whole),
            decimals: self.decimals.max(other.decimals),
        }
    }
}

/// The digits of a distance between numbers.
fn number(text: &str, kind: &DataType) -> Result<Digits> {
    let Ok(value) = text.trim().parse::<f64>() else {
        return Err(other_kind(text, kind, "a number"));
    };
    if value < 0.0 {
        return Err(negative());
    }
    if kind.is_floating() {
        return Ok(Digits::default());
    }
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = Digits {
        whole: whole.trim_start_matches(['+', '0']).len(),
        decimals: decimals.len(),
    };
    match !text.contains(['e', 'E']) && digits.decimals <= MOST_DECIMALS {
        true => Ok(digits),
        false => Err(refused(format!("the distance {text} of RANGE is not supported"))),
    }
}

/// A type for keys that holds the distance with all its decimals, and what lies that far away from any key. None where
/// the key's own type does.
fn wide(kind: &DataType, distance: Digits) -> Result<Option<DataType>> {
    let (whole, decimals) = match kind {
        // In a FLOAT the distance 0.1 would be another number.
        DataType::Float16 | DataType::Float32 => return Ok(Some(DataType::Float64)),
        kind if kind.is_integer() => (0, 0),
        DataType::Decimal128(precision, scale) => (
            i16::from(*precision) - i16::from(*scale),
            usize::try_from(*scale).unwrap_or_default(),
        ),
        _ => return Ok(None),
    };
    let decimals = decimals.max(distance.decimals);
    let whole = usize::try_from(whole).unwrap_or_default().max(distance.whole);
    match i8::try_from(decimals) {
        Ok(scale) if whole + decimals <= DIGITS_MAX => Ok(Some(DataType::Decimal128(38, scale))),
        _ => Err(refused(format!(
            "RANGE over {} with a distance of {} digits and {} decimals is not supported",
            type_name::of(kind),
            distance.whole,
            distance.decimals
        ))),
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
