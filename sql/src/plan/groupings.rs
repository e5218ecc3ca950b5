//! Expressions within ROLLUP, CUBE and GROUPING SETS become columns of the input.
//!
//! Columns above are found by the names of these expressions. A rule that changes one gives it its name back by an
//! alias, and an alias of grouping sets is one of all of them: `ROLLUP (at + INTERVAL '1 day')` was not found.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};

/// Rewrites a plan as DataFusion's planner made it.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => over_columns(aggregate),
        other => Ok(Transformed::no(other)),
    })
    .map(|rewritten| rewritten.data)
}

fn over_columns(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let schema = aggregate.input.schema();
    // A cast has the name of what is cast, which may be a column.
    let taken: Vec<String> = schema.columns().iter().map(Column::flat_name).collect();
    let mut computed: Vec<Expr> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for key in &aggregate.group_expr {
        let Expr::GroupingSet(sets) = key else { continue };
        for expr in sets.distinct_expr() {
            let name = expr.schema_name().to_string();
            let free = !taken.contains(&name) && !schema.has_column_with_unqualified_name(&name);
            if free && !matches!(expr, Expr::Column(_)) && !names.contains(&name) {
                computed.push(expr.clone());
                names.push(name);
            }
        }
    }
    if computed.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let columns = schema.columns().into_iter().map(Expr::Column);
    let made = computed
        .iter()
        .zip(&names)
        .map(|(expr, name)| expr.clone().alias(name));
    let exprs: Vec<Expr> = columns.chain(made).collect();
    let input = LogicalPlanBuilder::from(aggregate.input.as_ref().clone())
        .project(exprs)?
        .build()?;
    let replace = |expr: Expr| {
        expr.transform_down(|expr| {
            Ok(match computed.iter().position(|known| *known == expr) {
                Some(place) => Transformed::yes(Expr::Column(Column::new_unqualified(&names[place]))),
                None => Transformed::no(expr),
            })
        })
        .map(|replaced| replaced.data)
    };
    let keys = aggregate
        .group_expr
        .into_iter()
        .map(replace)
        .collect::<Result<_>>()?;
    let aggregates = aggregate
        .aggr_expr
        .into_iter()
        .map(replace)
        .collect::<Result<_>>()?;
    let aggregate = Aggregate::try_new(Arc::new(input), keys, aggregates)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}
