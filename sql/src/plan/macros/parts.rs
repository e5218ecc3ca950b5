//! `dateadd(part, number, time)` and `datediff(part, from, to)`, whose part is a bare word or a string.

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, TimezoneInfo, TypedString, Value,
};

use crate::dialect::{folded, parse_expression};

/// The functions.
pub(super) const NAMES: [&str; 3] = ["dateadd", "datediff", "timestampadd"];

/// The parts, and the interval that one of each is.
const PARTS: [(&str, &str); 10] = [
    ("microsecond", "INTERVAL '1 microsecond'"),
    ("millisecond", "INTERVAL '1 millisecond'"),
    ("second", "INTERVAL '1 second'"),
    ("minute", "INTERVAL '1 minute'"),
    ("hour", "INTERVAL '1 hour'"),
    ("day", "INTERVAL '1 day'"),
    ("week", "INTERVAL '7 days'"),
    ("month", "INTERVAL '1 month'"),
    ("quarter", "INTERVAL '3 months'"),
    ("year", "INTERVAL '1 year'"),
];

/// Such a call as an expression of other functions; None of any other call.
pub(super) fn written(name: &str, call: &Function, args: &[Expr]) -> Option<Expr> {
    let [part, second, third] = args else {
        return None;
    };
    let (part, unit) = known(part)?;
    match name {
        "dateadd" | "timestampadd" => {
            let interval = parse_expression(unit).ok()?;
            let step = Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(second.clone()))),
                op: BinaryOperator::Multiply,
                right: Box::new(interval),
            };
            Some(Expr::Nested(Box::new(Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(time(third)))),
                op: BinaryOperator::Plus,
                right: Box::new(step),
            })))
        }
        "datediff" => {
            let mut call = call.clone();
            call.name = ObjectName::from(vec![Ident::new("date_diff")]);
            if let FunctionArguments::List(list) = &mut call.args
                && let Some(first) = list.args.first_mut()
            {
                let part = Expr::value(Value::SingleQuotedString(part.to_owned()));
                *first = FunctionArg::Unnamed(FunctionArgExpr::Expr(part));
            }
            Some(Expr::Function(call))
        }
        _ => None,
    }
}

/// A time that is written as a text alone is a timestamp.
fn time(expr: &Expr) -> Expr {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(_) => Expr::TypedString(TypedString {
                data_type: DataType::Timestamp(None, TimezoneInfo::None),
                value: value.clone(),
                uses_odbc_syntax: false,
            }),
            _ => expr.clone(),
        },
        _ => expr.clone(),
    }
}

/// The part that an argument names, with the interval of one; in the plural, too.
fn known(part: &Expr) -> Option<(&'static str, &'static str)> {
    let word = match part {
        Expr::Identifier(ident) => folded(ident),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.to_ascii_lowercase(),
            _ => return None,
        },
        _ => return None,
    };
    PARTS
        .into_iter()
        .find(|(part, _)| word == *part || word.strip_suffix('s') == Some(part))
}
