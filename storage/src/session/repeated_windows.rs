//! Window expressions that stand in a plan twice. The planner leaves one of each, but others become alike later: where `x` is
//! never NULL, `sum(coalesce(x, 0)) OVER ()` is `sum(x) OVER ()`. DataFusion's elimination of common expressions takes such
//! a pair for an expression over rows and moves it into a projection, which has no plan.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Window};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::guards::Rule;

/// The rules, with repeated window expressions computed once before common expressions are sought.
pub(super) fn guarded(rules: Vec<Rule>) -> Vec<Rule> {
    let mut guarded = Vec::with_capacity(rules.len() + 1);
    for rule in rules {
        if rule.name() == "common_sub_expression_eliminate" {
            guarded.push(Arc::new(DistinctWindows) as Rule);
        }
        guarded.push(rule);
    }
    guarded
}

#[derive(Debug)]
struct DistinctWindows;

impl OptimizerRule for DistinctWindows {
    fn name(&self) -> &str {
        "distinct_windows"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Window(top) => distinct(top),
            other => Ok(Transformed::no(other)),
        }
    }
}

/// An expression, and the column that has its value.
type Known = (Expr, Column);

/// The windows that follow each other, each expression once, below a projection that repeats the values.
fn distinct(top: Window) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(&top.schema);
    let mut nodes = vec![&top];
    while let LogicalPlan::Window(below) = nodes[nodes.len() - 1].input.as_ref() {
        nodes.push(below);
    }
    let mut known: Vec<Known> = Vec::new();
    let mut repeated: Vec<(Column, Column)> = Vec::new();
    let mut unique: Vec<Vec<Expr>> = Vec::with_capacity(nodes.len());
    for node in nodes.iter().rev() {
        let width = node.input.schema().fields().len();
        let mut left = Vec::with_capacity(node.window_expr.len());
        for (index, expr) in node.window_expr.iter().enumerate() {
            let column = Column::from(node.schema.qualified_field(width + index));
            let computed = with_first(expr.clone(), &repeated)?;
            let value = computed.clone().unalias_nested().data;
            match known.iter().find(|(other, _)| *other == value) {
                Some((_, first)) if !value.is_volatile() => repeated.push((column, first.clone())),
                _ => {
                    known.push((value, column));
                    left.push(computed);
                }
            }
        }
        unique.push(left);
    }
    if repeated.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(top)));
    }
    let lowest = nodes[nodes.len() - 1];
    let mut plan = Arc::clone(&lowest.input);
    for exprs in unique.into_iter().filter(|exprs| !exprs.is_empty()) {
        plan = Arc::new(LogicalPlan::Window(Window::try_new(exprs, plan)?));
    }
    let columns = schema.columns().into_iter().map(|column| {
        match repeated.iter().find(|(repeats, _)| *repeats == column) {
            Some((_, first)) => Expr::Column(first.clone()).alias_qualified(column.relation, column.name),
            None => Expr::Column(column),
        }
    });
    let projection = Projection::try_new_with_schema(columns.collect(), plan, schema)?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// The expression with the first of the columns that have the same value.
fn with_first(expr: Expr, repeated: &[(Column, Column)]) -> Result<Expr> {
    expr.transform_up(|expr| {
        let first = match &expr {
            Expr::Column(column) => repeated.iter().find(|(repeats, _)| repeats == column),
            _ => None,
        };
        Ok(match first {
            Some((_, first)) => Transformed::yes(Expr::Column(first.clone())),
            None => Transformed::no(expr),
        })
    })
    .data()
}
