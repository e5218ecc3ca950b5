//! Casts to floats that refuse a number beyond the type's range, as in PostgreSQL and DuckDB. Those of arrow give
//! infinity.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF, TryCast, lit};
use datafusion::optimizer::AnalyzerRule;

use super::{exprs, out_of_range};
use crate::functions::function::function;

/// Those that refuse, and those that give NULL.
static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 4]> = LazyLock::new(|| {
    [
        function(
            "float_of",
            &[],
            "float_of(x)",
            |given| takes(given, DataType::Float32),
            |args, _| floats(&args[0], &DataType::Float32, false),
        ),
        function(
            "double_of",
            &[],
            "double_of(x)",
            |given| takes(given, DataType::Float64),
            |args, _| floats(&args[0], &DataType::Float64, false),
        ),
        function(
            "try_float_of",
            &[],
            "try_float_of(x)",
            |given| takes(given, DataType::Float32),
            |args, _| floats(&args[0], &DataType::Float32, true),
        ),
        function(
            "try_double_of",
            &[],
            "try_double_of(x)",
            |given| takes(given, DataType::Float64),
            |args, _| floats(&args[0], &DataType::Float64, true),
        ),
    ]
    .map(Arc::new)
});

pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(Arc::clone)
}

/// What the functions take: text, and for a FLOAT a DOUBLE.
fn takes(given: &[DataType], result: DataType) -> Option<(Vec<DataType>, DataType)> {
    match given {
        [DataType::Float64] if result == DataType::Float32 => Some((given.to_vec(), result)),
        [DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View] => Some((given.to_vec(), result)),
        _ => None,
    }
}

#[derive(Debug)]
pub(super) struct NarrowFloats;

impl AnalyzerRule for NarrowFloats {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &convert))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "narrow_floats"
    }
}

fn convert(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (inner, target, attempt) = match &expr {
        Expr::Cast(Cast { expr, field }) => (expr, field.data_type(), false),
        Expr::TryCast(TryCast { expr, field }) => (expr, field.data_type(), true),
        _ => return Ok(Transformed::no(expr)),
    };
    if !matches!(target, DataType::Float32 | DataType::Float64) {
        return Ok(Transformed::no(expr));
    }
    let given = [inner.get_type(schema)?];
    if takes(&given, target.clone()).is_none() {
        return Ok(Transformed::no(expr));
    }
    // Literals stay literals. What is refused is refused when it is run.
    if let Expr::Literal(value, _) = inner.as_ref()
        && let Ok(floats) = floats(&value.to_array()?, target, attempt)
    {
        return Ok(Transformed::yes(lit(ScalarValue::try_from_array(&floats, 0)?)));
    }
    let [float, double, try_float, try_double] = &*FUNCTIONS;
    let function = match (target, attempt) {
        (DataType::Float32, false) => float,
        (DataType::Float32, true) => try_float,
        (_, false) => double,
        (_, true) => try_double,
    };
    Ok(Transformed::yes(function.call(vec![inner.as_ref().clone()])))
}

/// The values as floats. What is out of range is refused, or is NULL where the cast is an attempt.
fn floats(values: &ArrayRef, target: &DataType, attempt: bool) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: attempt,
        ..CastOptions::default()
    };
    let floats = cast_with_options(values, target, &options)?;
    let beyond = beyond(values, &floats)?;
    let Some(first) = beyond.iter().position(|beyond| *beyond) else {
        return Ok(floats);
    };
    if !attempt {
        return refused(values, first, target);
    }
    Ok(match target {
        DataType::Float32 => {
            let floats: &Float32Array = floats.as_primitive::<Float32Type>();
            let values = floats.iter().zip(&beyond);
            Arc::new(Float32Array::from_iter(
                values.map(|(value, beyond)| value.filter(|_| !beyond)),
            ))
        }
        _ => {
            let floats: &Float64Array = floats.as_primitive::<Float64Type>();
            let values = floats.iter().zip(&beyond);
            Arc::new(Float64Array::from_iter(
                values.map(|(value, beyond)| value.filter(|_| !beyond)),
            ))
        }
    })
}

/// Which values became infinite that were not. Empty where none did.
fn beyond(values: &ArrayRef, floats: &ArrayRef) -> Result<Vec<bool>> {
    let infinite: Vec<bool> = match floats.data_type() {
        DataType::Float32 => {
            let floats = floats.as_primitive::<Float32Type>();
            floats
                .iter()
                .map(|value| value.is_some_and(f32::is_infinite))
                .collect()
        }
        DataType::Float64 => {
            let floats = floats.as_primitive::<Float64Type>();
            floats
                .iter()
                .map(|value| value.is_some_and(f64::is_infinite))
                .collect()
        }
        other => return internal_err!("{other} is no type of floats"),
    };
    if !infinite.contains(&true) {
        return Ok(Vec::new());
    }
    Ok(match values.data_type() {
        DataType::Float64 => {
            let before = values.as_primitive::<Float64Type>().values();
            let pairs = infinite.into_iter().zip(before);
            pairs
                .map(|(infinite, before)| infinite && before.is_finite())
                .collect()
        }
        _ => {
            let texts = cast(values, &DataType::Utf8)?;
            let texts: &StringArray = texts.as_string::<i32>();
            // A number that is written with digits is finite.
            let digits = |row: usize| texts.value(row).bytes().any(|byte| byte.is_ascii_digit());
            let rows = infinite.into_iter().enumerate();
            rows.map(|(row, infinite)| infinite && digits(row)).collect()
        }
    })
}

fn refused<T>(values: &ArrayRef, row: usize, target: &DataType) -> Result<T> {
    let options = Default::default();
    let shown = arrow::util::display::ArrayFormatter::try_new(values, &options)?;
    let kind = match target {
        DataType::Float32 => "FLOAT",
        _ => "DOUBLE",
    };
    let error: DataFusionError = out_of_range(&format!("{} as a {kind}", shown.value(row)));
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_is_refused() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::INFINITY), None, Some(1e300)]));
        assert!(floats(&doubles, &DataType::Float32, false).is_err());
        let tried = floats(&doubles, &DataType::Float32, true).unwrap();
        let expected = Float32Array::from(vec![Some(f32::INFINITY), None, None]);
        assert_eq!(tried.as_ref(), &expected);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["inf", "-Infinity", "1e39", "x"]));
        let tried = floats(&texts, &DataType::Float32, true).unwrap();
        let expected = vec![Some(f32::INFINITY), Some(f32::NEG_INFINITY), None, None];
        assert_eq!(tried.as_ref(), &Float32Array::from(expected));
        assert!(floats(&texts.slice(0, 3), &DataType::Float64, false).is_ok());
    }
}
