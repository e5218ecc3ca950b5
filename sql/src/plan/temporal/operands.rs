//! Where dates, texts and times without a zone meet instants: they become instants of the session's zone.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Between, Case, InList, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, Operator, Projection, Subquery, Values, cast, lit,
};
use watershed_storage::functions::is_over_elements;
use watershed_storage::numbers::with_united_results;

use super::kinds::{call, finest, is_instant, is_local, is_text, is_text_literal, kind, to_instant};
use super::unions;

/// Functions whose arguments have one type.
const OF_ONE_TYPE: [&str; 6] = [
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "make_array",
    "make_list",
];

pub(super) fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

/// How operands meet.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Meeting {
    /// They are compared: a text is read as what is beside it.
    Compared,
    /// They are values of one column: only a text that stands there as it is is read, as in PostgreSQL.
    OneColumn,
}

/// Brings operands together. Says whether anything changed.
fn meet(exprs: &mut [&mut Expr], schema: &DFSchema, zone: &str, meeting: Meeting) -> Result<bool> {
    let kinds: Vec<Option<DataType>> = exprs.iter().map(|expr| kind(expr, schema)).collect();
    meet_as(exprs, &kinds, zone, meeting)
}

/// The same for operands of these types.
fn meet_as(
    exprs: &mut [&mut Expr],
    kinds: &[Option<DataType>],
    zone: &str,
    meeting: Meeting,
) -> Result<bool> {
    let Some(targets) = targets(kinds, meeting) else {
        return Ok(false);
    };
    let mut changed = false;
    for (expr, from) in exprs.iter_mut().zip(kinds) {
        let Some(from) = from else { continue };
        let reads = meeting == Meeting::Compared || is_text_literal(expr);
        let taken = std::mem::take(&mut **expr);
        let (converted, done) = targets.convert(taken, from, zone, reads)?;
        **expr = converted;
        changed |= done;
    }
    Ok(changed)
}

/// What operands become.
pub(super) enum Target {
    /// Instants of about this type; of exactly this type where they are values of one column.
    Instants(DataType, bool),
    /// Times without a zone, of this unit.
    Locals(TimeUnit),
}

pub(super) fn targets(kinds: &[Option<DataType>], meeting: Meeting) -> Option<Target> {
    let known = || kinds.iter().flatten();
    if let Some(first) = known().find(|kind| is_instant(kind)) {
        let differ = known().any(|kind| is_local(kind) || is_instant(kind) && kind != first);
        let exact = meeting == Meeting::OneColumn && differ;
        return Some(Target::Instants(finest(known()), exact));
    }
    let dates = known().any(|kind| matches!(kind, DataType::Date32 | DataType::Date64));
    // DataFusion would make nanoseconds of both, for which most years are out of range.
    let times = known().any(|kind| matches!(kind, DataType::Timestamp(_, None)));
    (dates && times).then(|| match finest(known()) {
        DataType::Timestamp(unit, _) => Target::Locals(unit),
        _ => Target::Locals(TimeUnit::Microsecond),
    })
}

impl Target {
    pub(super) fn convert(
        &self,
        expr: Expr,
        from: &DataType,
        zone: &str,
        reads: bool,
    ) -> Result<(Expr, bool)> {
        match self {
            Self::Instants(target, exact) => {
                let (expr, kind, changed) = match from {
                    from if is_text(from) && !reads => (expr, None, false),
                    from if is_instant(from) => (expr, Some(from.clone()), false),
                    from => match to_instant(expr.clone(), from, target, zone, false)? {
                        Some(expr) => (expr, None, true),
                        None => return Ok((expr, false)),
                    },
                };
                let other = kind.is_none_or(|kind| kind != *target);
                Ok(match *exact && other && (reads || !is_text(from)) {
                    true => (cast(expr, target.clone()), true),
                    false => (expr, changed),
                })
            }
            Self::Locals(unit) => {
                let target = DataType::Timestamp(*unit, None);
                Ok(match is_local(from) && *from != target {
                    true => (cast(expr, target), true),
                    false => (expr, false),
                })
            }
        }
    }
}

