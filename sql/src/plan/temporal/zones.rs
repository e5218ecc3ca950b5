//! The session's zone in casts, in functions over times, and where intervals are added.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, lit, try_cast};
use watershed_core::error::Error;
use watershed_storage::error::into_datafusion;

use super::super::now;
use super::super::types::timestamp;
use super::super::units;
use super::kinds::{
    call, finest, in_zone, is_instant, is_interval, is_local, is_span, is_text, kind, to_instant,
};

/// Functions over times, with the places of those arguments. Instants among these become instants of the
/// session's zone, and texts are read in it.
const OVER_TIMES: [(&str, &[usize]); 22] = [
    ("age", &[0, 1]),
    ("as_json", &[0]),
    ("date_add", &[0]),
    ("date_bin", &[1, 2]),
    ("date_diff", &[1, 2]),
    ("date_part", &[1]),
    ("date_sub", &[1, 2]),
    ("date_subtract", &[0]),
    ("date_trunc", &[1]),
    ("dayname", &[0]),
    ("epoch", &[0]),
    ("epoch_ms", &[0]),
    ("epoch_ns", &[0]),
    ("epoch_us", &[0]),
    ("generate_series", &[0, 1]),
    ("last_day", &[0]),
    ("monthname", &[0]),
    ("range", &[0, 1]),
    ("time_bucket", &[1, 2]),
    ("to_char", &[0]),
    ("to_date", &[0]),
    ("to_unixtime", &[0]),
];

/// Functions that give instants for dates too.
const GIVE_INSTANTS: [&str; 3] = ["date_add", "date_subtract", "date_trunc"];

/// Calls that stand for others.
pub(super) fn calls(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, mut args }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let kinds: Vec<_> = args.iter().map(|arg| kind(arg, schema)).collect();
    if func.name() == "as_json"
        && let [Some(from)] = kinds.as_slice()
        && let Some(zoned) = nested_in_zone(from, zone)
    {
        let value = cast(args.swap_remove(0), zoned);
        let shown = Expr::ScalarFunction(ScalarFunction::new_udf(func, vec![value]));
        return Ok(Transformed::yes(shown));
    }
    let same = |args: Vec<Expr>| {
        Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction::new_udf(
            func.clone(),
            args,
        ))))
    };
    match (func.name(), kinds.as_slice()) {
        ("to_timestamp", [Some(from)]) if is_text(from) || is_local(from) => {
            let arg = args.swap_remove(0);
            match to_instant(arg.clone(), from, &timestamp(), zone, false)? {
                Some(instant) => Ok(Transformed::yes(cast(instant, finest([from])))),
                None => same(vec![arg]),
            }
        }
        ("to_timestamp", [Some(from), _, ..]) if is_text(from) && zone != "UTC" => {
            args.insert(0, lit(zone));
            Ok(Transformed::yes(call("instant_from_pattern", args)?))
        }
        ("make_timestamp", [_, _, ..]) if zone != "UTC" => {
            let made = Expr::ScalarFunction(ScalarFunction { func, args });
            let local = cast(
                made,
                DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
            );
            Ok(Transformed::yes(call(
                "instant_from_local",
                vec![local, lit(zone)],
            )?))
        }
        // DataFusion's has no zone, so that it would be taken for a local time.
        ("from_unixtime", [Some(seconds)]) if seconds.is_numeric() => {
            Ok(Transformed::yes(call("to_timestamp", args)?))
        }
        ("date_sub", [Some(_), Some(interval)]) if is_span(interval) => {
            Ok(Transformed::yes(call("date_subtract", args)?))
        }
        ("age", [_]) => {
            let now = now::function("now")
                .ok_or_else(|| into_datafusion(Error::internal("now() is missing")))?
                .call(vec![]);
            let today = call("date_trunc", vec![lit("day"), in_zone(now, &timestamp(), zone)])?;
            args.insert(0, today);
            Ok(Transformed::yes(call("age", args)?))
        }
        _ => same(args),
    }
}

