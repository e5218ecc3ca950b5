//! `__only_row(value, rows)`: the value of a subquery that is used as an expression, of which there is one row
//! at most. The plans of correlated subqueries call it.

use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_int64_array;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

const NAME: &str = "__only_row";

pub(super) fn function() -> ScalarUDF {
    ScalarUDF::new_from_impl(OnlyRow {
        signature: Signature::any(2, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OnlyRow {
    signature: Signature,
}

impl ScalarUDFImpl for OnlyRow {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value, _] => Ok(value.clone()),
            _ => internal_err!("{NAME} takes two arguments"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number_rows = args.number_rows;
        let [value, rows]: [ColumnarValue; 2] = match args.args.try_into() {
            Ok(args) => args,
            Err(_) => return internal_err!("{NAME} takes two arguments"),
        };
        let rows = cast(&rows.into_array(number_rows)?, &DataType::Int64)?;
        if as_int64_array(&rows)?.iter().flatten().any(|count| count > 1) {
            return Err(into_datafusion(
                Error::new(
                    SqlState::CardinalityViolation,
                    "a subquery used as an expression gave more than one row",
                )
                .with_hint("Aggregate it, or add LIMIT 1."),
            ));
        }
        Ok(value)
    }
}
