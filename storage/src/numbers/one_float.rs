//! Functions of one float, or of one value with floats in it, that give a value of the same type.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Makes one of what it does with a value and with an array.
pub(super) fn function(
    name: &'static str,
    scalar: fn(ScalarValue) -> ScalarValue,
    array: fn(&ArrayRef) -> Result<ArrayRef>,
) -> Arc<ScalarUDF> {
    let floats = vec![DataType::Float64, DataType::Float32];
    Arc::new(ScalarUDF::from(OneFloat {
        name,
        signature: Signature::uniform(1, floats, Volatility::Immutable),
        over: Over {
            scalar: Some(scalar),
            array,
        },
    }))
}

/// Makes one over values of any type of what it does with an array.
pub(super) fn over_any(name: &'static str, array: fn(&ArrayRef) -> Result<ArrayRef>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(OneFloat {
        name,
        signature: Signature::any(1, Volatility::Immutable),
        over: Over { scalar: None, array },
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneFloat {
    name: &'static str,
    signature: Signature,
    over: Over,
}

#[derive(Debug, Clone, Copy)]
struct Over {
    /// None where a value is an array of one.
    scalar: Option<fn(ScalarValue) -> ScalarValue>,
    array: fn(&ArrayRef) -> Result<ArrayRef>,
}

// There is one function of a name.
impl PartialEq for Over {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Over {}

impl std::hash::Hash for Over {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl ScalarUDFImpl for OneFloat {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [kind] => Ok(kind.clone()),
            _ => internal_err!("{} takes one argument", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [field] => {
                let (kind, nullable) = (field.data_type().clone(), field.is_nullable());
                Ok(Arc::new(Field::new(self.name, kind, nullable)))
            }
            _ => internal_err!("{} takes one argument", self.name),
        }
    }

    // Without a type of its own a comparison of the result has no known order, not even below a sort by it.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        match inputs {
            [input] if input.data_type().is_nested() => Interval::make_unbounded(&DataType::Null),
            [input] => Interval::make_unbounded(&input.data_type()),
            _ => internal_err!("{} takes one argument", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array((self.over.array)(array)?)),
            [ColumnarValue::Scalar(value)] => Ok(ColumnarValue::Scalar(match self.over.scalar {
                Some(scalar) => scalar(value.clone()),
                None => ScalarValue::try_from_array(&(self.over.array)(&value.to_array()?)?, 0)?,
            })),
            _ => internal_err!("{} takes one argument", self.name),
        }
    }
}
