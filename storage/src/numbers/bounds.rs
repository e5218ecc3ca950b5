//! Conditions on columns of floats as statistics can be asked for them: beside `canonical_float(x) < 5`, which
//! decides, stands `x < 5`, which skips files, row groups and pages.
//!
//! Only what follows from the former is added. What is greater than a literal may be a NaN, which statistics
//! leave out, unless another condition bounds it from above.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, binary_expr, lit};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::floats::argument;

/// Adds the conditions to filters. Other rules push them to scans.
#[derive(Debug)]
pub(super) struct FloatBounds;

impl OptimizerRule for FloatBounds {
    fn name(&self) -> &str {
        "float_bounds"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(Transformed::no(plan));
        };
        let conditions = split_conjunction(&filter.predicate);
        let mut added: Vec<Expr> = Vec::new();
        for condition in &conditions {
            let Some(implied) = implied(condition, &conditions) else {
                continue;
            };
            let new = split_conjunction(&implied)
                .into_iter()
                .filter(|implied| !conditions.contains(implied) && !added.contains(implied))
                .cloned()
                .collect::<Vec<_>>();
            added.extend(new);
        }
        if added.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        let all = conditions.into_iter().cloned().chain(added);
        let predicate = conjunction(all).unwrap_or_else(|| filter.predicate.clone());
        let filter = Filter::try_new(predicate, filter.input)?;
        Ok(Transformed::yes(LogicalPlan::Filter(filter)))
    }
}

/// What follows from a condition on floats, without calls of the function; none of another condition.
fn implied(condition: &Expr, beside: &[&Expr]) -> Option<Expr> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => {
                let parts = [implied(left, beside), implied(right, beside)];
                conjunction(parts.into_iter().flatten())
            }
            Operator::Or => {
                let (of_left, of_right) = (implied(left, &[]), implied(right, &[]));
                if of_left.is_none() && of_right.is_none() {
                    return None;
                }
                let or_itself = |implied: Option<Expr>, expr: &Expr| match implied {
                    Some(implied) => Some(implied),
                    None => plain(expr).then(|| expr.clone()),
                };
                Some(binary_expr(
                    or_itself(of_left, left)?,
                    Operator::Or,
                    or_itself(of_right, right)?,
                ))
            }
            _ => {
                let (column, op, value) = comparison(condition)?;
                let column = Expr::Column(column.clone());
                match op {
                    Operator::Lt | Operator::LtEq => Some(binary_expr(column, op, lit(value.clone()))),
                    // Bloom filters know one zero only.
                    Operator::Eq if is_zero(value) => Some(conjunction([
                        binary_expr(column.clone(), Operator::LtEq, lit(value.clone())),
                        binary_expr(column, Operator::GtEq, lit(value.clone())),
                    ])?),
                    Operator::Eq => Some(binary_expr(column, op, lit(value.clone()))),
                    Operator::Gt | Operator::GtEq => {
                        let bounded = beside.iter().any(|other| bounds(other, &column));
                        bounded.then(|| binary_expr(column, op, lit(value.clone())))
                    }
                    _ => None,
                }
            }
        },
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) => {
            let Expr::Column(column) = argument(expr)? else {
                return None;
            };
            let simple =
                |item: &Expr| matches!(item, Expr::Literal(value, _) if is_number(value) && !is_zero(value));
            list.iter()
                .all(simple)
                .then(|| Expr::Column(column.clone()).in_list(list.clone(), false))
        }
        _ => None,
    }
}

/// `column op literal` of a column in its one form.
fn comparison(condition: &Expr) -> Option<(&Column, Operator, &ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else {
        return None;
    };
    let (call, op, literal) = match (left.as_ref(), right.as_ref()) {
        (call, Expr::Literal(literal, _)) => (call, *op, literal),
        (Expr::Literal(literal, _), call) => (call, op.swap()?, literal),
        _ => return None,
    };
    match argument(call)? {
        Expr::Column(column) if is_number(literal) => Some((column, op, literal)),
        _ => None,
    }
}

/// Whether a condition is true of no NaN in the column.
fn bounds(condition: &Expr, column: &Expr) -> bool {
    comparison(condition).is_some_and(|(bounded, op, _)| {
        matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq)
            && matches!(column, Expr::Column(column) if column == bounded)
    })
}

fn is_number(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float64(Some(value)) => !value.is_nan(),
        ScalarValue::Float32(Some(value)) => !value.is_nan(),
        _ => false,
    }
}

fn is_zero(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float64(Some(value)) => *value == 0.0,
        ScalarValue::Float32(Some(value)) => *value == 0.0,
        _ => false,
    }
}

/// Whether no part of it is a float in its one form.
fn plain(expr: &Expr) -> bool {
    // Only a traversal that fails gives an error, and this one does not.
    !expr.exists(|expr| Ok(argument(expr).is_some())).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::col;

    use arrow::datatypes::DataType;

    use super::super::floats::canonical;
    use super::*;

    #[track_caller]
    fn check(condition: Expr, expected: Option<&str>) {
        let conditions = split_conjunction(&condition);
        let found: Vec<_> = conditions
            .iter()
            .filter_map(|one| implied(one, &conditions))
            .map(|implied| implied.to_string())
            .collect();
        let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        let found = match found.is_empty() {
            true => Vec::new(),
            false => vec![found.join(" & ")],
        };
        assert_eq!(found, expected, "{condition}");
    }

    #[test]
    fn what_follows_is_added() {
        let x = || canonical(col("x"), &DataType::Float64);
        check(x().lt(lit(5.0)), Some("x < Float64(5)"));
        check(lit(5.0).gt_eq(x()), Some("x <= Float64(5)"));
        check(x().eq(lit(0.0)), Some("x <= Float64(0) AND x >= Float64(0)"));
        check(
            x().gt(lit(1.0)).and(x().lt(lit(2.0))),
            Some("x > Float64(1) & x < Float64(2)"),
        );
        check(
            x().lt(lit(5.0)).or(col("y").eq(lit(1))),
            Some("x < Float64(5) OR y = Int32(1)"),
        );
        check(x().in_list(vec![lit(1.5)], false), Some("x IN ([Float64(1.5)])"));
    }

    #[test]
    fn what_may_be_nan_is_not() {
        let x = || canonical(col("x"), &DataType::Float64);
        check(x().gt(lit(5.0)), None);
        check(x().not_eq(lit(5.0)), None);
        check(x().lt_eq(lit(f64::NAN)), None);
        check(x().gt(lit(5.0)).or(x().lt(lit(1.0))), None);
        check(x().in_list(vec![lit(0.0)], false), None);
        check(x().in_list(vec![lit(1.5)], true), None);
    }
}
