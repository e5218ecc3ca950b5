//! Branches of UNION ALL that have no rows by their plan, such as `WHERE false`. The names of a union are those of its first
//! branch: DataFusion's rule leaves the branches that remain with theirs, so that columns above are not found.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Projection, Union};
use datafusion::optimizer::OptimizerConfig;

use super::guards::{Guard, Rule};

pub(super) const GUARD: Guard = Guard {
    rules: &["propagate_empty_relation"],
    rewrite,
};

fn rewrite(rule: &Rule, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Union(union) => without_empty(union),
        other => rule.rewrite(other, config),
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
