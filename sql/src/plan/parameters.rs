//! Parameters: `$1` to `$n`, their types inferred, their values put in their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;

/// Each parameter's number and what its places say about its type.
type Found = BTreeMap<usize, Option<DataType>>;

fn find(plan: &LogicalPlan) -> Result<Found> {
    let mut found = Found::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(Placeholder { id, field }) = expr {
                    let told = field
                        .as_ref()
                        .map(|field| field.data_type().clone())
                        .filter(|told| *told != DataType::Null);
                    let known = found.entry(number(id)).or_default();
                    *known = match (known.take(), told) {
                        (Some(a), Some(b)) if a == b => Some(a),
                        (Some(a), Some(b)) => comparison_coercion(&a, &b).or(Some(a)),
                        (a, b) => a.or(b),
                    };
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(from_datafusion)?;
    Ok(found)
}

fn number(id: &str) -> usize {
    // The dialect lets nothing else through.
    id.trim_start_matches('$').parse().unwrap_or_default()
}

pub(super) fn any(plan: &LogicalPlan) -> Result<bool> {
    Ok(!find(plan)?.is_empty())
}

/// The types of `$1` to the last, in order.
pub(super) fn types(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>> {
    let found = find(plan)?;
    let last = found.keys().next_back().copied().unwrap_or_default();
    Ok((1..=last)
        .map(|number| found.get(&number).cloned().flatten())
        .collect())
}

/// The plan with a type for every parameter, typed itself by `analyze`. What nothing tells the type of
/// is a text, or a number where a text does not fit.
pub(super) fn guess(
    plan: LogicalPlan,
    analyze: impl Fn(LogicalPlan) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    let plan = infer(plan)?;
    let found = find(&plan)?;
    if found.values().all(Option::is_some) {
        return analyze(give(plan, &found, &DataType::Utf8)?);
    }
    let text = give(plan.clone(), &found, &DataType::Utf8).and_then(&analyze);
    text.or_else(|error| {
        give(plan, &found, &DataType::Float64)
            .and_then(&analyze)
            .map_err(|_| error)
    })
}

/// What DataFusion infers from the other side of operators, throughout the plan.
fn infer(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let schema = datafusion::logical_expr::utils::merge_schema(&node.inputs());
        let is_limit = matches!(node, LogicalPlan::Limit(_));
        node.map_expressions(|expr| {
            let (expr, _) = expr.infer_placeholder_types(&schema)?;
            // Casts and limits say what they take.
            expr.transform_up(|expr| {
                Ok(match expr {
                    Expr::Cast(mut cast) => {
                        let target = cast.field.data_type().clone();
                        if let Expr::Placeholder(placeholder) = cast.expr.as_mut() {
                            typed(placeholder, target);
                        }
                        Transformed::yes(Expr::Cast(cast))
                    }
                    Expr::Placeholder(mut placeholder) if is_limit => {
                        typed(&mut placeholder, DataType::Int64);
                        Transformed::yes(Expr::Placeholder(placeholder))
                    }
                    other => Transformed::no(other),
                })
            })
        })
    })
    .map(|transformed| transformed.data)
    .map_err(from_datafusion)
}

fn typed(placeholder: &mut Placeholder, data_type: DataType) {
    let unknown = placeholder
        .field
        .as_ref()
        .is_none_or(|field| field.data_type() == &DataType::Null);
    if unknown {
        placeholder.field = Some(Arc::new(Field::new(&placeholder.id, data_type, true)));
    }
}

/// Gives every place of a parameter the one type that was found for it.
fn give(plan: LogicalPlan, found: &Found, fallback: &DataType) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let names = datafusion::logical_expr::expr_rewriter::NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|expr| match expr {
                Expr::Placeholder(mut placeholder) => {
                    let data_type = found
                        .get(&number(&placeholder.id))
                        .and_then(Option::as_ref)
                        .unwrap_or(fallback);
                    placeholder.field = Some(Arc::new(Field::new(&placeholder.id, data_type.clone(), true)));
                    Ok(Transformed::yes(Expr::Placeholder(placeholder)))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(changed.update_data(|expr| name.restore(expr)))
        })?;
        if node.transformed {
            node.map_data(LogicalPlan::recompute_schema)
        } else {
            Ok(node)
        }
    })
    .map(|transformed| transformed.data)
    .map_err(from_datafusion)
}

/// Values of the parameters' types. Where texts become instants, and instants dates, they do so in `zone`.
pub(super) fn values(
    types: &[Option<DataType>],
    params: &[ScalarValue],
    zone: &str,
) -> Result<Vec<ScalarValue>> {
    types
        .iter()
        .zip(params)
        .enumerate()
        .map(|(index, (data_type, value))| {
            let Some(data_type) = data_type else {
                return Ok(value.clone());
            };
            if value.data_type() == *data_type {
                return Ok(value.clone());
            }
            cast(value, data_type, zone).map_err(|error| {
                let error = from_datafusion(error);
                let code = match error.code() {
                    code @ (SqlState::NumericValueOutOfRange
                    | SqlState::InvalidTextRepresentation
                    | SqlState::InvalidDatetimeFormat) => code,
                    _ => SqlState::InvalidTextRepresentation,
                };
                Error::new(
                    code,
                    format!("the value of parameter ${} is no {data_type}", index + 1),
                )
                .with_detail(error.message())
            })
        })
        .collect()
}

fn cast(value: &ScalarValue, to: &DataType, zone: &str) -> datafusion::common::Result<ScalarValue> {
    use DataType::{Date32, Timestamp, Utf8};
    let local = Timestamp(TimeUnit::Microsecond, None);
    let zoned = Timestamp(TimeUnit::Microsecond, Some(zone.into()));
    match (value.data_type(), to) {
        (Date32, Timestamp(_, Some(_))) => value.cast_to(&local)?.cast_to(&zoned)?.cast_to(to),
        (Utf8 | Timestamp(_, None), Timestamp(_, Some(_))) | (Timestamp(_, Some(_)), Date32) => {
            value.cast_to(&zoned)?.cast_to(to)
        }
        _ => value.cast_to(to),
    }
}

/// The plan with values for its parameters.
pub(super) fn replace(plan: LogicalPlan, values: &[ScalarValue]) -> Result<LogicalPlan> {
    let values = ParamValues::from(values.to_vec());
    plan.replace_params_with_values(&values).map_err(from_datafusion)
}
