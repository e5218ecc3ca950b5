//! `round`, `trunc`, `ceil` and `floor` of decimals: a result has the digits behind the point that were asked for,
//! and room for the digit that rounding up may add. Of all other types they are DataFusion's.
//!
//! The type of a result depends on the number of places, if that is a constant. It must not change when the
//! optimizer makes a constant of an expression, so that constants are found before types are, by [`super::constants`],
//! and what is none is written with the type of its result, by [`pinned`].

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, Decimal128Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err, plan_err};
use datafusion::functions::math;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::{exprs, out_of_range};
use crate::functions::function::by_rows;

const MAX_DIGITS: u8 = 38;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Round,
    Trunc,
    Ceil,
    Floor,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Round, Self::Trunc, Self::Ceil, Self::Floor];

    fn builtin(self) -> Arc<ScalarUDF> {
        match self {
            Self::Round => math::round(),
            Self::Trunc => math::trunc(),
            Self::Ceil => math::ceil(),
            Self::Floor => math::floor(),
        }
    }

    fn takes_places(self) -> bool {
        matches!(self, Self::Round | Self::Trunc)
    }

    /// A value without its last digits, as a multiple of 10 to their number.
    fn without(self, value: i128, digits: u32) -> i128 {
        let Some(unit) = 10_i128.checked_pow(digits) else {
            return match self {
                Self::Ceil => i128::from(value > 0),
                Self::Floor => -i128::from(value < 0),
                Self::Round | Self::Trunc => 0,
            };
        };
        let (quotient, rest) = (value / unit, value % unit);
        let more = match self {
            Self::Trunc => 0,
            Self::Ceil => i128::from(rest > 0),
            Self::Floor => -i128::from(rest < 0),
            // Halves go away from zero.
            Self::Round if rest.unsigned_abs() * 2 >= unit.unsigned_abs() => rest.signum(),
            Self::Round => 0,
        };
        quotient + more
    }
}

static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let plain = Kind::ALL.map(|kind| Rounding::new(kind, kind.builtin().name().to_owned(), false));
    let pinned = [Kind::Round, Kind::Trunc]
        .map(|kind| Rounding::new(kind, format!("{}_as", kind.builtin().name()), true));
    let all = plain.into_iter().chain(pinned);
    all.map(|function| Arc::new(ScalarUDF::from(function))).collect()
});

pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(Arc::clone)
}

/// A decimal rounded to a number of digits behind the point.
pub(super) fn round(expr: Expr, scale: i8) -> Expr {
    let function = Arc::clone(&FUNCTIONS[Kind::Round as usize]);
    Expr::ScalarFunction(ScalarFunction::new_udf(
        function,
        vec![expr, lit(i64::from(scale))],
    ))
}

/// The precision and scale of a decimal that is rounded to a number of places; none for the number where it is
/// not known.
fn rounded(precision: u8, scale: i8, places: Option<i64>) -> (u8, i8) {
    match places {
        None => (precision.saturating_add(1).min(MAX_DIGITS), scale),
        Some(places) => match i8::try_from(places.clamp(0, i64::from(scale))) {
            // There is no digit behind the point that would make room for another before it.
            Ok(0) if scale == 0 && places < 0 => (precision.saturating_add(1).min(MAX_DIGITS), 0),
            Ok(fewer) => (precision, fewer),
            Err(_) => (precision, scale),
        },
    }
}

/// The number of places that a constant gives; NULL is as good as none.
fn places(value: &ScalarValue) -> Option<i64> {
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(places) => Some(places.unwrap_or_default()),
        _ => None,
    }
}

