//! Functions that tell a session about itself: who asks, in which schema, of which version.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

use crate::catalog::CATALOG_NAME;

/// Their names.
pub(super) const NAMES: [&str; 7] = [
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_user",
    "session_user",
    "version",
];

/// Whether the function of that name says who the user is.
pub(super) fn names_user(name: &str) -> bool {
    ["current_role", "current_user", "session_user"].contains(&name)
}

/// The function of that name, for whoever asks in that schema.
pub(super) fn function(name: &str, principal: &str, schema: &str) -> Option<Arc<ScalarUDF>> {
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let value = match name {
        "current_catalog" | "current_database" => CATALOG_NAME.to_owned(),
        "current_schema" => schema.to_owned(),
        "version" => version(),
        _ => principal.to_owned(),
    };
    Some(Arc::new(ScalarUDF::from(SessionWord {
        name,
        value,
        signature: Signature::nullary(Volatility::Stable),
    })))
}

fn version() -> String {
    format!(
        "Watershed {} on {}-{}, DataFusion {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        datafusion::DATAFUSION_VERSION,
    )
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SessionWord {
    name: &'static str,
    value: String,
    signature: Signature,
}

impl ScalarUDFImpl for SessionWord {
    fn name(&self) -> &str {
        self.name
    }

    /// Most are written without brackets.
    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.name.to_owned())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_nullable(&self, _: &[Expr], _: &dyn datafusion::common::ExprSchema) -> bool {
        false
    }

    /// It is folded before anything is distributed.
    fn simplify(&self, _: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let value = ScalarValue::Utf8(Some(self.value.clone()));
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(value, None)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{} is folded when a statement is planned", self.name)
    }
}
