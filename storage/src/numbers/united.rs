//! The types of columns of unions, and of CASE, whose branches have different ones.
//!
//! DataFusion gives a union and CASE the type of the first branch until types are coerced, and unites two branches of a
//! union at a time: what stands above them would be planned for other types than it gets, and a DECIMAL that meets a
//! DOUBLE in a union of unions would cut its digits. Here they have the type that holds the values of all branches as soon
//! as they are planned; a decimal beside a float is a DOUBLE.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{Case, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union, cast};

use super::types::double;
use super::within::beside;

/// The union with branches of the same types. Dates, and times with and without a zone, have to be the same already.
pub fn with_united_types(union: Union) -> Result<Transformed<LogicalPlan>> {
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

/// The type that holds values of all types. None where there is none, which DataFusion refuses.
fn common(kinds: &[&DataType]) -> Option<DataType> {
    let known = || kinds.iter().copied().filter(|kind| !kind.is_null());
    let first = known().next()?;
    let as_floats = |kind: &DataType| known().fold(kind.clone(), |kind, other| beside(&kind, other));
    known().try_fold(as_floats(first), |united, kind| {
        type_union_coercion(&united, &as_floats(kind))
    })
}

/// CASE with results of the same type. Dates, and times with and without a zone, have to be the same already.
pub fn with_united_results(mut case: Case, schema: &DFSchema) -> Transformed<Expr> {
    let Case {
        when_then_expr,
        else_expr,
        ..
    } = &mut case;
    let results: Vec<&mut Box<Expr>> = when_then_expr
        .iter_mut()
        .map(|(_, then)| then)
        .chain(else_expr)
        .collect();
    let kinds: Option<Vec<DataType>> = results
        .iter()
        .map(|result| result.get_type(schema).ok())
        .collect();
    let kinds = kinds.unwrap_or_default();
    // Texts beside others are read as these, or as texts, when types are coerced.
    let target = match kinds.iter().any(DataType::is_string) {
        true => None,
        false => common(&kinds.iter().collect::<Vec<_>>()),
    };
    let mut changed = false;
    if let Some(target) = target {
        for (result, kind) in results.into_iter().zip(&kinds) {
            if *kind != target && !kind.is_null() {
                **result = converted(std::mem::take(result), kind, &target);
                changed = true;
            }
        }
    }
    Transformed::new_transformed(Expr::Case(case), changed)
}

fn converted(expr: Expr, from: &DataType, target: &DataType) -> Expr {
    match from.is_decimal() && target.is_floating() {
        true => double(expr),
        false => cast(expr, target.clone()),
    }
}

fn with_types(input: Arc<LogicalPlan>, targets: &[Option<DataType>]) -> Result<Arc<LogicalPlan>> {
    with_columns(input, |index, column, kind| {
        Ok(match targets.get(index) {
            Some(Some(target)) if target != kind => Transformed::yes(converted(column, kind, target)),
            _ => Transformed::no(column),
        })
    })
}

/// A branch whose columns, by their place and type, are converted. They keep their names.
pub fn with_columns(
    branch: Arc<LogicalPlan>,
    convert: impl Fn(usize, Expr, &DataType) -> Result<Transformed<Expr>>,
) -> Result<Arc<LogicalPlan>> {
    let mut changed = false;
    let mut exprs = Vec::with_capacity(branch.schema().fields().len());
    for (index, (qualifier, field)) in branch.schema().iter().enumerate() {
        let column = Expr::Column(Column::from((qualifier, field)));
        let converted = convert(index, column, field.data_type())?;
        changed |= converted.transformed;
        exprs.push(match converted.transformed {
            true => converted.data.alias_qualified(qualifier.cloned(), field.name()),
            false => converted.data,
        });
    }
    if !changed {
        return Ok(branch);
    }
    let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(branch))
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
        assert_eq!(of(&[DataType::Boolean, DataType::Date32]), None);
        assert_eq!(of(&[DataType::Null, DataType::Date32]), Some(DataType::Date32));
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
