//! `list_transform`, whose lists may hold NULLs. DataFusion's says that the items are never NULL where the lambda gives
//! none, and that depends on how far a plan is simplified: a call within another becomes a constant, and a subquery its
//! value (`array_transform` of `datafusion-functions-nested` 55; no issue is known upstream). A schema that was
//! announced would then differ from that of the rows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::functions_nested::array_transform::array_transform_higher_order_function;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs,
    HigherOrderSignature, HigherOrderUDF, HigherOrderUDFImpl, LambdaParametersProgress, ValueOrLambda,
};

pub(super) fn list_transform() -> Arc<HigherOrderUDF> {
    Arc::new(HigherOrderUDF::new_from_impl(ListTransform {
        inner: array_transform_higher_order_function(),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListTransform {
    inner: Arc<HigherOrderUDF>,
}

impl HigherOrderUDFImpl for ListTransform {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &HigherOrderSignature {
        self.inner.signature()
    }

    fn lambda_parameters(
        &self,
        step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        self.inner.lambda_parameters(step, fields)
    }

    fn coerce_values_for_lambdas(
        &self,
        fields: &[ValueOrLambda<DataType, DataType>],
    ) -> Result<Option<Vec<DataType>>> {
        self.inner.coerce_values_for_lambdas(fields)
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        let with_nulls = |item: &FieldRef| Arc::new(item.as_ref().clone().with_nullable(true));
        let kind = match field.data_type() {
            DataType::List(item) => DataType::List(with_nulls(item)),
            DataType::LargeList(item) => DataType::LargeList(with_nulls(item)),
            other => other.clone(),
        };
        Ok(Arc::new(Field::new(field.name(), kind, field.is_nullable())))
    }

    fn clear_null_values(&self) -> bool {
        self.inner.clear_null_values()
    }

    /// The list that is made has the items' type of the announced field.
    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_value_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
