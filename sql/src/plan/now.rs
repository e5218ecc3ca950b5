//! `now()` as a TIMESTAMP like any other: µs of UTC, so that it is compared with columns as it is.
//!
//! DataFusion's gives nanoseconds in the session's zone. Columns would be cast to that, row by row,
//! and no longer prune.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

use super::types::timestamp;

static NOW: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::from(Now {
        signature: Signature::nullary(Volatility::Stable),
        aliases: vec!["current_timestamp".to_owned()],
    }))
});

/// The function, under any of its names.
pub(super) fn function(name: &str) -> Option<Arc<ScalarUDF>> {
    matches!(name, "now" | "current_timestamp" | "localtimestamp").then(|| Arc::clone(&NOW))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    signature: Signature,
    aliases: Vec<String>,
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &str {
        "now"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(timestamp())
    }

    fn is_nullable(&self, _: &[Expr], _: &dyn datafusion::common::ExprSchema) -> bool {
        false
    }

    /// It is the same throughout a statement, and folded before that is distributed.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match info.query_execution_start_time() {
            Some(start) => ExprSimplifyResult::Simplified(Expr::Literal(
                ScalarValue::TimestampMicrosecond(Some(start.timestamp_micros()), Some("UTC".into())),
                None,
            )),
            None => ExprSimplifyResult::Original(args),
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("now() is folded when a statement is planned")
    }
}
