//! The types of columns of unions whose branches give different numbers.
//!
//! DataFusion gives a union the types of its first branch until types are coerced, and then unites two types at a time:
//! what stands above such a union would be planned for other types than it gets, and a DECIMAL that meets a DOUBLE in a
//! union of unions would cut its digits. Here a union has the types that hold the numbers of all its branches as soon as
//! it is planned; a decimal beside a float is a DOUBLE.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Union, cast};

use super::nested::is_nested;
use super::types::double;
use super::within::beside;

/// The union with branches of the same numbers.
pub fn with_united_numbers(union: Union) -> Result<Transformed<LogicalPlan>> {
    let width = union.schema.fields().len();
    let inputs = &union.inputs;
    if inputs.iter().any(|input| input.schema().fields().len() != width) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let mut targets: Vec<Option<DataType>> = Vec::with_capacity(width);
    let mut stale = false;
    for index in 0..width {
        let kinds = inputs.iter().map(|input| input.schema().field(index).data_type());
        let target = common(&kinds.collect::<Vec<_>>());
        let differs = |kind: &DataType| target.as_ref().is_some_and(|target| target != kind);
        // Also where what is below has changed.
        stale |= differs(union.schema.field(index).data_type());
        stale |= inputs
            .iter()
            .any(|input| differs(input.schema().field(index).data_type()));
        targets.push(target);
    }
    if !stale {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union
        .inputs
        .into_iter()
        .map(|input| with_types(input, &targets))
        .collect::<Result<Vec<_>>>()?;
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

/// The type that holds numbers of all types, or lists and structures of them. None where they are something else.
fn common(kinds: &[&DataType]) -> Option<DataType> {
    let known = || kinds.iter().copied().filter(|kind| !kind.is_null());
    let first = known().next()?;
    if !known().all(DataType::is_numeric) && !known().all(is_nested) {
        return None;
    }
    let as_floats = |kind: &DataType| known().fold(kind.clone(), |kind, other| beside(&kind, other));
    known().try_fold(as_floats(first), |united, kind| {
        type_union_coercion(&united, &as_floats(kind))
    })
}

fn with_types(input: Arc<LogicalPlan>, targets: &[Option<DataType>]) -> Result<Arc<LogicalPlan>> {
    let mut changed = false;
    let mut exprs = Vec::with_capacity(targets.len());
    for (index, target) in targets.iter().enumerate() {
        let (qualifier, field) = input.schema().qualified_field(index);
        let column = Expr::Column(Column::from((qualifier, field)));
        exprs.push(match target {
            Some(target) if target != field.data_type() => {
                changed = true;
                let converted = match field.data_type().is_decimal() && target.is_floating() {
                    true => double(column),
                    false => cast(column, target.clone()),
                };
                converted.alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        });
    }
    if !changed {
        return Ok(input);
    }
    let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(input))
        .project(exprs)?
        .build()?;
    Ok(Arc::new(plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_branches_decide() {
        let of = |kinds: &[DataType]| common(&kinds.iter().collect::<Vec<_>>());
        let decimal = DataType::Decimal128(2, 1);
        assert_eq!(
            of(&[DataType::Int64, decimal.clone(), DataType::Float64]),
            Some(DataType::Float64)
        );
        assert_eq!(of(&[DataType::Null, DataType::Int64]), Some(DataType::Int64));
        assert_eq!(of(&[DataType::Int64, decimal]), Some(DataType::Decimal128(21, 1)));
        assert_eq!(of(&[DataType::Int64, DataType::Utf8]), None);
        assert_eq!(of(&[DataType::Date32, DataType::Null]), None);
        let list = |kind| DataType::new_list(kind, true);
        assert_eq!(
            of(&[
                list(DataType::Int64),
                list(DataType::Decimal128(2, 1)),
                list(DataType::Float64)
            ]),
            Some(list(DataType::Float64))
        );
    }
}
