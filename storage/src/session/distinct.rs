//! The rule that makes two aggregates of one with DISTINCT, kept from changing types: it sums sums, and each sum of
//! decimals has ten more digits than what it adds up.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::optimizer::OptimizerConfig;

use super::guards::{Guard, Rule};

pub(super) const GUARD: Guard = Guard {
    rules: &["single_distinct_aggregation_to_group_by"],
    rewrite,
};

fn rewrite(rule: &Rule, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    let before = Arc::clone(plan.schema());
    let rewritten = rule.rewrite(plan, config)?;
    let after = Arc::clone(rewritten.data.schema());
    let same = before
        .fields()
        .iter()
        .zip(after.fields())
        .all(|(before, after)| before.data_type() == after.data_type());
    if same || before.fields().len() != after.fields().len() {
        return Ok(rewritten);
    }
    let exprs: Vec<Expr> = before
        .iter()
        .enumerate()
        .map(|(index, (qualifier, field))| {
            let column = Expr::Column(Column::from(after.qualified_field(index)));
            match after.field(index).data_type() == field.data_type() {
                true => column,
                false => {
                    cast(column, field.data_type().clone()).alias_qualified(qualifier.cloned(), field.name())
                }
            }
        })
        .collect();
    rewritten.map_data(|plan| LogicalPlanBuilder::from(plan).project(exprs)?.build())
}
