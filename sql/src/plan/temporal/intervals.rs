//! Intervals compared by value, a month having 30 days and a day 24 hours, and multiplied by numbers.

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{
    Between, Case, InList, InSubquery, ScalarFunction, SetComparison, Sort,
};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, Subquery, cast, when};
use datafusion::scalar::ScalarValue;

use super::kinds::{call, is_interval, is_span, is_text, kind};
use super::operands::{compares, replace_subquery};

pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// What intervals are compared by.
pub(super) fn key(expr: Expr) -> Result<Expr> {
    call("interval_key", vec![expr])
}

/// A value that sorts as an interval does, and holds it.
pub(super) fn code(expr: Expr) -> Result<Expr> {
    call("interval_code", vec![expr])
}

pub(super) fn of_code(expr: Expr) -> Result<Expr> {
    call("interval_of_code", vec![expr])
}

/// Whether operands are compared as intervals.
fn by_value(kinds: &[Option<DataType>]) -> bool {
    let known = || kinds.iter().flatten();
    let fits = |kind: &DataType| is_span(kind) || is_text(kind) || kind.is_null();
    let first = known().find(|kind| is_span(kind));
    known().all(fits)
        && kinds.iter().all(Option::is_some)
        && first.is_some_and(|first| is_interval(first) || known().any(|kind| kind != first))
}

fn keys(exprs: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    let kinds: Vec<_> = exprs.iter().map(|expr| kind(expr, schema)).collect();
    if !by_value(&kinds) {
        return Ok(false);
    }
    for (expr, of) in exprs.iter_mut().zip(kinds) {
        let taken = std::mem::take(&mut **expr);
        let span = match of {
            Some(of) if is_span(&of) => taken,
            _ => cast(taken, INTERVAL),
        };
        **expr = key(span)?;
    }
    Ok(true)
}

/// An expression that compares, sorts or scales intervals.
pub(super) fn convert(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (expr, changed) = match expr {
        Expr::BinaryExpr(BinaryExpr {
            mut left,
            op,
            mut right,
        }) if compares(op) => {
            let changed = keys(&mut [&mut left, &mut right], schema)?;
            (Expr::BinaryExpr(BinaryExpr::new(left, op, right)), changed)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Multiply | Operator::Divide) =>
        {
            match scaled(&left, op, &right, schema)? {
                Some(scaled) => (scaled, true),
                None => (Expr::BinaryExpr(BinaryExpr { left, op, right }), false),
            }
        }
        Expr::Between(Between {
            mut expr,
            negated,
            mut low,
            mut high,
        }) => {
            let changed = keys(&mut [&mut expr, &mut low, &mut high], schema)?;
            (Expr::Between(Between::new(expr, negated, low, high)), changed)
        }
        Expr::InList(InList {
            mut expr,
            mut list,
            negated,
        }) => {
            let mut operands = vec![expr.as_mut()];
            operands.extend(list.iter_mut());
            let changed = keys(&mut operands, schema)?;
            (Expr::InList(InList::new(expr, list, negated)), changed)
        }
        Expr::InSubquery(InSubquery {
            mut expr,
            mut subquery,
            negated,
        }) => {
            let changed = with_subquery(&mut expr, &mut subquery, schema)?;
            (
                Expr::InSubquery(InSubquery::new(expr, subquery, negated)),
                changed,
            )
        }
        Expr::SetComparison(mut found) => {
            let SetComparison { expr, subquery, .. } = &mut found;
            let changed = with_subquery(expr, subquery, schema)?;
            (Expr::SetComparison(found), changed)
        }
        Expr::Case(Case {
            expr: Some(mut operand),
            mut when_then_expr,
            else_expr,
        }) => {
            let mut operands = vec![operand.as_mut()];
            operands.extend(when_then_expr.iter_mut().map(|(when, _)| when.as_mut()));
            let changed = keys(&mut operands, schema)?;
            let case = Case::new(Some(operand), when_then_expr, else_expr);
            (Expr::Case(case), changed)
        }
        Expr::ScalarFunction(ScalarFunction { func, args })
            if matches!(func.name(), "greatest" | "least" | "nullif") =>
        {
            called(ScalarFunction { func, args }, schema)?
        }
        other => (other, false),
    };
    Ok(match changed {
        true => Transformed::yes(expr),
        false => Transformed::no(expr),
    })
}

fn called(found: ScalarFunction, schema: &DFSchema) -> Result<(Expr, bool)> {
    let kinds: Vec<_> = found.args.iter().map(|arg| kind(arg, schema)).collect();
    if !by_value(&kinds) {
        return Ok((Expr::ScalarFunction(found), false));
    }
    let ScalarFunction { func, args } = found;
    if func.name() == "nullif" {
        let [first, second] = args.as_slice() else {
            return Ok((Expr::ScalarFunction(ScalarFunction { func, args }), false));
        };
        let null = Expr::Literal(ScalarValue::try_from(&INTERVAL)?, None);
        let equal = key(cast(first.clone(), INTERVAL))?.eq(key(cast(second.clone(), INTERVAL))?);
        let expr = when(equal, null).otherwise(cast(first.clone(), INTERVAL))?;
        return Ok((expr, true));
    }
    let args = args
        .into_iter()
        .map(|arg| code(cast(arg, INTERVAL)))
        .collect::<Result<Vec<_>>>()?;
    let best = Expr::ScalarFunction(ScalarFunction { func, args });
    Ok((of_code(best)?, true))
}

fn with_subquery(expr: &mut Expr, subquery: &mut Subquery, schema: &DFSchema) -> Result<bool> {
    let (qualifier, field) = subquery.subquery.schema().qualified_field(0);
    let (qualifier, name, of) = (
        qualifier.cloned(),
        field.name().clone(),
        field.data_type().clone(),
    );
    if !by_value(&[kind(expr, schema), Some(of)]) {
        return Ok(false);
    }
    *expr = key(cast(std::mem::take(expr), INTERVAL))?;
    let column = Expr::Column(Column::new(qualifier.clone(), name.clone()));
    replace_subquery(
        subquery,
        key(cast(column, INTERVAL))?.alias_qualified(qualifier, name),
    )?;
    Ok(true)
}

/// An interval and a number.
pub(super) fn scaled(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let (Some(of_left), Some(of_right)) = (kind(left, schema), kind(right, schema)) else {
        return Ok(None);
    };
    let (span, of_span, number, of_number) = match op {
        Operator::Multiply if is_span(&of_right) => (right, of_right, left, of_left),
        _ => (left, of_left, right, of_right),
    };
    if !is_span(&of_span) || !(of_number.is_numeric() || of_number.is_null()) {
        return Ok(None);
    }
    let name = match op {
        Operator::Multiply => "interval_multiply",
        _ => "interval_divide",
    };
    Ok(Some(call(name, vec![span.clone(), number.clone()])?))
}

/// Sorts by value where the key is an interval.
pub(super) fn sort(found: Sort, schema: &DFSchema) -> Result<(Sort, bool)> {
    if !kind(&found.expr, schema).is_some_and(|kind| is_interval(&kind)) {
        return Ok((found, false));
    }
    Ok((Sort::new(key(found.expr)?, found.asc, found.nulls_first), true))
}
