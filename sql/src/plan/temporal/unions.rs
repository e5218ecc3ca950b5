//! Unions whose branches have different types: times become those of the session's zone, all else what holds all values.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{LogicalPlan, Union};
use watershed_storage::numbers::{with_columns, with_united_types};

use super::operands::{Meeting, Target, targets};

pub(super) fn aligned(union: Union, zone: &str) -> Result<Transformed<LogicalPlan>> {
    times(union, zone)?.transform_data(|node| match node {
        LogicalPlan::Union(union) => with_united_types(union),
        other => Ok(Transformed::no(other)),
    })
}

/// Branches of a union that give times of different types.
fn times(union: Union, zone: &str) -> Result<Transformed<LogicalPlan>> {
    let width = union.schema.fields().len();
    if union
        .inputs
        .iter()
        .any(|input| input.schema().fields().len() != width)
    {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let of = |input: &Arc<LogicalPlan>, index: usize| input.schema().field(index).data_type().clone();
    let targets: Vec<Option<Target>> = (0..width)
        .map(|index| {
            let kinds: Vec<_> = union.inputs.iter().map(|input| Some(of(input, index))).collect();
            targets(&kinds, Meeting::OneColumn)
        })
        .collect();
    // Also where what is below has changed.
    let stale = (0..width).any(|index| {
        let stated = union.schema.field(index).data_type();
        targets[index].is_some() && union.inputs.iter().any(|input| of(input, index) != *stated)
    });
    if !stale {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union
        .inputs
        .into_iter()
        .map(|input| with_targets(input, &targets, zone))
        .collect::<Result<Vec<_>>>()?;
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

fn with_targets(input: Arc<LogicalPlan>, targets: &[Option<Target>], zone: &str) -> Result<Arc<LogicalPlan>> {
    with_columns(input, |index, column, kind| {
        let Some(Some(target)) = targets.get(index) else {
            return Ok(Transformed::no(column));
        };
        let (expr, changed) = target.convert(column, kind, zone, true)?;
        Ok(Transformed::new_transformed(expr, changed))
    })
}
