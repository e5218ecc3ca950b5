//! `as_cast(CAST(x AS t))`: the cast with a name of its own, where another column has the name that DataFusion gives
//! it, which is that of `x`. The optimizer removes the function.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

pub(super) fn as_cast() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(AsCast {
        signature: Signature::any(1, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AsCast {
    signature: Signature,
}

impl ScalarUDFImpl for AsCast {
    fn name(&self) -> &str {
        "as_cast"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [Expr::Cast(cast)] => {
                let (of, kind) = (cast.expr.schema_name(), cast.field.data_type());
                Ok(format!("CAST({of} AS {kind})"))
            }
            [Expr::TryCast(cast)] => {
                let (of, kind) = (cast.expr.schema_name(), cast.field.data_type());
                Ok(format!("TRY_CAST({of} AS {kind})"))
            }
            [other] => Ok(format!("as_cast({})", other.schema_name())),
            _ => plan_err!("as_cast takes one argument"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [kind] => Ok(kind.clone()),
            _ => plan_err!("as_cast takes one argument"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [field] => Ok(Arc::clone(field)),
            _ => plan_err!("as_cast takes one argument"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [value] => Ok(value.clone()),
            _ => plan_err!("as_cast takes one argument"),
        }
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match args.pop() {
            Some(cast) if args.is_empty() => Ok(ExprSimplifyResult::Simplified(cast)),
            _ => plan_err!("as_cast takes one argument"),
        }
    }
}
