//! Casts of fractions to integers round to the nearest, as in PostgreSQL and DuckDB: of floats halves go to the
//! even neighbour, of decimals away from zero. DataFusion cuts the fraction.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};

use super::{one_float, rounding};

const NAME: &str = "nearest_whole";

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| one_float::function(NAME, nearest_scalar, nearest_array));

/// The function that the rule calls.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// What is to be cast to an integer or to a decimal of fewer digits behind the point, rounded to them; none where it
/// has no more.
///
/// Decimals are rounded by a function: DataFusion takes a cast that rounds off a column that is compared, so that
/// `CAST(d AS INT) = 2` is true of 2.00 alone.
pub(super) fn rounded(expr: &Expr, kind: &DataType, schema: &DFSchema) -> Option<Expr> {
    match (expr.get_type(schema).ok()?, kind) {
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) if (0..from).contains(to) => {
            Some(rounding::round(expr.clone(), *to))
        }
        (DataType::Decimal128(_, from), kind) if from > 0 && kind.is_integer() => {
            Some(rounding::round(expr.clone(), 0))
        }
        (DataType::Float32 | DataType::Float64, kind) if kind.is_integer() => match expr {
            Expr::ScalarFunction(call) if call.func.name() == NAME => None,
            _ => Some(FUNCTION.call(vec![expr.clone()])),
        },
        _ => None,
    }
}

fn nearest_scalar(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(value) => ScalarValue::Float64(value.map(f64::round_ties_even)),
        ScalarValue::Float32(value) => ScalarValue::Float32(value.map(f32::round_ties_even)),
        other => other,
    }
}

fn nearest_array(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            Arc::new(values.unary::<_, Float64Type>(f64::round_ties_even))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            Arc::new(values.unary::<_, Float32Type>(f32::round_ties_even))
        }
        other => return internal_err!("{NAME} takes no {other}"),
    })
}
