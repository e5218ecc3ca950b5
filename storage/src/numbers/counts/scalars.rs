//! Counting functions of one row.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::{signed, signed_array, signed_field, signed_scalar};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Counting(pub(super) Arc<ScalarUDF>);

impl ScalarUDFImpl for Counting {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.0.return_type(given).map(|kind| signed(&kind))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.0.return_field_from_args(args)?;
        Ok(signed_field(&field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kinds: Vec<FieldRef> = args.arg_fields.clone();
        let constants = vec![None; kinds.len()];
        let return_field = self.0.return_field_from_args(ReturnFieldArgs {
            arg_fields: &kinds,
            scalar_arguments: &constants,
        })?;
        let counted = self
            .0
            .invoke_with_args(ScalarFunctionArgs { return_field, ..args })?;
        Ok(match counted {
            ColumnarValue::Array(array) => ColumnarValue::Array(signed_array(array)?),
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(signed_scalar(&value)?),
        })
    }

    fn is_strict(&self) -> bool {
        self.0.is_strict()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }
}