/// An expression whose operands meet.
pub(super) fn convert(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    let (expr, changed) = match expr {
        Expr::BinaryExpr(BinaryExpr {
            mut left,
            op,
            mut right,
        }) => {
            let is =
                |expr: &Expr, test: fn(&DataType) -> bool| kind(expr, schema).is_some_and(|kind| test(&kind));
            let subtracts = op == Operator::Minus
                && (is(&left, is_instant) && is(&right, is_local)
                    || is(&left, is_local) && is(&right, is_instant));
            let changed = (compares(op) || subtracts)
                && meet(&mut [&mut left, &mut right], schema, zone, Meeting::Compared)?;
            (Expr::BinaryExpr(BinaryExpr::new(left, op, right)), changed)
        }
        Expr::Between(Between {
            mut expr,
            negated,
            mut low,
            mut high,
        }) => {
            let changed = meet(
                &mut [&mut expr, &mut low, &mut high],
                schema,
                zone,
                Meeting::Compared,
            )?;
            (Expr::Between(Between::new(expr, negated, low, high)), changed)
        }
        Expr::InList(InList {
            mut expr,
            mut list,
            negated,
        }) => {
            let mut operands = vec![expr.as_mut()];
            operands.extend(list.iter_mut());
            let changed = meet(&mut operands, schema, zone, Meeting::Compared)?;
            (Expr::InList(InList::new(expr, list, negated)), changed)
        }
        Expr::InSubquery(InSubquery {
            mut expr,
            mut subquery,
            negated,
        }) => {
            let changed = with_subquery(&mut expr, &mut subquery, schema, zone)?;
            (
                Expr::InSubquery(InSubquery::new(expr, subquery, negated)),
                changed,
            )
        }
        Expr::SetComparison(mut found) => {
            let SetComparison { expr, subquery, .. } = &mut found;
            let changed = with_subquery(expr, subquery, schema, zone)?;
            (Expr::SetComparison(found), changed)
        }
        Expr::Case(Case {
            mut expr,
            mut when_then_expr,
            mut else_expr,
        }) => {
            let mut changed = false;
            if let Some(operand) = &mut expr {
                let mut operands = vec![operand.as_mut()];
                operands.extend(when_then_expr.iter_mut().map(|(when, _)| when.as_mut()));
                changed |= meet(&mut operands, schema, zone, Meeting::Compared)?;
            }
            let mut results: Vec<&mut Expr> =
                when_then_expr.iter_mut().map(|(_, then)| then.as_mut()).collect();
            results.extend(else_expr.iter_mut().map(|expr| expr.as_mut()));
            changed |= meet(&mut results, schema, zone, Meeting::OneColumn)?;
            let case = with_united_results(Case::new(expr, when_then_expr, else_expr), schema);
            (case.data, changed | case.transformed)
        }
        Expr::ScalarFunction(ScalarFunction { func, mut args }) if OF_ONE_TYPE.contains(&func.name()) => {
            let mut operands: Vec<&mut Expr> = args.iter_mut().collect();
            let changed = meet(&mut operands, schema, zone, Meeting::OneColumn)?;
            (Expr::ScalarFunction(ScalarFunction { func, args }), changed)
        }
        Expr::ScalarFunction(ScalarFunction { func, mut args }) if is_over_elements(func.name()) => {
            let changed = elements(&mut args, schema, zone)?;
            (Expr::ScalarFunction(ScalarFunction { func, args }), changed)
        }
        Expr::WindowFunction(mut call) if ["lag", "lead"].contains(&call.fun.name()) => {
            // The values and what stands where there are none.
            let changed = match call.params.args.as_mut_slice() {
                [values, _, default] => meet(&mut [values, default], schema, zone, Meeting::OneColumn)?,
                _ => false,
            };
            (Expr::WindowFunction(call), changed)
        }
        other => (other, false),
    };
    Ok(match changed {
        true => Transformed::yes(expr),
        false => Transformed::no(expr),
    })
}

/// Values beside a list of times become times of its type.
fn elements(args: &mut [Expr], schema: &DFSchema, zone: &str) -> Result<bool> {
    let item = args.iter().find_map(|arg| match kind(arg, schema)? {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item.data_type().clone())
        }
        _ => None,
    });
    // Beside a list of dates, a timestamp is refused when the call is planned.
    let Some(item @ DataType::Timestamp(_, _)) = item else {
        return Ok(false);
    };
    let mut changed = false;
    for arg in args {
        let Some(of) = kind(arg, schema).filter(|of| *of != item) else {
            continue;
        };
        let converted = match is_instant(&item) {
            true if is_instant(&of) => Some(arg.clone()),
            false if is_instant(&of) => Some(call("timezone", vec![lit(zone), arg.clone()])?),
            true if is_local(&of) || is_text_literal(arg) => {
                to_instant(arg.clone(), &of, &item, zone, false)?
            }
            false if is_local(&of) => Some(arg.clone()),
            _ => None,
        };
        if let Some(converted) = converted {
            *arg = cast(converted, item.clone());
            changed = true;
        }
    }
    Ok(changed)
}

