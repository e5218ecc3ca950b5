//! A function of DataFusion that does more here: what it has is left to it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::zone::dates_go_back;
use crate::functions::function::by_rows;

/// Functions whose first argument names a part of a time.
const PART_FIRST: [&str; 2] = ["date_part", "date_trunc"];

/// Functions that take calls by the types of their arguments alone, whatever constants are among them.
const TYPES_ALONE: [&str; 2] = ["octet_length", "substr"];

/// The type of the result, if the call is not left to DataFusion: by the first argument, if that is
/// a constant, and by the types of all.
type Takes = fn(Option<&str>, &[DataType]) -> Option<DataType>;

/// The result of such a call.
type Rows = fn(&[ArrayRef], &DataType) -> Result<ArrayRef>;

/// Wraps a function of DataFusion.
pub(in crate::functions) fn wrap(inner: Arc<ScalarUDF>, takes: Takes, rows: Rows) -> ScalarUDF {
    ScalarUDF::from(Wrapped {
        inner,
        signature: Signature::user_defined(Volatility::Immutable),
        takes,
        rows,
    })
}

#[derive(Debug)]
struct Wrapped {
    inner: Arc<ScalarUDF>,
    signature: Signature,
    takes: Takes,
    rows: Rows,
}

impl PartialEq for Wrapped {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Wrapped {}

impl Hash for Wrapped {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

fn constant(value: Option<&ScalarValue>) -> Option<&str> {
    value.and_then(|value| value.try_as_str()).flatten()
}

/// Whether later values of an argument have no earlier dates.
fn keeps_dates(argument: &ExprProperties) -> bool {
    match argument.range.data_type() {
        DataType::Timestamp(_, Some(zone)) => !dates_go_back(&zone),
        _ => true,
    }
}

impl ScalarUDFImpl for Wrapped {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if (self.takes)(None, given).is_some() {
            return Ok(given.to_vec());
        }
        // What DataFusion does not take may be taken here, by a constant that is not known yet.
        let fields: Vec<FieldRef> = given
            .iter()
            .map(|kind| Arc::new(Field::new("", kind.clone(), true)))
            .collect();
        Ok(match fields_with_udf(&fields, self.inner.as_ref()) {
            Ok(fields) => fields.iter().map(|field| field.data_type().clone()).collect(),
            // The part is text in any case, so that a parameter in its place is text.
            Err(error) if TYPES_ALONE.contains(&self.name()) => return Err(error),
            Err(error) => match given.first() {
                Some(first) if PART_FIRST.contains(&self.name()) && !first.is_string() => return Err(error),
                Some(_) | None => given.to_vec(),
            },
        })
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let kinds: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let first = args.scalar_arguments.first().copied().flatten();
        match (self.takes)(constant(first), &kinds) {
            Some(result) => Ok(Arc::new(Field::new(self.name(), result, true))),
            None => {
                // DataFusion's function relies on its own signature, which the one here does not check.
                fields_with_udf(args.arg_fields, self.inner.as_ref())?;
                self.inner.return_field_from_args(args)
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kinds: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let first = match args.args.first() {
            Some(ColumnarValue::Scalar(value)) => Some(value),
            _ => None,
        };
        if (self.takes)(constant(first), &kinds).is_none() {
            return self.inner.invoke_with_args(args);
        }
        by_rows(self.name(), args, self.rows)
    }

    fn preimage(&self, args: &[Expr], value: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.preimage(args, value, info)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        if self.name() == "date_trunc" && (inputs.len() > 2 || !inputs.iter().all(keeps_dates)) {
            return Ok(SortProperties::Unordered);
        }
        self.inner.output_ordering(inputs)
    }
}
