//! Kinds of types where times are concerned, and the conversions between them.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use watershed_storage::functions;

use super::super::types::timestamp;

pub(super) fn kind(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    expr.get_type(schema).ok()
}

/// A timestamp with a zone, whichever.
pub(super) fn is_instant(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(_, Some(_)))
}

/// What a clock on the wall shows: a date, or a timestamp without a zone.
pub(super) fn is_local(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None)
    )
}

pub(super) fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

pub(super) fn is_interval(kind: &DataType) -> bool {
    matches!(kind, DataType::Interval(_))
}

/// An interval, or the difference of two instants.
pub(super) fn is_span(kind: &DataType) -> bool {
    matches!(kind, DataType::Interval(_) | DataType::Duration(_))
}

pub(super) fn is_text_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if is_text(&value.data_type()))
}

/// The instants that are as fine as all of these, and at least µs.
pub(super) fn finest<'k>(kinds: impl IntoIterator<Item = &'k DataType>) -> DataType {
    let nanos = kinds
        .into_iter()
        .any(|kind| matches!(kind, DataType::Timestamp(TimeUnit::Nanosecond, _)));
    match nanos {
        true => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        false => timestamp(),
    }
}

/// An instant in a zone: the same, of a type whose clock is the zone's.
pub(super) fn in_zone(expr: Expr, of: &DataType, zone: &str) -> Expr {
    match of {
        DataType::Timestamp(unit, Some(own)) if own.as_ref() != zone => {
            cast(expr, DataType::Timestamp(*unit, Some(zone.into())))
        }
        _ => expr,
    }
}

/// A date, a time without a zone or a text as an instant of about that type. None for all others.
pub(super) fn to_instant(
    expr: Expr,
    from: &DataType,
    target: &DataType,
    zone: &str,
    attempt: bool,
) -> Result<Option<Expr>> {
    let nanos = matches!(target, DataType::Timestamp(TimeUnit::Nanosecond, _));
    let native = |expr, unit| {
        let target = DataType::Timestamp(unit, Some("UTC".into()));
        match attempt {
            true => datafusion::logical_expr::try_cast(expr, target),
            false => cast(expr, target),
        }
    };
    Ok(match from {
        DataType::Timestamp(unit, None) if zone == "UTC" => Some(native(expr, *unit)),
        DataType::Date32 | DataType::Date64 if zone == "UTC" => Some(native(expr, TimeUnit::Microsecond)),
        from if is_local(from) => Some(call("instant_from_local", vec![expr, lit(zone)])?),
        from if is_text(from) && zone == "UTC" => Some(native(
            expr,
            match nanos {
                true => TimeUnit::Nanosecond,
                false => TimeUnit::Microsecond,
            },
        )),
        from if is_text(from) => {
            let function = match (nanos, attempt) {
                (false, false) => "instant_from_text",
                (true, false) => "instant_from_text_ns",
                (false, true) => "try_instant_from_text",
                (true, true) => "try_instant_from_text_ns",
            };
            Some(call(function, vec![expr, lit(zone)])?)
        }
        _ => None,
    })
}

/// A call of a function of ours.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Result<Expr> {
    let function = functions::named(name)?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::clone(&function),
        args,
    )))
}
