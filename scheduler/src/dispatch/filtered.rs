//! Windows whose aggregates have a FILTER, planned without one.
//!
//! What a physical window filters by cannot be read off it, so it could not be sent to executors. An aggregate
//! that leaves out NULLs leaves out the same rows if its argument is NULL where the filter does not hold.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::logical_expr::expr::{Case, NullTreatment, WindowFunction};
use datafusion::logical_expr::{Expr, LogicalPlan, Window, WindowFunctionDefinition};
use watershed_core::Error;
use watershed_storage::error::into_datafusion;

/// Aggregates that leave out rows whose first argument is NULL.
const WITHOUT_NULLS: [&str; 37] = [
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "approx_percentile_cont_with_weight",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "covar",
    "max",
    "median",
    "min",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var",
    "var_pop",
    "var_samp",
];

/// The plan without filters of windows, as far as they can be told by NULLs.
pub(super) fn without_filters(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Window(window) if has_filter(window));
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !found {
        return Ok(plan);
    }
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Window(window) if has_filter(&window) => {
            let calls = window.window_expr.into_iter().map(without_filter);
            let window = Window::try_new(calls.collect::<Result<_>>()?, window.input)?;
            Ok(Transformed::yes(LogicalPlan::Window(window)))
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn has_filter(window: &Window) -> bool {
    window
        .window_expr
        .iter()
        .any(|call| function(call).is_some_and(|function| function.params.filter.is_some()))
}

fn function(call: &Expr) -> Option<&WindowFunction> {
    match call {
        Expr::WindowFunction(function) => Some(function),
        Expr::Alias(alias) => function(&alias.expr),
        _ => None,
    }
}

/// The call without its filter, under the name that it had.
fn without_filter(call: Expr) -> Result<Expr> {
    let Some(filtered) = function(&call).filter(|function| function.params.filter.is_some()) else {
        return Ok(call);
    };
    let mut plain = filtered.clone();
    let WindowFunctionDefinition::AggregateUDF(aggregate) = &plain.fun else {
        let message = format!("FILTER is not for {}, which is no aggregate", plain.fun.name());
        return Err(into_datafusion(
            Error::unsupported(message).with_hint("Put a CASE around its argument instead."),
        ));
    };
    let without_nulls = WITHOUT_NULLS.contains(&aggregate.name())
        || plain.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    let (true, Some(filter), Some(argument)) = (
        without_nulls,
        plain.params.filter.take(),
        plain.params.args.first_mut(),
    ) else {
        return Ok(call);
    };
    let value = std::mem::take(argument);
    *argument = Expr::Case(Case::new(None, vec![(filter, Box::new(value))], None));
    let name = match &call {
        Expr::Alias(alias) => alias.name.clone(),
        other => other.schema_name().to_string(),
    };
    Ok(Expr::WindowFunction(Box::new(plain)).alias(name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::prelude::SessionContext;

    use super::*;

    async fn planned(sql: &str) -> Result<LogicalPlan> {
        let context = SessionContext::new();
        let plan = context.sql(sql).await?.into_optimized_plan()?;
        let schema = Arc::clone(plan.schema());
        let plain = without_filters(plan)?;
        assert_eq!(plain.schema(), &schema, "{sql}");
        Ok(plain)
    }

    fn filters(plan: &LogicalPlan) -> usize {
        let mut filters = 0;
        plan.apply_with_subqueries(|node| {
            filters += usize::from(matches!(node, LogicalPlan::Window(window) if has_filter(window)));
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        filters
    }

    #[tokio::test]
    async fn filters_become_nulls_where_these_are_left_out() {
        let from = "FROM (VALUES (1, 2), (3, 4)) AS t (a, b)";
        for call in [
            "count(*)",
            "sum(a)",
            "count(DISTINCT a)",
            "string_agg(CAST(a AS STRING), ',')",
        ] {
            let sql = format!("SELECT {call} FILTER (WHERE b > 2) OVER (PARTITION BY a), b {from}");
            assert_eq!(filters(&planned(&sql).await.unwrap()), 0, "{sql}");
        }
        let sql = format!("SELECT array_agg(a) FILTER (WHERE b > 2) OVER () {from}");
        assert_eq!(filters(&planned(&sql).await.unwrap()), 1);
        let sql = format!("SELECT row_number() FILTER (WHERE b > 2) OVER () {from}");
        assert!(planned(&sql).await.is_err());
    }
}
