//! Comparisons of instants of two units: the finer one becomes the greatest of the coarser unit that is not
//! later, or the least that is not earlier. Nothing is cut, nothing overflows, and literals stay literals that
//! statistics can be asked for. DataFusion would cut the literal.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampSecondType,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, binary_expr, not,
};
use datafusion::optimizer::AnalyzerRule;

use super::exprs;
use super::units::per_second;

/// How an instant becomes one of a coarser unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Rounding {
    Earlier,
    Later,
    Nearest,
}

impl Rounding {
    const ALL: [Self; 3] = [Self::Earlier, Self::Later, Self::Nearest];

    fn of(self, value: i64, ratio: i64) -> i64 {
        let (whole, rest) = (value.div_euclid(ratio), value.rem_euclid(ratio));
        let up = match self {
            Self::Earlier => false,
            Self::Later => rest > 0,
            Self::Nearest => rest >= ratio - rest,
        };
        whole + i64::from(up)
    }
}

static FUNCTIONS: LazyLock<Vec<(Rounding, TimeUnit, Arc<ScalarUDF>)>> = LazyLock::new(|| {
    let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond];
    Rounding::ALL
        .into_iter()
        .flat_map(|rounding| units.map(|unit| (rounding, unit)))
        .map(|(rounding, unit)| {
            let function = Arc::new(ScalarUDF::from(Rounded::new(rounding, unit)));
            (rounding, unit, function)
        })
        .collect()
});

/// The functions that rules call.
pub(super) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(_, _, function)| Arc::clone(function))
}

fn rounded(rounding: Rounding, unit: TimeUnit, expr: Expr) -> Option<Expr> {
    let mut functions = FUNCTIONS.iter();
    let (_, _, function) = functions.find(|(r, u, _)| (*r, *u) == (rounding, unit))?;
    Some(function.call(vec![expr]))
}

/// An instant of a finer unit as the nearest microsecond, as PostgreSQL reads it; none of another type.
pub fn nearest_micros(expr: Expr, kind: &DataType) -> Option<Expr> {
    match kind {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            rounded(Rounding::Nearest, TimeUnit::Microsecond, expr)
        }
        _ => None,
    }
}

/// Rewrites the comparisons of a typed plan.
#[derive(Debug)]
pub(super) struct ExactInstants;

impl AnalyzerRule for ExactInstants {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &convert))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "exact_instants"
    }
}

/// The operand of a cast to a finer unit, and its own unit.
fn coarse(expr: &Expr, schema: &DFSchema) -> Option<(Expr, TimeUnit)> {
    let Expr::Cast(Cast { expr, field }) = expr else {
        return None;
    };
    let (DataType::Timestamp(from, of), DataType::Timestamp(to, zone)) =
        (expr.get_type(schema).ok()?, field.data_type())
    else {
        return None;
    };
    let utc = |zone: Option<&str>| matches!(zone, None | Some("UTC" | "+00:00"));
    let alike = of.as_deref() == zone.as_deref() || utc(of.as_deref()) && utc(zone.as_deref());
    let finer = per_second(*to) > per_second(from);
    // A literal of the coarser unit loses nothing.
    let literal = matches!(expr.as_ref(), Expr::Literal(_, _));
    (alike && finer && !literal).then(|| (expr.as_ref().clone(), from))
}

fn convert(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let exact = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            match (coarse(left, schema), coarse(right, schema)) {
                (Some((column, unit)), None) => compared(&column, unit, *op, right),
                (None, Some((column, unit))) => op.swap().and_then(|op| compared(&column, unit, op, left)),
                _ => None,
            }
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => coarse(expr, schema).and_then(|(column, unit)| {
            let low = compared(&column, unit, Operator::GtEq, low)?;
            let both = low.and(compared(&column, unit, Operator::LtEq, high)?);
            Some(if *negated { not(both) } else { both })
        }),
        Expr::InList(InList { expr, list, negated }) => coarse(expr, schema).and_then(|(column, unit)| {
            let equal = list
                .iter()
                .map(|item| compared(&column, unit, Operator::Eq, item));
            let any = equal.collect::<Option<Vec<_>>>()?.into_iter().reduce(Expr::or)?;
            Some(if *negated { not(any) } else { any })
        }),
        _ => None,
    };
    Ok(match exact {
        Some(exact) => Transformed::yes(exact),
        None => Transformed::no(expr),
    })
}