/// An expression that is compared with the one column of a subquery.
fn with_subquery(expr: &mut Expr, subquery: &mut Subquery, schema: &DFSchema, zone: &str) -> Result<bool> {
    let (qualifier, field) = subquery.subquery.schema().qualified_field(0);
    let (qualifier, name) = (qualifier.cloned(), field.name().clone());
    let mut column = Expr::Column(Column::new(qualifier.clone(), name.clone()));
    let kinds = [kind(expr, schema), Some(field.data_type().clone())];
    let Some(targets) = targets(&kinds, Meeting::Compared) else {
        return Ok(false);
    };
    let mut changed = false;
    if let [Some(of_expr), Some(of_column)] = &kinds {
        let (converted, done) = targets.convert(std::mem::take(expr), of_expr, zone, true)?;
        *expr = converted;
        changed |= done;
        let (converted, done) = targets.convert(std::mem::take(&mut column), of_column, zone, true)?;
        if done {
            let value = converted.alias_qualified(qualifier, name);
            replace_subquery(subquery, value)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Puts a projection to one value onto a subquery.
pub(super) fn replace_subquery(subquery: &mut Subquery, value: Expr) -> Result<()> {
    let input = Arc::clone(&subquery.subquery);
    subquery.subquery = Arc::new(LogicalPlan::Projection(Projection::try_new(vec![value], input)?));
    Ok(())
}

/// A node whose inputs or expressions meet in it.
pub(super) fn align(node: LogicalPlan, zone: &str) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Union(union) => unions::aligned(union, zone),
        LogicalPlan::Values(values) => self::values(values, zone),
        LogicalPlan::Join(mut join) => {
            let mut changed = false;
            for (left, right) in &mut join.on {
                // Both sides may have columns of one name.
                let kinds = [kind(left, join.left.schema()), kind(right, join.right.schema())];
                changed |= meet_as(&mut [left, right], &kinds, zone, Meeting::Compared)?;
            }
            let join = LogicalPlan::Join(join);
            Ok(match changed {
                true => Transformed::yes(join),
                false => Transformed::no(join),
            })
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Rows of which DataFusion has made one type already, by casts.
fn values(values: Values, zone: &str) -> Result<Transformed<LogicalPlan>> {
    let Values {
        schema,
        values: mut rows,
    } = values;
    let empty = DFSchema::empty();
    let mut fields: Vec<_> = schema.fields().iter().map(Arc::clone).collect();
    let mut changed = false;
    for (index, field) in fields.iter_mut().enumerate() {
        if *field.data_type() != DataType::Timestamp(TimeUnit::Nanosecond, None) {
            continue;
        }
        let mut column: Vec<Expr> = rows.iter().filter_map(|row| row.get(index)).map(uncast).collect();
        let kinds: Vec<_> = column.iter().map(|expr| kind(expr, &empty)).collect();
        if !kinds.iter().flatten().any(is_instant) {
            continue;
        }
        let mut operands: Vec<&mut Expr> = column.iter_mut().collect();
        meet(&mut operands, &empty, zone, Meeting::OneColumn)?;
        let target = finest(kinds.iter().flatten());
        for (row, expr) in rows.iter_mut().zip(column) {
            if let Some(value) = row.get_mut(index) {
                *value = match kind(&expr, &empty) {
                    Some(of) if of == target => expr,
                    _ => cast(expr, target.clone()),
                };
            }
        }
        *field = Arc::new(Field::new(field.name(), target, field.is_nullable()));
        changed = true;
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Values(Values {
            schema,
            values: rows,
        })));
    }
    let schema = DFSchema::from_unqualified_fields(fields.into_iter().collect(), schema.metadata().clone())?;
    Ok(Transformed::yes(LogicalPlan::Values(Values {
        schema: Arc::new(schema),
        values: rows,
    })))
}

fn uncast(expr: &Expr) -> Expr {
    match expr {
        Expr::Cast(found) if *found.field.data_type() == DataType::Timestamp(TimeUnit::Nanosecond, None) => {
            found.expr.as_ref().clone()
        }
        other => other.clone(),
    }
}
