//! One form of each float: -0.0 is 0.0, and all NaNs are one. Comparisons of arrow tell the two zeros apart,
//! and order NaNs by their sign, which arithmetic sets at will.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Cast, Expr, ScalarUDF, lit};

use super::{nested, one_float};

const NAME: &str = "canonical_float";

/// The same for values with floats in them.
const OF_NESTED: &str = "canonical_nested";

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| one_float::function(NAME, canonical_scalar, canonical_array));

static NESTED: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    one_float::over_any(OF_NESTED, |array| {
        nested::mapped(array, &|leaf| match is_float(leaf.data_type()) {
            true => canonical_array(leaf),
            false => Ok(Arc::clone(leaf)),
        })
    })
});

/// The functions that rules call.
pub(super) fn functions() -> [Arc<ScalarUDF>; 2] {
    [Arc::clone(&FUNCTION), Arc::clone(&NESTED)]
}

/// Whether a type is one of floats. There are no columns of 16-bit floats.
pub(super) fn is_float(kind: &DataType) -> bool {
    matches!(kind, DataType::Float32 | DataType::Float64)
}

/// Whether values of a type have more than one form.
pub(super) fn has_forms(kind: &DataType) -> bool {
    is_float(kind) || nested::is_nested(kind) && nested::has_floats(kind)
}

/// An expression of a type whose values have more than one form, in its one form.
pub(super) fn canonical(expr: Expr, kind: &DataType) -> Expr {
    match expr {
        Expr::Literal(value, _) if is_float(&value.data_type()) => lit(canonical_scalar(value)),
        expr if is_canonical(&expr) => expr,
        expr if is_float(kind) => FUNCTION.call(vec![expr]),
        expr => NESTED.call(vec![expr]),
    }
}

/// The argument, if the expression is a call of one of the functions.
pub(super) fn argument(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if [NAME, OF_NESTED].contains(&call.func.name()) => call.args.first(),
        _ => None,
    }
}

/// Whether an expression has that form already.
fn is_canonical(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_canonical(&alias.expr),
        Expr::Literal(value, _) => {
            !value.data_type().is_nested() && *value == canonical_scalar(value.clone())
        }
        // Integers and decimals have one zero and no NaN; their literals stand below casts before they are folded.
        Expr::Cast(Cast { expr, .. }) => {
            matches!(expr.as_ref(), Expr::Literal(value, _) if !value.data_type().is_floating()
                && value.data_type().is_numeric())
        }
        other => argument(other).is_some(),
    }
}

fn canonical_scalar(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float32(Some(value)) => ScalarValue::Float32(Some(value.one_form())),
        ScalarValue::Float64(Some(value)) => ScalarValue::Float64(Some(value.one_form())),
        other => other,
    }
}

/// A float that may be -0.0 or one of many NaNs.
pub(super) trait OneForm: Copy {
    /// Whether it has another form.
    fn is_odd(self) -> bool;
    fn one_form(self) -> Self;
}

macro_rules! one_form {
    ($($kind:ty: $zero:expr, $nan:expr;)+) => {
        $(
            impl OneForm for $kind {
                fn is_odd(self) -> bool {
                    self.to_bits() == (-$zero).to_bits() || self.is_nan() && self.to_bits() != $nan.to_bits()
                }

                fn one_form(self) -> Self {
                    if self.is_nan() {
                        $nan
                    } else if self == $zero {
                        $zero
                    } else {
                        self
                    }
                }
            }
        )+
    };
}

one_form! {
    f32: 0.0_f32, f32::NAN;
    f64: 0.0_f64, f64::NAN;
}

/// The array with each value in its one form; itself where all are.
pub(super) fn canonical_array(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Float64 => Ok(rewritten::<Float64Type>(array)),
        DataType::Float32 => Ok(rewritten::<Float32Type>(array)),
        other => internal_err!("{other} is no type of floats"),
    }
}

fn rewritten<T: ArrowPrimitiveType>(array: &ArrayRef) -> ArrayRef
where
    T::Native: OneForm,
{
    let values: &PrimitiveArray<T> = array.as_primitive();
    let any = values
        .values()
        .iter()
        .fold(false, |any, value| any | value.is_odd());
    match any {
        true => Arc::new(values.unary::<_, T>(|value| value.one_form())),
        false => Arc::clone(array),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float32Array, Float64Array};

    use super::*;

    #[test]
    fn zeros_and_nans_are_one() {
        let odd = f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 7);
        let array: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), Some(odd), None, Some(-1.5)]));
        let array = canonical_array(&array).unwrap();
        let values = array.as_primitive::<Float64Type>();
        assert_eq!(values.value(0).to_bits(), 0.0_f64.to_bits());
        assert_eq!(values.value(1).to_bits(), f64::NAN.to_bits());
        assert!(values.is_null(2));
        assert_eq!(values.value(3).to_bits(), (-1.5_f64).to_bits());
    }

    #[test]
    fn what_has_the_form_is_not_copied() {
        let array: ArrayRef = Arc::new(Float32Array::from(vec![1.0, f32::NAN, 0.0]));
        assert!(Arc::ptr_eq(&array, &canonical_array(&array).unwrap()));
    }
}
