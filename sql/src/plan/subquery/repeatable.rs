//! Whether columns of a plan have the same values each time that it is evaluated.
//!
//! The values of a domain are computed once more than the rows that they are joined to. Where the two could
//! differ, rows would lose what belongs to them.

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use watershed_core::error::Error;
use watershed_storage::error::into_datafusion;
use watershed_storage::guard::Guard;

/// Aggregates whose result depends on the order of rows.
const ORDERED: [&str; 7] = [
    "any_value",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "first_value",
    "last_value",
    "string_agg",
];

/// Refuses columns that may differ from one evaluation to the next.
pub(super) fn check(plan: &LogicalPlan, columns: &[Column]) -> Result<()> {
    if is_repeatable(plan, columns)? {
        return Ok(());
    }
    Err(into_datafusion(
        Error::unsupported("this subquery reads columns that depend on the order of rows or on chance")
            .with_detail(
                "They come from LIMIT, DISTINCT ON, a window function, a sum of floating-point numbers or a \
                 function such as random().",
            )
            .with_hint("Store the outer query's rows in a table first, or write a join."),
    ))
}

fn is_repeatable(plan: &LogicalPlan, columns: &[Column]) -> Result<bool> {
    let refs = |exprs: &[Expr]| -> Option<Vec<Column>> {
        let volatile = exprs.iter().any(Expr::is_volatile);
        let read = exprs
            .iter()
            .flat_map(|expr| expr.column_refs().into_iter().cloned());
        (!volatile).then(|| read.collect())
    };
    let below = |input: &LogicalPlan, exprs: &[Expr], columns: &[Column]| -> Result<bool> {
        match refs(exprs) {
            Some(read) => is_repeatable(input, &[columns.to_vec(), read].concat()),
            None => Ok(false),
        }
    };
    // The expressions that the columns are, by their places in the plan's schema.
    let chosen = |exprs: &[Expr]| -> Result<Vec<Expr>> {
        let places = columns
            .iter()
            .map(|column| plan.schema().index_of_column(column))
            .collect::<Result<Vec<_>>>()?;
        Ok(places
            .into_iter()
            .filter_map(|place| exprs.get(place).cloned())
            .collect())
    };
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(true),
        LogicalPlan::Projection(found) => below(&found.input, &chosen(&found.expr)?, &[]),
        LogicalPlan::SubqueryAlias(found) => {
            let all: Vec<Expr> = found
                .input
                .schema()
                .columns()
                .into_iter()
                .map(Expr::Column)
                .collect();
            below(&found.input, &chosen(&all)?, &[])
        }
        LogicalPlan::Filter(found) => below(&found.input, std::slice::from_ref(&found.predicate), columns),
        LogicalPlan::Extension(found) if Guard::is(plan) => match found.node.inputs().as_slice() {
            [input] => is_repeatable(input, columns),
            _ => Ok(false),
        },
        LogicalPlan::Sort(found) if found.fetch.is_none() => is_repeatable(&found.input, columns),
        LogicalPlan::Distinct(Distinct::All(input)) => is_repeatable(input, &input.schema().columns()),
        LogicalPlan::Unnest(found) => is_repeatable(&found.input, &found.input.schema().columns()),
        LogicalPlan::Union(found) => {
            let places = columns
                .iter()
                .map(|column| plan.schema().index_of_column(column))
                .collect::<Result<Vec<_>>>()?;
            for input in &found.inputs {
                let all = input.schema().columns();
                let own: Vec<Column> = places
                    .iter()
                    .filter_map(|place| all.get(*place).cloned())
                    .collect();
                if !is_repeatable(input, &own)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        LogicalPlan::Join(found) => {
            let keys = found.on.iter().flat_map(|(l, r)| [l.clone(), r.clone()]);
            let conditions: Vec<Expr> = keys.chain(found.filter.clone()).collect();
            let Some(read) = refs(&conditions) else {
                return Ok(false);
            };
            let all = [columns.to_vec(), read].concat();
            let of = |side: &LogicalPlan| -> Vec<Column> {
                let known = |column: &&Column| side.schema().has_column(column);
                all.iter().filter(known).cloned().collect()
            };
            Ok(is_repeatable(&found.left, &of(&found.left))?
                && is_repeatable(&found.right, &of(&found.right))?)
        }
        LogicalPlan::Aggregate(found) => {
            let places = columns
                .iter()
                .map(|column| plan.schema().index_of_column(column))
                .collect::<Result<Vec<_>>>()?;
            let groups = found.schema.fields().len().saturating_sub(found.aggr_expr.len());
            for place in places.iter().filter(|place| **place >= groups) {
                let exact = !found.schema.field(*place).data_type().is_floating();
                let ordered = match found
                    .aggr_expr
                    .get(place - groups)
                    .map(|expr| expr.clone().unalias())
                {
                    Some(Expr::AggregateFunction(function)) => ORDERED.contains(&function.func.name()),
                    _ => true,
                };
                let of_floats = is_extreme(found.aggr_expr.get(place - groups));
                if ordered || (!exact && !of_floats) {
                    return Ok(false);
                }
            }
            let all = [found.group_expr.clone(), found.aggr_expr.clone()].concat();
            below(&found.input, &all, &[])
        }
        LogicalPlan::Window(found) => {
            let passed = found.input.schema();
            let own = columns.iter().all(|column| passed.has_column(column));
            Ok(own && is_repeatable(&found.input, columns)?)
        }
        _ => Ok(false),
    }
}

/// The least and the greatest number do not depend on the order.
fn is_extreme(expr: Option<&Expr>) -> bool {
    match expr.map(|expr| expr.clone().unalias()) {
        Some(Expr::AggregateFunction(function)) => matches!(function.func.name(), "min" | "max"),
        _ => false,
    }
}
