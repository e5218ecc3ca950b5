//! Times as we promise them: TIMESTAMP stays µs of UTC beside DATE, and the session's time zone is the
//! one in which texts become instants and instants become dates.
//!
//! DataFusion takes a TIMESTAMP beside a DATE for nanoseconds without a zone, and reads texts in the
//! zone of the type they become. Types do not carry the session's zone here, so that it is put in
//! where it matters: conversions, comparisons and the functions that cut days.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Union, cast,
};
use std::sync::Arc;

use super::types::timestamp;

/// Functions whose result depends on where days begin; the argument that is an instant may be any.
const ZONED_FUNCTIONS: [&str; 6] = [
    "date_bin",
    "date_part",
    "date_trunc",
    "datepart",
    "datetrunc",
    "to_char",
];

/// Puts conversions of times where they are missing. The plan is not yet typed.
pub(super) fn rewrite(plan: LogicalPlan, zone: &str) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let node = match node {
            LogicalPlan::Union(union) => align(union)?,
            other => Transformed::no(other),
        };
        node.transform_data(|node| expressions(node, zone))
    })
    .map(|transformed| transformed.data)
}

fn expressions(node: LogicalPlan, zone: &str) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&node.inputs());
    let names = NamePreserver::new(&node);
    let node = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = expr.transform_up(|expr| convert(expr, &schema, zone))?;
        Ok(if changed.transformed {
            changed.update_data(|expr| name.restore(expr))
        } else {
            changed
        })
    })?;
    if node.transformed {
        node.map_data(LogicalPlan::recompute_schema)
    } else {
        Ok(node)
    }
}

/// Branches of a union that give dates where others give instants.
fn align(union: Union) -> Result<Transformed<LogicalPlan>> {
    let width = union
        .inputs
        .first()
        .map_or(0, |input| input.schema().fields().len());
    let instants: Vec<Option<DataType>> = (0..width)
        .map(|index| {
            let types = || {
                union
                    .inputs
                    .iter()
                    .filter_map(move |input| input.schema().fields().get(index))
                    .map(|field| field.data_type())
            };
            let dates = types().any(|kind| *kind == DataType::Date32);
            types()
                .find(|kind| dates && matches!(kind, DataType::Timestamp(_, _)))
                .cloned()
        })
        .collect();
    if instants.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union
        .inputs
        .into_iter()
        .map(|input| aligned(input, &instants))
        .collect::<Result<Vec<_>>>()?;
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

fn aligned(input: Arc<LogicalPlan>, instants: &[Option<DataType>]) -> Result<Arc<LogicalPlan>> {
    let exprs: Vec<Expr> = instants
        .iter()
        .enumerate()
        .map(|(index, instant)| {
            let (qualifier, field) = input.schema().qualified_field(index);
            let column = Expr::Column(Column::from((qualifier, field)));
            match instant {
                Some(instant) if *field.data_type() == DataType::Date32 => {
                    cast(column, instant.clone()).alias_qualified(qualifier.cloned(), field.name())
                }
                Some(_) | None => column,
            }
        })
        .collect();
    let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(input))
        .project(exprs)?
        .build()?;
    Ok(Arc::new(plan))
}

fn convert(expr: Expr, schema: &DFSchema, zone: &str) -> Result<Transformed<Expr>> {
    let kind = |expr: &Expr| expr.get_type(schema).ok();
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let (of_left, of_right) = (kind(&left), kind(&right));
            let (left, right) = (*left, *right);
            let (left, right, changed) = match (of_left, of_right) {
                (Some(of_left), Some(of_right)) if is_instant(&of_left) => {
                    let right = to_instant(right, &of_right, zone);
                    (left, right.data, right.transformed)
                }
                (Some(of_left), Some(of_right)) if is_instant(&of_right) => {
                    let left = to_instant(left, &of_left, zone);
                    (left.data, right, left.transformed)
                }
                _ => (left, right, false),
            };
            let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
            Ok(if changed {
                Transformed::yes(expr)
            } else {
                Transformed::no(expr)
            })
        }
        Expr::Between(between) if kind(&between.expr).is_some_and(|of| is_instant(&of)) => {
            let beside = |expr: Box<Expr>| match kind(&expr) {
                Some(of) => Box::new(to_instant(*expr, &of, zone).data),
                None => expr,
            };
            Ok(Transformed::yes(Expr::Between(Between {
                low: beside(between.low),
                high: beside(between.high),
                ..between
            })))
        }
        Expr::InList(list) if kind(&list.expr).is_some_and(|of| is_instant(&of)) => {
            let beside = |expr: Expr| match kind(&expr) {
                Some(of) => to_instant(expr, &of, zone).data,
                None => expr,
            };
            Ok(Transformed::yes(Expr::InList(InList {
                list: list.list.into_iter().map(beside).collect(),
                ..list
            })))
        }
        Expr::Cast(found) if zone != "UTC" => {
            let Some(from) = kind(&found.expr) else {
                return Ok(Transformed::no(Expr::Cast(found)));
            };
            let target = found.field.data_type().clone();
            if is_instant(&target) && !is_instant(&from) {
                let instant = to_instant(*found.expr, &from, zone);
                return Ok(match instant.transformed {
                    true => instant,
                    // A number has no zone, and a parameter has no type yet.
                    false => Transformed::no(cast(instant.data, target)),
                });
            }
            let shown = matches!(target, DataType::Date32 | DataType::Utf8 | DataType::Utf8View);
            if shown && is_instant(&from) {
                let inner = cast(*found.expr, zoned(zone));
                return Ok(Transformed::yes(cast(inner, target)));
            }
            Ok(Transformed::no(Expr::Cast(found)))
        }
        Expr::ScalarFunction(mut function)
            if zone != "UTC" && ZONED_FUNCTIONS.contains(&function.func.name()) =>
        {
            let mut changed = false;
            for arg in &mut function.args {
                if kind(arg).is_some_and(|of| is_instant(&of)) {
                    *arg = cast(std::mem::take(arg), zoned(zone));
                    changed = true;
                }
            }
            let cuts = matches!(function.func.name(), "date_trunc" | "datetrunc" | "date_bin");
            let expr = Expr::ScalarFunction(function);
            Ok(match (changed, cuts) {
                (true, true) => Transformed::yes(cast(expr, timestamp())),
                (true, false) => Transformed::yes(expr),
                (false, _) => Transformed::no(expr),
            })
        }
        other => Ok(Transformed::no(other)),
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

fn is_instant(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC")
}

fn zoned(zone: &str) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
}

/// A date or a text as an instant: in the session's zone.
fn to_instant(expr: Expr, from: &DataType, zone: &str) -> Transformed<Expr> {
    match from {
        DataType::Date32 if zone == "UTC" => Transformed::yes(cast(expr, timestamp())),
        // Without a zone at first: what has none is then taken to be local.
        DataType::Date32 => {
            let local = cast(expr, DataType::Timestamp(TimeUnit::Microsecond, None));
            Transformed::yes(cast(cast(local, zoned(zone)), timestamp()))
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 if zone == "UTC" => {
            Transformed::yes(cast(expr, timestamp()))
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            Transformed::yes(cast(cast(expr, zoned(zone)), timestamp()))
        }
        _ => Transformed::no(expr),
    }
}