/// An expression whose value depends on the zone.
pub(super) fn convert(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { expr, field }) => match casted(&expr, field.data_type(), schema, zone, false)? {
            Some(changed) => Ok(Transformed::yes(changed)),
            None => Ok(Transformed::no(Expr::Cast(Cast { expr, field }))),
        },
        Expr::TryCast(TryCast { expr, field }) => match casted(&expr, field.data_type(), schema, zone, true)?
        {
            Some(changed) => Ok(Transformed::yes(changed)),
            None => Ok(Transformed::no(Expr::TryCast(TryCast { expr, field }))),
        },
        Expr::ScalarFunction(found) => function(found, schema, zone),
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus) =>
        {
            match shifted(&left, op, &right, schema, zone)? {
                Some(changed) => Ok(Transformed::yes(changed)),
                None => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        Expr::BinaryExpr(BinaryExpr {
            mut left,
            op: Operator::StringConcat,
            mut right,
        }) => {
            let changed = as_texts([left.as_mut(), right.as_mut()].into_iter(), schema, zone);
            let expr = Expr::BinaryExpr(BinaryExpr::new(left, Operator::StringConcat, right));
            Ok(match changed {
                true => Transformed::yes(expr),
                false => Transformed::no(expr),
            })
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Instants that are put into a text, as the clock of the zone shows them. Says whether there are any.
fn as_texts<'e>(exprs: impl Iterator<Item = &'e mut Expr>, schema: &DFSchema, zone: &str) -> bool {
    let mut changed = false;
    for expr in exprs {
        if let Some(of) = kind(expr, schema)
            && is_instant(&of)
            && !is_of(&of, zone)
        {
            *expr = cast(in_zone(std::mem::take(expr), &of, zone), DataType::Utf8);
            changed = true;
        }
    }
    changed
}

fn casted(
    expr: &Expr,
    target: &DataType,
    schema: &DFSchema,
    zone: &str,
    attempt: bool,
) -> Result<Option<Expr>> {
    let Some(from) = kind(expr, schema) else {
        return Ok(None);
    };
    let again = |expr: Expr| match attempt {
        true => try_cast(expr, target.clone()),
        false => cast(expr, target.clone()),
    };
    units::known(&from, target).map_err(into_datafusion)?;
    if is_instant(target) && (is_text(&from) || is_local(&from)) {
        let exact = |expr: Expr, of: &DataType| match of == target {
            true => expr,
            false => again(expr),
        };
        // In UTC texts are read as the type of the cast says.
        if zone == "UTC" && matches!(target, DataType::Timestamp(_, Some(own)) if own.as_ref() == "UTC") {
            return Ok(None);
        }
        let instant = to_instant(expr.clone(), &from, target, zone, attempt)?;
        return Ok(instant.map(|instant| {
            let of = kind(&instant, schema).unwrap_or_else(|| finest([target]));
            exact(instant, &of)
        }));
    }
    let shown = matches!(
        target,
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_)
    ) || is_text(target)
        || is_local(target);
    if shown && is_instant(&from) && !is_of(&from, zone) {
        return Ok(Some(again(in_zone(expr.clone(), &from, zone))));
    }
    if is_text(target)
        && let Some(zoned) = nested_in_zone(&from, zone)
    {
        return Ok(Some(again(cast(expr.clone(), zoned))));
    }
    Ok(None)
}

/// A type with others in it whose instants are shown in a zone. None if it has no others, or they are so already.
fn nested_in_zone(kind: &DataType, zone: &str) -> Option<DataType> {
    let within = |field: &FieldRef| -> Option<FieldRef> {
        let kind = match field.data_type() {
            DataType::Timestamp(unit, Some(own)) if own.as_ref() != zone => {
                DataType::Timestamp(*unit, Some(zone.into()))
            }
            other => nested_in_zone(other, zone)?,
        };
        Some(Arc::new(field.as_ref().clone().with_data_type(kind)))
    };
    match kind {
        DataType::List(item) => within(item).map(DataType::List),
        DataType::LargeList(item) => within(item).map(DataType::LargeList),
        DataType::FixedSizeList(item, length) => {
            within(item).map(|item| DataType::FixedSizeList(item, *length))
        }
        DataType::Map(entries, sorted) => within(entries).map(|entries| DataType::Map(entries, *sorted)),
        DataType::Struct(fields) => {
            let zoned: Vec<_> = fields.iter().map(|field| (within(field), field)).collect();
            let changed = zoned.iter().any(|(zoned, _)| zoned.is_some());
            let fields = zoned
                .into_iter()
                .map(|(zoned, field)| zoned.unwrap_or_else(|| Arc::clone(field)));
            changed.then(|| DataType::Struct(fields.collect()))
        }
        _ => None,
    }
}

/// Whether an instant's type names the zone.
fn is_of(kind: &DataType, zone: &str) -> bool {
    matches!(kind, DataType::Timestamp(_, Some(own)) if own.as_ref() == zone)
}

fn function(found: ScalarFunction, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    let name = found.func.name().to_owned();
    if matches!(name.as_str(), "concat" | "concat_ws") {
        let ScalarFunction { func, mut args } = found;
        let changed = as_texts(args.iter_mut(), schema, zone);
        let expr = Expr::ScalarFunction(ScalarFunction { func, args });
        return Ok(match changed {
            true => Transformed::yes(expr),
            false => Transformed::no(expr),
        });
    }
    let Some((_, places)) = OVER_TIMES.iter().find(|(known, _)| *known == name) else {
        return Ok(Transformed::no(Expr::ScalarFunction(found)));
    };
    let before = kind(&Expr::ScalarFunction(found.clone()), schema);
    let ScalarFunction { func, mut args } = found;
    let any_instant = args
        .iter()
        .any(|arg| kind(arg, schema).is_some_and(|kind| is_instant(&kind)));
    let mut changed = false;
    for place in *places {
        let Some(arg) = args.get_mut(*place) else {
            continue;
        };
        let Some(mut of) = kind(arg, schema) else {
            continue;
        };
        // A bucket's third argument may be a zone, and a part's name is a text as well. A text is JSON as it is.
        let text = is_text(&of)
            && !(name == "time_bucket" && *place == 2)
            && !matches!(name.as_str(), "as_json" | "to_char" | "to_date");
        // A series of dates alone has dates.
        let series = matches!(name.as_str(), "generate_series" | "range");
        let local = is_local(&of)
            && (GIVE_INSTANTS.contains(&name.as_str()) && !matches!(of, DataType::Timestamp(_, None))
                || series && any_instant);
        if text && !series || local {
            let taken = std::mem::take(arg);
            if let Some(instant) = to_instant(taken.clone(), &of, &timestamp(), zone, false)? {
                of = kind(&instant, schema).unwrap_or_else(timestamp);
                *arg = instant;
                changed = true;
            } else {
                *arg = taken;
            }
        }
        if is_instant(&of) && !is_of(&of, zone) {
            *arg = in_zone(std::mem::take(arg), &of, zone);
            changed = true;
        }
    }
    let expr = Expr::ScalarFunction(ScalarFunction { func, args });
    if !changed {
        return Ok(Transformed::no(expr));
    }
    // Where the result is an instant, it is of the type that it was without the zone.
    let after = kind(&expr, schema);
    Ok(Transformed::yes(match (before, after) {
        (Some(before), Some(after)) if before != after && !is_local(&before) => cast(expr, before),
        (_, Some(after)) if is_instant(&after) && !is_of(&after, "UTC") => cast(expr, finest([&after])),
        _ => expr,
    }))
}

/// A time and an interval.
fn shifted(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema, zone: &str) -> Result<Option<Expr>> {
    let (Some(of_left), Some(of_right)) = (kind(left, schema), kind(right, schema)) else {
        return Ok(None);
    };
    let (time, of_time, span, of_span) = if is_span(&of_right) {
        (left, of_left, right, of_right)
    } else if is_span(&of_left) && op == Operator::Plus {
        (right, of_right, left, of_left)
    } else {
        return Ok(None);
    };
    let days_count = is_interval(&of_span) && !has_fixed_length(span);
    if is_instant(&of_time) && days_count && !(is_of(&of_time, zone) && zone == "UTC") {
        let name = match op {
            Operator::Plus => "date_add",
            _ => "date_subtract",
        };
        let moved = call(name, vec![in_zone(time.clone(), &of_time, zone), span.clone()])?;
        return Ok(Some(match is_of(&of_time, zone) {
            true => moved,
            false => cast(moved, of_time),
        }));
    }
    Ok(None)
}

/// Whether an interval is written out and has no part of a day: a date and it make a date.
pub(super) fn has_whole_days(span: &Expr, schema: &DFSchema) -> bool {
    matches!(
        span,
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) if value.nanoseconds == 0
    ) || matches!(span, Expr::Literal(ScalarValue::IntervalYearMonth(_), _))
        || is_multiple_of_days(span, schema)
}

/// Whether it is an interval of whole days times a whole number.
fn is_multiple_of_days(span: &Expr, schema: &DFSchema) -> bool {
    let Expr::ScalarFunction(call) = span else {
        return false;
    };
    let [interval, number] = call.args.as_slice() else {
        return false;
    };
    let is_whole = kind(number, schema).is_some_and(|kind| kind.is_integer());
    call.name() == "interval_multiply" && is_whole && has_whole_days(interval, schema)
}

/// Whether an interval is written out and has neither months nor days: it is as long in every zone.
fn has_fixed_length(span: &Expr) -> bool {
    matches!(
        span,
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) if value.months == 0 && value.days == 0
    )
}
