//! `+`, `-`, `*` and the unary minus over integers and decimals, with an error where DataFusion's operators
//! wrap or give more than 38 digits.
//!
//! The physical operator has a flag for checked integers, but it does not travel between processes, so the
//! operators are replaced by functions.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Datum, PrimitiveArray};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::cast::as_float64_array;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::{exprs, out_of_range};

/// The most digits of a decimal.
const MAX_DIGITS: u32 = 38;

/// The first magnitude of too many digits.
const LIMIT: i128 = 10_i128.pow(MAX_DIGITS);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Add,
    Subtract,
    Multiply,
    Negate,
    /// Of floats: only a divisor of zero is refused.
    Divide,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Negate,
        Self::Divide,
    ];

    fn of(op: Operator) -> Option<Self> {
        match op {
            Operator::Plus => Some(Self::Add),
            Operator::Minus => Some(Self::Subtract),
            Operator::Multiply => Some(Self::Multiply),
            _ => None,
        }
    }

    fn operator(self) -> Operator {
        match self {
            Self::Add => Operator::Plus,
            Self::Multiply => Operator::Multiply,
            Self::Subtract | Self::Negate => Operator::Minus,
            Self::Divide => Operator::Divide,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Add => "checked_add",
            Self::Subtract => "checked_subtract",
            Self::Multiply => "checked_multiply",
            Self::Negate => "checked_negate",
            Self::Divide => "checked_divide",
        }
    }

    fn function(self) -> Arc<ScalarUDF> {
        Arc::clone(&FUNCTIONS[self as usize])
    }
}

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 5]> =
    LazyLock::new(|| Kind::ALL.map(|kind| Arc::new(ScalarUDF::from(Checked::new(kind)))));

/// The functions in the places of operators.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(Arc::clone)
}

/// A quotient of DOUBLEs that is refused where the divisor is zero.
pub(super) fn quotient(left: Expr, right: Expr) -> Expr {
    let zero = !matches!(&right, Expr::Literal(ScalarValue::Float64(Some(divisor)), _) if *divisor != 0.0);
    match zero {
        true => Kind::Divide.function().call(vec![left, right]),
        false => Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Divide, Box::new(right))),
    }
}

/// Replaces the operators of a typed plan.
#[derive(Debug)]
pub(super) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite_down(node, &checked))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "checked_arithmetic"
    }
}

fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let kind = Kind::of(op).filter(|_| {
                let kinds = (left.get_type(schema), right.get_type(schema));
                matches!(kinds, (Ok(left), Ok(right)) if wraps(&left) && wraps(&right))
            });
            Ok(match kind {
                Some(kind) => Transformed::yes(kind.function().call(vec![*left, *right])),
                None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            })
        }
        // Decimals have as many digits below zero as above.
        Expr::Negative(inner) if inner.get_type(schema).is_ok_and(|kind| kind.is_integer()) => {
            Ok(Transformed::yes(Kind::Negate.function().call(vec![*inner])))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn wraps(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Decimal128(_, _))
}

/// An operator as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    kind: Kind,
    signature: Signature,
}

impl Checked {
    fn new(kind: Kind) -> Self {
        let operands = if kind == Kind::Negate { 1 } else { 2 };
        Self {
            kind,
            signature: Signature::any(operands, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.kind.name()
    }

    /// As the operator's, so that columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [operand] => Ok(format!("(- {})", operand.schema_name())),
            [left, right] => {
                let (left, right) = (left.schema_name(), right.schema_name());
                Ok(format!("{left} {} {right}", self.kind.operator()))
            }
            _ => internal_err!("an operator has {} operands", args.len()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [operand] => Ok(operand.clone()),
            [left, right] => BinaryTypeCoercer::new(left, &self.kind.operator(), right).get_result_type(),
            _ => internal_err!("an operator has {} operands", args.len()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args
            .arg_fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            self.return_type(&types)?,
            nullable,
        )))
    }

    // Without a type of its own a comparison of the result has no known order, not even below a sort by it.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let given: Vec<DataType> = inputs.iter().map(|input| input.data_type()).collect();
        Interval::make_unbounded(&self.return_type(&given)?)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = args.return_field.data_type().clone();
        let result = match (self.kind, &args.args[..]) {
            (Kind::Negate, [ColumnarValue::Array(operand)]) => numeric::neg(operand),
            (Kind::Negate, [ColumnarValue::Scalar(operand)]) => numeric::neg(&operand.to_array()?),
            (_, [left, right]) => apply(self.kind, left, right)?,
            (_, args) => return internal_err!("an operator has {} operands", args.len()),
        };
        let result = result.map_err(|error| refused(error, &kind))?;
        if may_exceed(self.kind, &args.arg_fields) {
            fits(result.as_primitive::<Decimal128Type>())?;
        }
        let scalar = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        Ok(match scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        })
    }
}

type Computed = std::result::Result<ArrayRef, ArrowError>;

