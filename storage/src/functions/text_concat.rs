//! `||` over texts as a function, since what a function makes is bounded.

use std::sync::{Arc, LazyLock};

use arrow::compute::cast;
use arrow::compute::kernels::concat_elements::concat_elements_dyn;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::bounded::guarded;

pub(super) const NAME: &str = "text_concat";

pub(super) fn text_concat() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        guarded(Arc::new(ScalarUDF::from(TextConcat {
            signature: Signature::any(2, Volatility::Immutable),
        })))
    });
    Arc::clone(&FUNCTION)
}

/// The function in the place of an operator over texts, whose types are known.
pub(super) fn in_place_of_operator(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::StringConcat,
        right,
    }) = expr
    else {
        return Ok(Transformed::no(expr));
    };
    let is_text = |operand: &Expr| operand.get_type(schema).is_ok_and(|kind| kind.is_string());
    Ok(match is_text(&left) && is_text(&right) {
        true => Transformed::yes(text_concat().call(vec![*left, *right])),
        false => Transformed::no(Expr::BinaryExpr(BinaryExpr::new(
            left,
            Operator::StringConcat,
            right,
        ))),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextConcat {
    signature: Signature,
}

impl ScalarUDFImpl for TextConcat {
    fn name(&self) -> &str {
        NAME
    }

    /// As the operator's, so that columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} || {}", left.schema_name(), right.schema_name())),
            _ => internal_err!("|| has {} operands", args.len()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [left, right] => BinaryTypeCoercer::new(left, &Operator::StringConcat, right).get_result_type(),
            _ => internal_err!("|| has {} operands", args.len()),
        }
    }

    // Without a type of its own a comparison of the result has no known order, not even below a sort by it.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let given: Vec<DataType> = inputs.iter().map(|input| input.data_type()).collect();
        Interval::make_unbounded(&self.return_type(&given)?)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = args.return_field.data_type();
        let constant = args
            .args
            .iter()
            .all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let operands = args
            .args
            .iter()
            .map(|value| Ok(cast(&value.to_array(rows)?, kind)?))
            .collect::<Result<Vec<_>>>()?;
        let [left, right] = operands.as_slice() else {
            return internal_err!("|| has {} operands", operands.len());
        };
        let joined = concat_elements_dyn(left, right)?;
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?),
            false => ColumnarValue::Array(joined),
        })
    }
}