/// Precision and scale of a type that is rounded here.
fn decimal(kind: Option<&DataType>) -> Option<(u8, i8)> {
    match kind {
        Some(DataType::Decimal128(precision, scale)) if *scale >= 0 => Some((*precision, *scale)),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    kind: Kind,
    name: String,
    /// Whether a last argument has the type of the result.
    pinned: bool,
    builtin: Arc<ScalarUDF>,
    signature: Signature,
}

impl Rounding {
    fn new(kind: Kind, name: String, pinned: bool) -> Self {
        Self {
            kind,
            name,
            pinned,
            builtin: kind.builtin(),
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn does_not_fit(&self) -> DataFusionError {
        out_of_range(&format!("the result of {}", self.builtin.name()))
    }

    /// The results, with a number of digits behind the point.
    fn values(
        &self,
        values: &Decimal128Array,
        places: Option<&Int64Array>,
        target: i8,
    ) -> Result<Vec<Option<i128>>> {
        let scale = values.scale();
        let apply = |value: i128, places: i64| {
            let dropped = i64::from(scale).saturating_sub(places);
            let (value, scale) = match u32::try_from(dropped) {
                Ok(dropped) if dropped > 0 => (self.kind.without(value, dropped), places),
                _ => (value, i64::from(scale)),
            };
            if value == 0 {
                return Some(0);
            }
            let more = u32::try_from(i64::from(target).checked_sub(scale)?).ok()?;
            value.checked_mul(10_i128.checked_pow(more)?)
        };
        (0..values.len())
            .map(|row| {
                let given = match places {
                    Some(places) if places.is_null(row) => return Ok(None),
                    Some(places) => places.value(row),
                    None => 0,
                };
                match values.is_valid(row) {
                    true => apply(values.value(row), given)
                        .ok_or_else(|| self.does_not_fit())
                        .map(Some),
                    false => Ok(None),
                }
            })
            .collect()
    }
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        &self.name
    }

    /// As the function's that it stands for, so that columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let shown = if self.pinned {
            &args[..args.len().min(2)]
        } else {
            args
        };
        let names: Vec<_> = shown.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("{}({})", self.builtin.name(), names.join(",")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let whole = |kind: &DataType| kind.is_integer() || kind.is_null();
        let ours = decimal(given.first()).is_some();
        match given {
            // A cast of a constant would hide its value.
            [_] if ours => Ok(given.to_vec()),
            [_, places] if ours && self.kind.takes_places() && whole(places) => Ok(given.to_vec()),
            [_, _, _] if self.pinned => Ok(given.to_vec()),
            _ if self.pinned => plan_err!("{} takes three arguments", self.name),
            _ => {
                let fields: Vec<FieldRef> = given
                    .iter()
                    .map(|kind| Arc::new(Field::new("", kind.clone(), true)))
                    .collect();
                let fields = fields_with_udf(&fields, self.builtin.as_ref())?;
                Ok(fields.iter().map(|field| field.data_type().clone()).collect())
            }
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} over {given:?} depends on values", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let kinds: Vec<&DataType> = args.arg_fields.iter().map(|field| field.data_type()).collect();
        let Some((precision, scale)) = decimal(kinds.first().copied()) else {
            return self.builtin.return_field_from_args(args);
        };
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let kind = match (self.pinned, kinds.get(2)) {
            (true, Some(pinned)) => DataType::clone(pinned),
            _ => {
                let places = match args.scalar_arguments.get(1) {
                    None => Some(0),
                    Some(value) => value.and_then(places),
                };
                let (precision, scale) = rounded(precision, scale, places);
                DataType::Decimal128(precision, scale)
            }
        };
        Ok(Arc::new(Field::new(self.builtin.name(), kind, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = args.args.first().map(ColumnarValue::data_type);
        if decimal(first.as_ref()).is_none() {
            return self.builtin.invoke_with_args(args);
        }
        let DataType::Decimal128(precision, scale) = *args.return_field.data_type() else {
            return internal_err!("{} of a decimal is no decimal", self.name);
        };
        by_rows(&self.name, args, |args, _| {
            let places = match args.get(1) {
                Some(places) => Some(cast(places, &DataType::Int64)?),
                None => None,
            };
            let places = places.as_ref().map(|places| places.as_primitive::<Int64Type>());
            let values = self.values(args[0].as_primitive::<Decimal128Type>(), places, scale)?;
            let limit = 10_u128.pow(u32::from(precision));
            if values.iter().flatten().any(|value| value.unsigned_abs() >= limit) {
                return Err(self.does_not_fit());
            }
            let values = Decimal128Array::from(values).with_precision_and_scale(precision, scale)?;
            Ok(Arc::new(values))
        })
    }

    fn is_strict(&self) -> bool {
        // NULL in the last argument says a type alone.
        !self.pinned
    }

    fn preimage(&self, args: &[Expr], value: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        let scaled = matches!(value, Expr::Literal(value, _) if value.data_type().is_decimal());
        match scaled || self.pinned {
            true => Ok(PreimageResult::None),
            false => self.builtin.preimage(args, value, info),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        match self.pinned {
            true => Ok(SortProperties::Unordered),
            false => self.builtin.output_ordering(inputs),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.builtin.documentation()
    }
}

/// Pins the types of results that the optimizer could change.
#[derive(Debug)]
pub(super) struct PinnedRounding;

impl AnalyzerRule for PinnedRounding {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &pinned))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "pinned_rounding"
    }
}

/// The function with the type of its result, where its second argument is no constant yet.
fn pinned(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let is_open = matches!(&args[..], [_, places] if !matches!(places, Expr::Literal(_, _)));
    let Some(rounding) = func.inner().downcast_ref::<Rounding>().filter(|_| is_open) else {
        return Ok(Transformed::no(expr));
    };
    let kind = expr.get_type(schema)?;
    let name = format!("{}_as", rounding.name);
    let of = FUNCTIONS.iter().find(|function| function.name() == name);
    match (of, decimal(Some(&kind))) {
        (Some(of), Some((precision, scale))) => {
            let mut args = args.clone();
            args.push(lit(ScalarValue::Decimal128(None, precision, scale)));
            Ok(Transformed::yes(of.call(args)))
        }
        _ => Ok(Transformed::no(expr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_dropped() {
        let all = |value, digits| Kind::ALL.map(|kind| kind.without(value, digits));
        assert_eq!(all(150, 2), [2, 1, 2, 1]);
        assert_eq!(all(-150, 2), [-2, -1, -1, -2]);
        assert_eq!(all(149, 2), [1, 1, 2, 1]);
        assert_eq!(all(100, 2), [1, 1, 1, 1]);
        assert_eq!(all(5 * 10_i128.pow(37), 38), [1, 0, 1, 0]);
        assert_eq!(all(-7, 60), [0, 0, 0, -1]);
    }

    #[test]
    fn types_have_room() {
        assert_eq!(rounded(10, 2, Some(1)), (10, 1));
        assert_eq!(rounded(10, 2, Some(5)), (10, 2));
        assert_eq!(rounded(10, 2, Some(-1)), (10, 0));
        assert_eq!(rounded(10, 0, Some(-1)), (11, 0));
        assert_eq!(rounded(10, 0, Some(0)), (10, 0));
        assert_eq!(rounded(10, 2, None), (11, 2));
        assert_eq!(rounded(38, 38, Some(1)), (38, 1));
    }
}
