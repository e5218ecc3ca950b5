//! Casts between times and numbers, which do not say their unit.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::{from_datafusion, into_datafusion};
use watershed_storage::layout::ColumnType;

/// Refuses a cast between times and numbers, of which it does not say the unit. A timestamp as a BIGINT is its
/// microseconds.
pub(super) fn known(from: &DataType, target: &DataType) -> Result<()> {
    let number = |kind: &DataType| kind.is_numeric() || *kind == DataType::Boolean;
    let micros = matches!(from, DataType::Timestamp(_, _)) && *target == DataType::Int64;
    if micros || !(number(from) && target.is_temporal() || from.is_temporal() && number(target)) {
        return Ok(());
    }
    let hint = match (from, target) {
        (_, DataType::Timestamp(_, _)) => {
            "Use to_timestamp(seconds), to_timestamp_millis(…) or make_timestamp(microseconds)."
        }
        (_, DataType::Date32 | DataType::Date64) => {
            "Add a number of days to a date, or use make_date(year, month, day)."
        }
        (DataType::Timestamp(_, _), _) => {
            "Use extract(epoch FROM x) for seconds, or CAST(x AS BIGINT) for microseconds."
        }
        (DataType::Date32 | DataType::Date64, _) => {
            "Use extract(epoch FROM x), or date_diff('day', DATE '1970-01-01', x)."
        }
        _ => "Use extract(epoch FROM x) for seconds, or multiply an interval by a number.",
    };
    let message = format!(
        "a value of type {} cannot be cast to {}, as it does not say its unit",
        name(from),
        name(target)
    );
    Err(Error::new(SqlState::CannotCoerce, message).with_hint(hint))
}

fn name(kind: &DataType) -> String {
    ColumnType::from_arrow(kind).map_or_else(|| kind.to_string(), |kind| kind.sql())
}

/// Refuses a typed plan in which a date meets a number: DataFusion casts one to the other, as days since 1970. What
/// a statement casts itself was refused before.
pub(super) fn apart(plan: &LogicalPlan) -> Result<()> {
    let is_date = |kind: &DataType| matches!(kind, DataType::Date32 | DataType::Date64);
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Cast(Cast { expr, field }) = expr {
                    let to = field.data_type();
                    if (is_date(to) || to.is_numeric())
                        && let Ok(from) = expr.get_type(&schema)
                        && (is_date(to) && from.is_numeric() || is_date(&from) && to.is_numeric())
                    {
                        return Err(into_datafusion(mixed(&from, to)));
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map(drop)
    .map_err(from_datafusion)
}

fn mixed(one: &DataType, other: &DataType) -> Error {
    Error::new(
        SqlState::DatatypeMismatch,
        format!(
            "values of the types {} and {} do not go together",
            name(one),
            name(other)
        ),
    )
    .with_hint("Write a date as DATE '2024-01-31', or add a number of days to one.")
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{IntervalUnit, TimeUnit};

    use super::*;

    #[test]
    fn only_microseconds_are_known() {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        let decimal = DataType::Decimal128(9, 2);
        assert!(known(&instant, &DataType::Int64).is_ok());
        assert!(known(&instant, &DataType::Date32).is_ok());
        assert!(known(&instant, &DataType::Utf8).is_ok());
        for time in [&instant, &interval, &DataType::Date32] {
            for number in [&DataType::Int32, &DataType::Float64, &decimal, &DataType::Boolean] {
                assert!(known(time, number).is_err(), "{time} to {number}");
                assert!(known(number, time).is_err(), "{number} to {time}");
            }
        }
    }
}
