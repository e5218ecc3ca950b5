//! The rule that makes two aggregates of one with DISTINCT, kept from changing types: it sums sums, and each sum of
//! decimals has ten more digits than what it adds up.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

const GUARDED: &str = "single_distinct_aggregation_to_group_by";

/// The rules, with that one guarded.
pub(super) fn guarded(rules: Vec<Rule>) -> Vec<Rule> {
    rules
        .into_iter()
        .map(|rule| match rule.name() == GUARDED {
            true => Arc::new(SameTypes(rule)) as Rule,
            false => rule,
        })
        .collect()
}

#[derive(Debug)]
struct SameTypes(Rule);

impl OptimizerRule for SameTypes {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let before = Arc::clone(plan.schema());
        let rewritten = self.0.rewrite(plan, config)?;
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
                    false => cast(column, field.data_type().clone())
                        .alias_qualified(qualifier.cloned(), field.name()),
                }
            })
            .collect();
        rewritten.map_data(|plan| LogicalPlanBuilder::from(plan).project(exprs)?.build())
    }
}

#[cfg(test)]
mod tests {
    use super::super::TEMPLATE;
    use super::*;

    #[test]
    fn the_rule_is_there() {
        let rules = TEMPLATE.optimizers();
        assert!(rules.iter().any(|rule| rule.name() == GUARDED));
    }
}
