//! Keys of sorts and windows that are computed: `ORDER BY length(s) > 3`.
//!
//! Whether rows are sorted by an expression, DataFusion 55 finds out by interval arithmetic over the expression, which
//! fails for comparisons of most functions and of quotients. Then no input is known to be sorted, and the plan is refused
//! (`get_expr_properties` in `datafusion-physical-expr`; no issue is known upstream). Here such keys become columns of a
//! projection below, and a sort by a column is always recognized.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Has to come late: other rules look into keys.
#[derive(Debug)]
pub(super) struct ComputedKeys;

impl OptimizerRule for ComputedKeys {
    fn name(&self) -> &str {
        "computed_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let (input, keys) = match &plan {
            LogicalPlan::Sort(sort) => (&sort.input, computed(sort.expr.iter().map(|key| &key.expr))),
            LogicalPlan::Window(window) => (&window.input, computed(keys_of(&window.window_expr).iter())),
            LogicalPlan::Aggregate(aggregate) => {
                (&aggregate.input, computed(keys_of(&aggregate.aggr_expr).iter()))
            }
            _ => return Ok(Transformed::no(plan)),
        };
        if keys.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let mut projected = columns.clone();
        let mut named = Vec::with_capacity(keys.len());
        let taken = |name: &str| input.schema().fields().iter().any(|field| field.name() == name);
        for (number, key) in (1_usize..)
            .map(|number| format!("key {number}"))
            .filter(|name| !taken(name))
            .zip(keys)
        {
            projected.push(key.clone().alias(&number));
            named.push((key, Column::from_name(number)));
        }
        let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(Arc::clone(input)))
            .project(projected)?
            .build()?;
        with_columns(plan, input, &named, columns).map(Transformed::yes)
    }
}

/// The node over another input, with columns in the place of its computed keys.
fn with_columns(
    plan: LogicalPlan,
    input: LogicalPlan,
    named: &[(Expr, Column)],
    columns: Vec<Expr>,
) -> Result<LogicalPlan> {
    let names = NamePreserver::new(&plan);
    let by_column = |expr: Expr| {
        let found = named.iter().find(|(key, _)| *key == expr);
        Ok(match found {
            Some((_, column)) => Transformed::yes(Expr::Column(column.clone())),
            None => Transformed::no(expr),
        })
    };
    let replaced = |expr: Expr| {
        let name = names.save(&expr);
        expr.transform_down(by_column)
            .map(|changed| match changed.transformed {
                true => name.restore(changed.data),
                false => changed.data,
            })
    };
    match plan {
        LogicalPlan::Sort(sort) => {
            let keys = sort.expr.into_iter().map(|key| {
                let expr = key.expr.transform_down(by_column)?.data;
                Ok(SortExpr { expr, ..key })
            });
            LogicalPlanBuilder::from(input)
                .sort_with_limit(keys.collect::<Result<Vec<_>>>()?, sort.fetch)?
                .project(columns)?
                .build()
        }
        LogicalPlan::Window(window) => {
            let exprs: Vec<Expr> = window
                .window_expr
                .into_iter()
                .map(replaced)
                .collect::<Result<_>>()?;
            let results = exprs
                .iter()
                .map(|expr| Expr::Column(Column::from_name(expr.schema_name().to_string())));
            let shown: Vec<Expr> = columns.into_iter().chain(results.collect::<Vec<_>>()).collect();
            LogicalPlanBuilder::from(input)
                .window(exprs)?
                .project(shown)?
                .build()
        }
        LogicalPlan::Aggregate(aggregate) => {
            let exprs: Vec<Expr> = aggregate
                .aggr_expr
                .into_iter()
                .map(replaced)
                .collect::<Result<_>>()?;
            LogicalPlanBuilder::from(input)
                .aggregate(aggregate.group_expr, exprs)?
                .build()
        }
        other => Ok(other),
    }
}

/// The keys of windows and of ordered aggregates.
fn keys_of(exprs: &[Expr]) -> Vec<Expr> {
    let mut keys = Vec::new();
    let sorted = |by: &[SortExpr]| by.iter().map(|key| key.expr.clone()).collect::<Vec<_>>();
    for expr in exprs {
        match without_alias(expr) {
            Expr::WindowFunction(window) => {
                keys.extend(sorted(&window.params.order_by));
                keys.extend(window.params.partition_by.iter().cloned());
            }
            Expr::AggregateFunction(call) => keys.extend(sorted(&call.params.order_by)),
            _ => {}
        }
    }
    keys
}

fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

/// Those that are neither columns nor constants, each once.
fn computed<'e>(keys: impl Iterator<Item = &'e Expr>) -> Vec<Expr> {
    let mut found: Vec<Expr> = Vec::new();
    for key in keys.map(without_alias) {
        if !matches!(key, Expr::Column(_) | Expr::Literal(..)) && !found.contains(key) {
            found.push(key.clone());
        }
    }
    found
}
