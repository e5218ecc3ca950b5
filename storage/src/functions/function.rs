//! A function of one row as a name, a rule about types, and what it does with arrays.

use std::hash::{Hash, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use watershed_core::error::{Error, SqlState};

use crate::error::into_datafusion;

/// What the arguments become, and what type the result has. None if the function takes no such arguments.
type Types = fn(&[DataType]) -> Option<(Vec<DataType>, DataType)>;

/// The result for arguments of equal length, which have the types that the rule gave.
type Rows = fn(&[ArrayRef], &DataType) -> Result<ArrayRef>;

/// Makes a function that depends on its arguments alone.
pub(crate) fn function(
    name: &'static str,
    aliases: &[&str],
    usage: &'static str,
    types: Types,
    rows: Rows,
) -> ScalarUDF {
    ScalarUDF::from(Function {
        name,
        aliases: aliases.iter().map(ToString::to_string).collect(),
        usage,
        signature: Signature::user_defined(Volatility::Immutable),
        types,
        rows,
    })
}

#[derive(Debug)]
struct Function {
    name: &'static str,
    aliases: Vec<String>,
    /// How it is called, for the hint of an error.
    usage: &'static str,
    signature: Signature,
    types: Types,
    rows: Rows,
}

// There is one function of a name.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Function {
    fn refuse(&self, given: &[DataType]) -> Error {
        let given: Vec<_> = given.iter().map(ToString::to_string).collect();
        Error::new(
            SqlState::UndefinedFunction,
            format!("function {}({}) does not exist", self.name, given.join(", ")),
        )
        .with_hint(format!("It is called as {}.", self.usage))
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        // Where the rule has none, `return_type` refuses: DataFusion would wrap an error given here.
        Ok((self.types)(given).map_or_else(|| given.to_vec(), |(types, _)| types))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match (self.types)(given) {
            Some((_, result)) => Ok(result),
            None => Err(into_datafusion(self.refuse(given))),
        }
    }

    // Without a type of its own a comparison of the result has no known order, not even below a sort by it.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let given: Vec<DataType> = inputs.iter().map(|input| input.data_type()).collect();
        let result = (self.types)(&given).map_or(DataType::Null, |(_, result)| result);
        Interval::make_unbounded(&result)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        by_rows(self.name, args, self.rows)
    }
}

/// Evaluates a function over arrays of equal length. Of constants alone the result is a constant.
pub(crate) fn by_rows(
    name: &str,
    args: ScalarFunctionArgs,
    rows: impl FnOnce(&[ArrayRef], &DataType) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = args
        .args
        .iter()
        .all(|value| matches!(value, ColumnarValue::Scalar(_)));
    let count = if constant { 1 } else { args.number_rows };
    let arrays = args
        .args
        .into_iter()
        .map(|value| value.into_array(count))
        .collect::<Result<Vec<_>>>()?;
    let result = rows(&arrays, args.return_field.data_type())?;
    if result.len() != count {
        return exec_err!("{name} gave {} rows for {count}", result.len());
    }
    Ok(match constant {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
        false => ColumnarValue::Array(result),
    })
}
