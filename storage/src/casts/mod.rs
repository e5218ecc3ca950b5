//! Casts from and to text, in the forms that PostgreSQL and DuckDB read and write. Those of arrow read fewer texts, and
//! write times and intervals in forms of their own.
//!
//! [`forms`] brings a text into the form that arrow reads, [`intervals`] reads and writes intervals, [`times`] writes
//! times, [`nested`] lists, structs and maps, [`json`] these as JSON. A rule puts the functions where the casts are. [`unordered`] has the casts that bounds of files do not pass.

mod forms;
mod intervals;
mod json;
mod nested;
mod times;
mod unordered;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF, TryCast};
use datafusion::optimizer::AnalyzerRule;

use crate::functions::function::function;
use crate::numbers::exprs;

pub(crate) use forms::{decimal as usual_decimal, time as usual_time};
pub use intervals::usual as usual_interval;
pub(crate) use json::as_json;
pub(crate) use unordered::UnorderedCasts;

/// What texts are read as, and texts of what are written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Time,
    Date,
    Interval,
    Decimal,
    Whole,
    Bytes,
    TryBytes,
    TimeText,
    IntervalText,
    NestedText,
}

impl Kind {
    /// A text in the form that is read, where the cast begins with one.
    fn form(self, text: &str) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Time => forms::time(text),
            Self::Date => forms::date(text),
            Self::Interval => interval(text),
            Self::Decimal => forms::decimal(text),
            Self::Whole => forms::whole(text),
            Self::Bytes | Self::TryBytes | Self::TimeText | Self::IntervalText | Self::NestedText => {
                return None;
            }
        })
    }
}

fn interval(text: &str) -> Cow<'_, str> {
    match intervals::usual(text) {
        Some(usual) => usual.into(),
        None => text.into(),
    }
}

static FUNCTIONS: LazyLock<Vec<(Kind, Arc<ScalarUDF>)>> = LazyLock::new(|| {
    let all = [
        (
            Kind::Time,
            function(
                "usual_time",
                &[],
                "usual_time(text)",
                |given| read_as(given, DataType::Utf8),
                |args, _| usual(&args[0], forms::time),
            ),
        ),
        (
            Kind::Date,
            function(
                "usual_date",
                &[],
                "usual_date(text)",
                |given| read_as(given, DataType::Utf8),
                |args, _| usual(&args[0], forms::date),
            ),
        ),
        (
            Kind::Interval,
            function(
                "usual_interval",
                &[],
                "usual_interval(text)",
                |given| read_as(given, DataType::Utf8),
                |args, _| usual(&args[0], interval),
            ),
        ),
        (
            Kind::Decimal,
            function(
                "usual_decimal",
                &[],
                "usual_decimal(text)",
                |given| read_as(given, DataType::Utf8),
                |args, _| usual(&args[0], forms::decimal),
            ),
        ),
        (
            Kind::Whole,
            function(
                "usual_whole",
                &[],
                "usual_whole(text)",
                |given| read_as(given, DataType::Utf8),
                |args, _| usual(&args[0], forms::whole),
            ),
        ),
        (
            Kind::Bytes,
            function(
                "bytes_of_text",
                &[],
                "bytes_of_text(text)",
                |given| read_as(given, DataType::Binary),
                |args, _| bytes(args[0].as_string(), false),
            ),
        ),
        (
            Kind::TryBytes,
            function(
                "try_bytes_of_text",
                &[],
                "try_bytes_of_text(text)",
                |given| read_as(given, DataType::Binary),
                |args, _| bytes(args[0].as_string(), true),
            ),
        ),
        (
            Kind::TimeText,
            function(
                "text_of_time",
                &[],
                "text_of_time(time)",
                |given| match given {
                    [DataType::Timestamp(..)] => Some((given.to_vec(), DataType::Utf8)),
                    _ => None,
                },
                |args, _| times::texts(&args[0]),
            ),
        ),
        (
            Kind::IntervalText,
            function(
                "text_of_interval",
                &[],
                "text_of_interval(interval)",
                |given| match given {
                    [DataType::Interval(_)] => Some((vec![INTERVAL], DataType::Utf8)),
                    [DataType::Duration(_)] => {
                        Some((vec![DataType::Duration(TimeUnit::Microsecond)], DataType::Utf8))
                    }
                    _ => None,
                },
                |args, _| intervals::texts(&args[0]),
            ),
        ),
        (
            Kind::NestedText,
            function(
                "text_of_nested",
                &[],
                "text_of_nested(value)",
                |given| match given {
                    [kind] if nested::is_nested(kind) => Some((given.to_vec(), DataType::Utf8)),
                    _ => None,
                },
                |args, _| nested::texts(&args[0]),
            ),
        ),
    ];
    all.into_iter()
        .map(|(kind, function)| (kind, Arc::new(function)))
        .collect()
});

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const DURATION: DataType = DataType::Duration(TimeUnit::Microsecond);

