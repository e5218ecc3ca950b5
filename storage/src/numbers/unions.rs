//! Unions of floats and decimals: their columns become floats.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Union};

use super::types::double;

/// Branches of a union that give decimals where others give floats.
pub(super) fn aligned(union: Union) -> Result<Transformed<LogicalPlan>> {
    let width = union
        .inputs
        .first()
        .map_or(0, |input| input.schema().fields().len());
    let mixed: Vec<bool> = (0..width)
        .map(|index| {
            let any = |test: fn(&DataType) -> bool| {
                let fields = union
                    .inputs
                    .iter()
                    .filter_map(|input| input.schema().fields().get(index));
                fields.map(|field| field.data_type()).any(test)
            };
            any(DataType::is_floating) && any(DataType::is_decimal)
        })
        .collect();
    if !mixed.contains(&true) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union
        .inputs
        .into_iter()
        .map(|input| {
            let exprs: Vec<Expr> = mixed
                .iter()
                .enumerate()
                .map(|(index, mixed)| {
                    let (qualifier, field) = input.schema().qualified_field(index);
                    let column = Expr::Column(Column::from((qualifier, field)));
                    match *mixed && field.data_type().is_decimal() {
                        true => double(column).alias_qualified(qualifier.cloned(), field.name()),
                        false => column,
                    }
                })
                .collect();
            let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(input))
                .project(exprs)?
                .build()?;
            Ok(Arc::new(plan))
        })
        .collect::<Result<Vec<_>>>()?;
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}
