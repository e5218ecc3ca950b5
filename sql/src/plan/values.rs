//! The types of VALUES: a column that has a DOUBLE and a DECIMAL is one of DOUBLEs, as everywhere else.
//!
//! DataFusion makes it a DECIMAL (`LogicalPlanBuilder::infer_values` of DataFusion 55), which rounds small
//! numbers to zero and has no NaN.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Values, cast};

/// Gives such columns of a plan their type.
pub(super) fn retype(plan: LogicalPlan) -> Result<LogicalPlan> {
    let retyped = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Values(values) => retyped(values),
        node => Ok(Transformed::no(node)),
    })?;
    match retyped.transformed {
        true => recomputed(retyped.data),
        false => Ok(retyped.data),
    }
}

fn recomputed(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Values(_) => Ok(Transformed::no(node)),
        node => node.recompute_schema().map(Transformed::yes),
    })
    .map(|transformed| transformed.data)
}

fn retyped(values: Values) -> Result<Transformed<LogicalPlan>> {
    let Values { schema, mut values } = values;
    let mut fields: Vec<_> = schema
        .iter()
        .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)))
        .collect();
    let mut changed = false;
    for (index, (_, field)) in fields.iter_mut().enumerate() {
        let cells = || values.iter().filter_map(|row| row.get(index));
        if !cells().any(|cell| is_cast_float(cell, field.data_type())) {
            continue;
        }
        changed = true;
        for cell in values.iter_mut().filter_map(|row| row.get_mut(index)) {
            let inner = match &*cell {
                Expr::Cast(Cast { expr, field: to }) if to.data_type() == field.data_type() => {
                    Expr::clone(expr)
                }
                other => other.clone(),
            };
            *cell = cast(inner, DataType::Float64);
        }
        *field = Arc::new(Field::new(field.name(), DataType::Float64, field.is_nullable()));
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Values(Values { schema, values })));
    }
    let schema = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    Ok(Transformed::yes(LogicalPlan::Values(Values {
        schema: Arc::new(schema),
        values,
    })))
}

/// Whether a cell is a float that was cast to the decimal that its column became. That decimal has at least the
/// digits that DataFusion gives a float.
fn is_cast_float(cell: &Expr, column: &DataType) -> bool {
    let (Expr::Cast(Cast { expr, .. }), DataType::Decimal128(precision, scale)) = (cell, column) else {
        return false;
    };
    let (digits, behind) = match expr.get_type(&DFSchema::empty()) {
        Ok(DataType::Float64) => (30, 15),
        Ok(DataType::Float32) => (14, 7),
        _ => return false,
    };
    *precision >= digits && *scale >= behind
}
