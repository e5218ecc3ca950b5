//! CASE as a key of a window: it is computed below the window, as a column.
//!
//! DataFusion does not find an input sorted by a CASE over some functions, even right above its own sort, and refuses
//! the plan (`SanityCheckPlan` of DataFusion 55; no issue is known upstream).

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Window};
use datafusion::optimizer::AnalyzerRule;

#[derive(Debug)]
pub(super) struct CaseKeys;

impl AnalyzerRule for CaseKeys {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(window) => with_columns(window),
            other => Ok(Transformed::no(other)),
        })
        .map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "case_keys"
    }
}

fn with_columns(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut keys: Vec<Expr> = Vec::new();
    let mut calls = Vec::with_capacity(window.window_expr.len());
    for call in &window.window_expr {
        let name = call.schema_name().to_string();
        let changed = call.clone().transform_down(|expr| {
            let Expr::WindowFunction(mut function) = expr else {
                return Ok(Transformed::no(expr));
            };
            let params = &mut function.params;
            let sorts = params.order_by.iter_mut().map(|sort| &mut sort.expr);
            let mut any = false;
            for key in params.partition_by.iter_mut().chain(sorts) {
                if !key.exists(|inner| Ok(matches!(inner, Expr::Case(_))))? {
                    continue;
                }
                any = true;
                let known = keys.iter().position(|known| known == key);
                let place = known.unwrap_or_else(|| {
                    keys.push(key.clone());
                    keys.len() - 1
                });
                *key = Expr::Column(column(place));
            }
            Ok(Transformed::new(
                Expr::WindowFunction(function),
                any,
                TreeNodeRecursion::Jump,
            ))
        })?;
        calls.push(match changed.transformed {
            true => changed.data.unalias().alias(name),
            false => changed.data,
        });
    }
    if keys.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let own = window.input.schema().columns().into_iter().map(Expr::Column);
    let made = keys
        .into_iter()
        .enumerate()
        .map(|(place, key)| key.alias(column(place).name));
    let input = LogicalPlanBuilder::from(window.input.as_ref().clone())
        .project(own.chain(made))?
        .build()?;
    let below = LogicalPlan::Window(Window::try_new(calls, Arc::new(input))?);
    let plan = LogicalPlanBuilder::from(below)
        .project(window.schema.columns().into_iter().map(Expr::Column))?
        .build()?;
    Ok(Transformed::yes(plan))
}

fn column(place: usize) -> Column {
    Column::new_unqualified(format!("__window_key_{place}"))
}
