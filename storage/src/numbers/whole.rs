//! Casts of fractions to integers round to the nearest, as in PostgreSQL and DuckDB: of floats halves go to the
//! even neighbour, of decimals away from zero. DataFusion cuts the fraction.

use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    cast,
};

const NAME: &str = "nearest_whole";

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Nearest::new())));

/// The function that the rule calls.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// What is to be cast to an integer, rounded; none where it has no fraction.
pub(super) fn rounded(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    match expr.get_type(schema).ok()? {
        DataType::Decimal128(_, scale) if scale > 0 => Some(cast(expr.clone(), DataType::Decimal128(38, 0))),
        DataType::Float32 | DataType::Float64 => match expr {
            Expr::ScalarFunction(call) if call.func.name() == NAME => None,
            _ => Some(FUNCTION.call(vec![expr.clone()])),
        },
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Nearest {
    signature: Signature,
}

impl Nearest {
    fn new() -> Self {
        let floats = vec![DataType::Float64, DataType::Float32];
        Self {
            signature: Signature::uniform(1, floats, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Nearest {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [kind] => Ok(kind.clone()),
            _ => internal_err!("{NAME} takes one argument"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &args.args[..] {
            [ColumnarValue::Scalar(ScalarValue::Float64(value))] => {
                ColumnarValue::Scalar(ScalarValue::Float64(value.map(f64::round_ties_even)))
            }
            [ColumnarValue::Scalar(ScalarValue::Float32(value))] => {
                ColumnarValue::Scalar(ScalarValue::Float32(value.map(f32::round_ties_even)))
            }
            [ColumnarValue::Array(array)] => ColumnarValue::Array(match array.data_type() {
                DataType::Float64 => {
                    let values = array.as_primitive::<Float64Type>();
                    Arc::new(values.unary::<_, Float64Type>(f64::round_ties_even))
                }
                DataType::Float32 => {
                    let values = array.as_primitive::<Float32Type>();
                    Arc::new(values.unary::<_, Float32Type>(f32::round_ties_even))
                }
                other => return internal_err!("{NAME} takes no {other}"),
            }),
            _ => return internal_err!("{NAME} takes one float"),
        })
    }
}
