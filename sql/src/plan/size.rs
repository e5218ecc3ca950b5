//! How large a plan is as the rules see it: what several readers share is walked once per reader.
//!
//! A common table expression or a view that is read twice is in the plan once, in memory, and every pass over the plan visits
//! it twice. One that reads the one before twice doubles that, so the nodes are counted before anything walks the plan.
//!
//! Columns are alike: the optimizer moves conditions and sort keys below the projections that compute their columns, and
//! puts the expression in the place of each column. A column that is computed of the one before twice doubles the condition.

use std::collections::HashMap;

use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use watershed_core::error::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use crate::dialect::with_room;

/// Nodes of one plan, each counted once per reader.
pub(super) const PLAN_LIMIT: usize = 10_000;
/// Nodes of all views that one statement expands.
pub(super) const VIEWS_LIMIT: usize = 10 * PLAN_LIMIT;
/// Columns that one condition or sort key reads when those that are computed have been expanded, beside its own.
const COLUMNS_LIMIT: usize = 20_000;

/// The number of a plan's nodes, or an error if it is above the limit.
pub(super) fn check(plan: &LogicalPlan) -> DataFusionResult<usize> {
    let size = Sizes::default().of(plan)?;
    match size > PLAN_LIMIT {
        true => Err(into_datafusion(too_large())),
        false => Ok(size),
    }
}

pub(super) fn too_large() -> Error {
    Error::new(
        SqlState::StatementTooComplex,
        format!("the statement has more than {PLAN_LIMIT} steps once its common table expressions and views are expanded"),
    )
    .with_detail("One that is read twice counts twice, with all that it reads.")
    .with_hint("Write an intermediate result to a table with CREATE TEMPORARY TABLE … AS, and read that.")
}

fn too_computed() -> Error {
    Error::new(
        SqlState::StatementTooComplex,
        format!("a condition or sort key reads more than {COLUMNS_LIMIT} columns once computed columns are expanded"),
    )
    .with_detail("A column that is computed of another one twice counts twice, with all that it is computed of.")
    .with_hint("Write an intermediate result to a table with CREATE TEMPORARY TABLE … AS, and read that.")
}

/// The sizes of the nodes and columns that were met, by the nodes' addresses: the plan that is counted holds all of them.
#[derive(Default)]
struct Sizes {
    nodes: HashMap<*const LogicalPlan, usize>,
    columns: HashMap<(*const LogicalPlan, usize), usize>,
}

