//! Functions of numbers that are defined for some numbers alone, such as `sqrt`.
//!
//! Asked what order its results have, such a function of DataFusion 55 fails where its argument may be outside its domain
//! (`monotonicity.rs` of `datafusion-functions`; no issue is known upstream). Then a plan that sorts by it is never known to
//! be sorted, and is refused. Here no order is known in that case.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Their names.
const NAMES: [&str; 8] = ["acos", "acosh", "asin", "atanh", "ln", "log10", "log2", "sqrt"];

/// Puts the functions of a registry with such a domain behind one that knows no order outside it.
pub(crate) fn guard(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for name in NAMES {
        let inner = registry.udf(name)?;
        registry.register_udf(Arc::new(ScalarUDF::from(WithDomain { inner })))?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WithDomain {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for WithDomain {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(self
            .inner
            .output_ordering(inputs)
            .unwrap_or(SortProperties::Unordered))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
