//! Branches of UNION ALL that have no rows by their plan, such as `WHERE false`. The names of a union are those of its first
//! branch: DataFusion's rule leaves the branches that remain with theirs, so that columns above are not found.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection, Union};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The rules, with that of empty relations kept from unions.
pub(super) fn guarded(rules: Vec<Rule>) -> Vec<Rule> {
    let guard = |rule: Rule| match rule.name() {
        "propagate_empty_relation" => Arc::new(Guarded(rule)) as Rule,
        _ => rule,
    };
    rules.into_iter().map(guard).collect()
}

#[derive(Debug)]
struct Guarded(Rule);

impl OptimizerRule for Guarded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Union(union) => without_empty(union),
            other => self.0.rewrite(other, config),
        }
    }
}

fn without_empty(union: Union) -> Result<Transformed<LogicalPlan>> {
    let is_empty = |input: &Arc<LogicalPlan>| matches!(&**input, LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row);
    if !union.inputs.iter().any(is_empty) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let schema = union.schema;
    let mut inputs: Vec<_> = union
        .inputs
        .into_iter()
        .filter(|input| !is_empty(input))
        .collect();
    if inputs.is_empty() {
        return Ok(Transformed::yes(LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema,
        })));
    }
    let first = Arc::clone(&inputs[0]);
    let columns = schema.iter().enumerate().map(|(place, (qualifier, field))| {
        let column = Expr::Column(Column::from(first.schema().qualified_field(place)));
        column.alias_qualified(qualifier.cloned(), field.name())
    });
    let columns = columns.collect();
    let first = LogicalPlan::Projection(Projection::try_new_with_schema(
        columns,
        first,
        Arc::clone(&schema),
    )?);
    if inputs.len() == 1 {
        return Ok(Transformed::yes(first));
    }
    inputs[0] = Arc::new(first);
    Ok(Transformed::yes(LogicalPlan::Union(Union { inputs, schema })))
}