fn apply(kind: Kind, left: &ColumnarValue, right: &ColumnarValue) -> Result<Computed> {
    let kernel = match kind {
        Kind::Add => numeric::add,
        Kind::Multiply => numeric::mul,
        Kind::Divide => {
            if divides_by_zero(left, right)? {
                return Ok(Err(ArrowError::DivideByZero));
            }
            numeric::div
        }
        Kind::Subtract | Kind::Negate => numeric::sub,
    };
    let run = |left: &dyn Datum, right: &dyn Datum| kernel(left, right);
    Ok(match (left, right) {
        (ColumnarValue::Array(left), ColumnarValue::Array(right)) => run(left, right),
        (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => run(left, &right.to_scalar()?),
        (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => run(&left.to_scalar()?, right),
        (ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)) => {
            run(&left.to_array()?, &right.to_array()?)
        }
    })
}

/// Whether a number is divided by zero. NULL is none.
fn divides_by_zero(dividends: &ColumnarValue, divisors: &ColumnarValue) -> Result<bool> {
    let is_number = |row: usize| match dividends {
        ColumnarValue::Scalar(dividend) => !dividend.is_null(),
        ColumnarValue::Array(dividends) => dividends.is_valid(row),
    };
    Ok(match divisors {
        ColumnarValue::Scalar(ScalarValue::Float64(Some(divisor))) if *divisor == 0.0 => match dividends {
            ColumnarValue::Scalar(dividend) => !dividend.is_null(),
            ColumnarValue::Array(dividends) => dividends.null_count() < dividends.len(),
        },
        ColumnarValue::Scalar(_) => false,
        ColumnarValue::Array(divisors) => {
            let divisors = as_float64_array(divisors)?;
            divisors.values().contains(&0.0)
                && divisors
                    .iter()
                    .enumerate()
                    .any(|(row, divisor)| divisor == Some(0.0) && is_number(row))
        }
    })
}

/// Whether a decimal result can have more digits than its type.
fn may_exceed(kind: Kind, operands: &[FieldRef]) -> bool {
    let [left, right] = operands else { return false };
    let (DataType::Decimal128(p, s), DataType::Decimal128(q, t)) = (left.data_type(), right.data_type())
    else {
        return false;
    };
    let (p, s, q, t) = (i32::from(*p), i32::from(*s), i32::from(*q), i32::from(*t));
    let digits = match kind {
        Kind::Multiply => p + q,
        Kind::Add | Kind::Subtract | Kind::Negate | Kind::Divide => s.max(t) + (p - s).max(q - t) + 1,
    };
    digits > MAX_DIGITS.cast_signed()
}

/// Refuses a result of more than 38 digits.
fn fits(values: &PrimitiveArray<Decimal128Type>) -> Result<()> {
    let exceeds = |value: i128| value >= LIMIT || value <= -LIMIT;
    let any = values
        .values()
        .iter()
        .fold(false, |any, value| any | exceeds(*value));
    // What stands in the place of a NULL has no meaning.
    if any && values.iter().flatten().any(exceeds) {
        return Err(out_of_range(&shown(values.data_type())));
    }
    Ok(())
}

/// The error of arrow as one that names the type.
fn refused(error: ArrowError, kind: &DataType) -> DataFusionError {
    match error {
        ArrowError::ArithmeticOverflow(_) => out_of_range(&shown(kind)),
        other => other.into(),
    }
}

fn shown(kind: &DataType) -> String {
    let name = match kind {
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Decimal128(_, scale) => return format!("a DECIMAL(38, {scale}) result"),
        other => return format!("a result of type {other}"),
    };
    format!("a {name} result")
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int64Array};

    use super::*;

    fn invoke(kind: Kind, args: Vec<ColumnarValue>) -> Result<ColumnarValue> {
        let function = Checked::new(kind);
        let arg_fields: Vec<FieldRef> = args
            .iter()
            .map(|arg| Arc::new(Field::new("x", arg.data_type(), true)))
            .collect();
        let types: Vec<_> = args.iter().map(ColumnarValue::data_type).collect();
        let return_field = Arc::new(Field::new("r", function.return_type(&types)?, true));
        function.invoke_with_args(ScalarFunctionArgs {
            args,
            arg_fields,
            number_rows: 1,
            return_field,
            config_options: Arc::default(),
        })
    }

    fn int(value: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::Int64(Some(value)))
    }

    fn column(values: Vec<Option<i64>>) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(Int64Array::from(values)))
    }

    fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ColumnarValue {
        let array = Decimal128Array::from(values)
            .with_precision_and_scale(precision, scale)
            .unwrap();
        ColumnarValue::Array(Arc::new(array))
    }

    #[test]
    fn integers_that_do_not_fit_are_refused() {
        assert!(invoke(Kind::Add, vec![int(i64::MAX), int(1)]).is_err());
        assert!(invoke(Kind::Subtract, vec![int(i64::MIN), int(1)]).is_err());
        assert!(invoke(Kind::Multiply, vec![int(i64::MAX), int(2)]).is_err());
        assert!(invoke(Kind::Negate, vec![int(i64::MIN)]).is_err());
        assert!(invoke(Kind::Negate, vec![column(vec![None, Some(i64::MIN)])]).is_err());
        let sum = invoke(Kind::Add, vec![column(vec![None, Some(1)]), int(i64::MAX - 1)]).unwrap();
        let sum = sum.into_array(2).unwrap();
        assert_eq!(sum.as_ref(), &Int64Array::from(vec![None, Some(i64::MAX)]));
    }

    #[test]
    fn decimals_of_more_than_38_digits_are_refused() {
        let wide = || decimals(vec![Some(LIMIT - 1), None], 38, 0);
        assert!(invoke(Kind::Add, vec![wide(), wide()]).is_err());
        assert!(invoke(Kind::Multiply, vec![wide(), wide()]).is_err());
        let less = invoke(Kind::Subtract, vec![wide(), wide()]).unwrap();
        let less = less.into_array(2).unwrap();
        assert_eq!(less.as_primitive::<Decimal128Type>().value(0), 0);
        assert!(less.is_null(1));
    }
}