impl Sizes {
    fn of(&mut self, plan: &LogicalPlan) -> DataFusionResult<usize> {
        let mut size = 1_usize;
        for input in plan.inputs() {
            size = size.saturating_add(self.shared(input)?);
        }
        // The node around a subquery's plan is made for this call: its address says nothing.
        plan.apply_subqueries(|subquery| {
            size = size.saturating_add(self.of(subquery)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        if matches!(
            plan,
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Join(_)
        ) {
            let inputs = plan.inputs();
            plan.apply_expressions(|expr| {
                // Those that stand in the condition itself are no more than its text has.
                let reads = self.reads(expr, &inputs, |reads| reads - 1)?;
                match reads > COLUMNS_LIMIT {
                    true => Err(into_datafusion(too_computed())),
                    false => Ok(TreeNodeRecursion::Continue),
                }
            })?;
        }
        Ok(size)
    }

    fn shared(&mut self, plan: &LogicalPlan) -> DataFusionResult<usize> {
        let address = std::ptr::from_ref(plan);
        if let Some(size) = self.nodes.get(&address) {
            return Ok(*size);
        }
        let size = with_room(|| self.of(plan))?;
        self.nodes.insert(address, size);
        Ok(size)
    }

    /// How many columns an expression reads when its own are expanded. What its subqueries read is theirs.
    fn reads(
        &mut self,
        expr: &Expr,
        inputs: &[&LogicalPlan],
        counted: impl Fn(usize) -> usize,
    ) -> DataFusionResult<usize> {
        let mut sum = 0_usize;
        expr.apply(|expr| {
            if let Expr::Column(column) = expr {
                let place = |input: &LogicalPlan| input.schema().maybe_index_of_column(column);
                let found = inputs.iter().find_map(|input| Some((*input, place(input)?)));
                let reads = found.map_or(Ok(1), |(input, index)| self.column(input, index))?;
                sum = sum.saturating_add(counted(reads));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(sum)
    }

    /// How many columns a column of a node is computed of, at least one.
    fn column(&mut self, plan: &LogicalPlan, index: usize) -> DataFusionResult<usize> {
        let key = (std::ptr::from_ref(plan), index);
        if let Some(size) = self.columns.get(&key) {
            return Ok(*size);
        }
        let size = with_room(|| self.computed(plan, index))?;
        self.columns.insert(key, size);
        Ok(size)
    }

    /// The same, as far as conditions move through the node.
    fn computed(&mut self, plan: &LogicalPlan, index: usize) -> DataFusionResult<usize> {
        let inputs = plan.inputs();
        let expr = match plan {
            LogicalPlan::Projection(projection) => projection.expr.get(index),
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.get(index),
            _ => None,
        };
        if let Some(expr) = expr {
            return Ok(self.reads(expr, &inputs, |reads| reads)?.max(1));
        }
        match (plan, inputs.as_slice()) {
            (LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_), _) => Ok(1),
            (LogicalPlan::Union(_), inputs) => {
                let mut largest = 1;
                for input in inputs {
                    largest = largest.max(self.column(input, index)?);
                }
                Ok(largest)
            }
            // The columns of an input come first, in its order, and those of a second one behind them.
            (_, [first, rest @ ..]) => {
                let width = first.schema().fields().len();
                match rest {
                    _ if index < width => self.column(first, index),
                    [second] if index - width < second.schema().fields().len() => {
                        self.column(second, index - width)
                    }
                    _ => Ok(1),
                }
            }
            (_, []) => Ok(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::LogicalPlanBuilder;

    use super::*;

    #[test]
    fn what_is_read_twice_counts_twice() {
        let mut plan = LogicalPlanBuilder::empty(true).build().unwrap();
        for level in 1..100_u32 {
            plan = LogicalPlanBuilder::from(plan.clone())
                .cross_join(
                    LogicalPlanBuilder::from(plan)
                        .alias(format!("a{level}"))
                        .unwrap()
                        .build()
                        .unwrap(),
                )
                .unwrap()
                .build()
                .unwrap();
            let counted = Sizes::default().of(&plan).unwrap();
            // A join and an alias beside twice what is below.
            let expected = 3_usize.saturating_mul(2_usize.saturating_pow(level)) - 2;
            if level < 60 {
                assert_eq!(counted, expected);
            } else {
                assert!(counted > PLAN_LIMIT);
            }
            assert_eq!(check(&plan).is_err(), counted > PLAN_LIMIT);
        }
    }

    #[test]
    fn columns_that_are_read_twice_count_twice() {
        use datafusion::logical_expr::{col, lit};
        let mut plan = LogicalPlanBuilder::empty(true)
            .project(vec![lit(1).alias("x")])
            .unwrap()
            .build()
            .unwrap();
        for level in 1..100_u32 {
            plan = LogicalPlanBuilder::from(plan)
                .project(vec![(col("x") + col("x")).alias("x")])
                .unwrap()
                .build()
                .unwrap();
            assert!(check(&plan).is_ok(), "what is no condition does not grow");
            let condition = LogicalPlanBuilder::from(plan.clone())
                .filter(col("x").eq(lit(1)))
                .unwrap()
                .build()
                .unwrap();
            let reads = 2_usize.saturating_pow(level);
            assert_eq!(check(&condition).is_err(), reads - 1 > COLUMNS_LIMIT, "{level}");
        }
    }
}
