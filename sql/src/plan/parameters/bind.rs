//! Values in the places of parameters.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ParamValues, internal_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::scalar::ScalarValue;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;
use watershed_storage::functions;

use super::number;
use crate::plan::{show, units};

/// Gives every place of a parameter the one type that was found for it.
pub(super) fn give(plan: LogicalPlan, types: &[Option<DataType>]) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let names = datafusion::logical_expr::expr_rewriter::NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|expr| match expr {
                Expr::Placeholder(mut placeholder) => {
                    let found = number(&placeholder.id)
                        .checked_sub(1)
                        .and_then(|index| types.get(index))
                        .and_then(Option::as_ref);
                    let Some(data_type) = found else {
                        return Ok(Transformed::no(Expr::Placeholder(placeholder)));
                    };
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
pub(in crate::plan) fn values(
    types: &[Option<DataType>],
    params: &[ScalarValue],
    zone: &str,
) -> Result<Vec<ScalarValue>> {
    params
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let Some(data_type) = types.get(index).and_then(Option::as_ref) else {
                return Ok(value.clone());
            };
            if value.data_type() == *data_type {
                return Ok(value.clone());
            }
            if !value.is_null() {
                units::known(&value.data_type(), data_type)?;
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
                    format!(
                        "the value of parameter ${} is no {}",
                        index + 1,
                        show::type_name(data_type)
                    ),
                )
                .with_detail(error.message())
            })
        })
        .collect()
}

fn cast(value: &ScalarValue, to: &DataType, zone: &str) -> datafusion::common::Result<ScalarValue> {
    use DataType::{Date32, Timestamp, Utf8};
    let zoned = Timestamp(TimeUnit::Microsecond, Some(zone.into()));
    match (value.data_type(), to) {
        // Arrow refuses times that the clock of a zone skips or shows twice.
        (Date32 | Timestamp(_, None), Timestamp(_, Some(_))) if !value.is_null() => {
            instant("instant_from_local", value, zone)?.cast_to(to)
        }
        (Utf8, Timestamp(_, Some(_))) if !value.is_null() && zone != "UTC" => {
            instant("instant_from_text", value, zone)?.cast_to(to)
        }
        (Utf8, Timestamp(_, Some(_))) | (Timestamp(_, Some(_)), Date32) => value.cast_to(&zoned)?.cast_to(to),
        _ => value.cast_to(to),
    }
}

/// What a function of ours makes of a value in a zone.
fn instant(function: &str, value: &ScalarValue, zone: &str) -> datafusion::common::Result<ScalarValue> {
    let call = functions::named(function)?.call(vec![lit(value.clone()), lit(zone)]);
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().build());
    match simplifier.simplify(call)? {
        Expr::Literal(value, _) => Ok(value),
        other => internal_err!("{other} has no value"),
    }
}

/// The plan with values for its parameters.
pub(in crate::plan) fn replace(plan: LogicalPlan, values: &[ScalarValue]) -> Result<LogicalPlan> {
    let values = ParamValues::from(values.to_vec());
    plan.replace_params_with_values(&values).map_err(from_datafusion)
}