pub(crate) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    let of_text = FUNCTIONS.iter().map(|(_, function)| Arc::clone(function));
    of_text.chain(unordered::functions())
}

fn read_as(given: &[DataType], result: DataType) -> Option<(Vec<DataType>, DataType)> {
    match given {
        [kind] if kind.is_string() => Some((vec![DataType::Utf8], result)),
        _ => None,
    }
}

fn usual(texts: &ArrayRef, form: impl Fn(&str) -> Cow<'_, str>) -> Result<ArrayRef> {
    let texts = texts.as_string::<i32>();
    let mut all = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    for text in texts {
        all.append_option(text.map(&form));
    }
    Ok(Arc::new(all.finish()))
}

fn bytes(texts: &StringArray, attempt: bool) -> Result<ArrayRef> {
    let mut all = BinaryBuilder::with_capacity(texts.len(), texts.value_data().len());
    for text in texts {
        match text.map(forms::bytes).transpose() {
            Err(_) if attempt => all.append_null(),
            read => all.append_option(read?),
        }
    }
    Ok(Arc::new(all.finish()))
}

/// Puts the functions where casts from and to text are. The plan is typed.
#[derive(Debug)]
pub(crate) struct CastsOfText;

impl AnalyzerRule for CastsOfText {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &convert))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "casts_of_text"
    }
}

/// The function for a cast, and whether it is the whole cast.
fn chosen(from: &DataType, to: &DataType, attempt: bool) -> Option<(Kind, bool)> {
    Some(match (from, to) {
        (from, to) if from.is_string() => match to {
            DataType::Timestamp(..) => (Kind::Time, false),
            DataType::Date32 | DataType::Date64 => (Kind::Date, false),
            DataType::Interval(_) => (Kind::Interval, false),
            DataType::Decimal128(..) | DataType::Decimal256(..) => (Kind::Decimal, false),
            to if to.is_integer() => (Kind::Whole, false),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView if attempt => {
                (Kind::TryBytes, true)
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => (Kind::Bytes, true),
            _ => return None,
        },
        (DataType::Timestamp(..), to) if to.is_string() => (Kind::TimeText, true),
        (DataType::Interval(_) | DataType::Duration(_), to) if to.is_string() => (Kind::IntervalText, true),
        (from, to) if nested::is_nested(from) && to.is_string() => (Kind::NestedText, true),
        _ => return None,
    })
}

fn convert(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (inner, field, attempt) = match &expr {
        Expr::Cast(Cast { expr, field }) => (expr, field, false),
        Expr::TryCast(TryCast { expr, field }) => (expr, field, true),
        _ => return Ok(Transformed::no(expr)),
    };
    let from = inner.get_type(schema)?;
    let Some((kind, whole)) = chosen(&from, field.data_type(), attempt) else {
        return Ok(Transformed::no(expr));
    };
    // What has been converted is a call of the function already.
    if matches!(inner.as_ref(), Expr::ScalarFunction(call) if is_ours(call.name())) {
        return Ok(Transformed::no(expr));
    }
    // Of the many literals of an INSERT, each would be a call otherwise.
    if let Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) = inner.as_ref()
        && let Some(usual) = kind.form(text)
    {
        if usual == *text {
            return Ok(Transformed::no(expr));
        }
        let usual = ScalarValue::Utf8(Some(usual.into_owned()));
        let literal = Expr::Literal(usual, metadata.clone());
        return Ok(Transformed::yes(recast(literal, field, attempt)));
    }
    let mut functions = FUNCTIONS.iter();
    let Some((_, function)) = functions.find(|(of, _)| *of == kind) else {
        return Ok(Transformed::no(expr));
    };
    let arg = match (&from, kind) {
        (from, _) if from.is_string() && *from != DataType::Utf8 => as_type(inner, DataType::Utf8),
        (DataType::Interval(_), _) if from != INTERVAL => as_type(inner, INTERVAL),
        (DataType::Duration(unit), _) if *unit != TimeUnit::Microsecond => as_type(inner, DURATION),
        _ => inner.as_ref().clone(),
    };
    let call = function.call(vec![arg]);
    let given = call.get_type(schema)?;
    if whole && given == *field.data_type() {
        return Ok(Transformed::yes(call));
    }
    Ok(Transformed::yes(recast(call, field, attempt)))
}

fn recast(expr: Expr, field: &FieldRef, attempt: bool) -> Expr {
    let (expr, field) = (Box::new(expr), Arc::clone(field));
    match attempt {
        true => Expr::TryCast(TryCast { expr, field }),
        false => Expr::Cast(Cast { expr, field }),
    }
}

fn as_type(expr: &Expr, kind: DataType) -> Expr {
    datafusion::logical_expr::cast(expr.clone(), kind)
}

fn is_ours(name: &str) -> bool {
    FUNCTIONS.iter().any(|(_, function)| function.name() == name)
}