/// `column op fine`, over the column's unit.
fn compared(column: &Expr, unit: TimeUnit, op: Operator, fine: &Expr) -> Option<Expr> {
    let earlier = || rounded(Rounding::Earlier, unit, fine.clone());
    let later = || rounded(Rounding::Later, unit, fine.clone());
    let compare = |op, right| binary_expr(column.clone(), op, right);
    Some(match op {
        Operator::Lt | Operator::GtEq => compare(op, later()?),
        Operator::Gt | Operator::LtEq => compare(op, earlier()?),
        Operator::Eq => compare(Operator::GtEq, later()?).and(compare(Operator::LtEq, earlier()?)),
        Operator::NotEq => compare(Operator::Lt, later()?).or(compare(Operator::Gt, earlier()?)),
        _ => return None,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounded {
    name: String,
    rounding: Rounding,
    unit: TimeUnit,
    signature: Signature,
}

impl Rounded {
    fn new(rounding: Rounding, unit: TimeUnit) -> Self {
        let how = match rounding {
            Rounding::Earlier => "floor",
            Rounding::Later => "ceil",
            Rounding::Nearest => "round",
        };
        let unit_name = match unit {
            TimeUnit::Second => "seconds",
            TimeUnit::Millisecond => "millis",
            TimeUnit::Microsecond => "micros",
            TimeUnit::Nanosecond => "nanos",
        };
        Self {
            name: format!("{how}_to_{unit_name}"),
            rounding,
            unit,
            signature: Signature::any(1, Volatility::Immutable),
        }
    }

    fn array(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let DataType::Timestamp(from, zone) = array.data_type() else {
            return internal_err!("{} is no instant", array.data_type());
        };
        let ratio = per_second(*from) / per_second(self.unit);
        if ratio < 1 {
            return internal_err!("{} takes no coarser unit", self.name);
        }
        let values = arrow::compute::cast(array, &DataType::Int64)?;
        let values: PrimitiveArray<Int64Type> = values
            .as_primitive::<Int64Type>()
            .unary(|value| self.rounding.of(value, ratio));
        let zone = zone.clone();
        Ok(match self.unit {
            TimeUnit::Second => as_timestamps::<TimestampSecondType>(&values, zone),
            TimeUnit::Millisecond => as_timestamps::<TimestampMillisecondType>(&values, zone),
            TimeUnit::Microsecond | TimeUnit::Nanosecond => {
                as_timestamps::<TimestampMicrosecondType>(&values, zone)
            }
        })
    }
}

fn as_timestamps<T: ArrowTimestampType>(
    values: &PrimitiveArray<Int64Type>,
    zone: Option<Arc<str>>,
) -> ArrayRef {
    Arc::new(values.reinterpret_cast::<T>().with_timezone_opt(zone))
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [DataType::Timestamp(_, zone)] => Ok(DataType::Timestamp(self.unit, zone.clone())),
            _ => internal_err!("{} takes an instant", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &args.args[..] {
            [ColumnarValue::Array(array)] => ColumnarValue::Array(self.array(array)?),
            [ColumnarValue::Scalar(value)] => {
                let array = self.array(&value.to_array()?)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
            }
            _ => return internal_err!("{} takes one argument", self.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding() {
        for (value, earlier, later, nearest) in [
            (1_499, 1, 2, 1),
            (1_500, 1, 2, 2),
            (2_000, 2, 2, 2),
            (-1_500, -2, -1, -1),
            (-1, -1, 0, 0),
            (
                i64::MAX,
                i64::MAX / 1000,
                i64::MAX / 1000 + 1,
                i64::MAX / 1000 + 1,
            ),
        ] {
            let found = Rounding::ALL.map(|rounding| rounding.of(value, 1_000));
            assert_eq!(found, [earlier, later, nearest], "{value}");
        }
    }
}
