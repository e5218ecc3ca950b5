//! The conditions of sorted joins beside their equalities.

use std::sync::Arc;

use arrow::datatypes::{Field, Fields, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::joins::utils::JoinFilter;

/// Lets the columns that such a condition reads be NULL. A sorted outer join evaluates it over rows that found no partner,
/// too, whose columns of the other side are NULL, under a schema that does not allow this for a column that is never NULL
/// in its table (`materializing_stream.rs` of `datafusion-physical-plan` 55; no issue is known upstream).
pub(super) fn nullable(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let changed = plan.transform_up(|node| {
        let Some(join) = node.downcast_ref::<SortMergeJoinExec>() else {
            return Ok(Transformed::no(node));
        };
        let Some(filter) = join.filter() else {
            return Ok(Transformed::no(node));
        };
        let fields = filter.schema().fields().iter();
        let fields: Fields = fields
            .map(|field| Field::clone(field).with_nullable(true))
            .collect();
        let filter = JoinFilter::new(
            Arc::clone(filter.expression()),
            filter.column_indices().to_vec(),
            Arc::new(Schema::new(fields)),
        );
        let join = SortMergeJoinExec::try_new(
            Arc::clone(join.left()),
            Arc::clone(join.right()),
            join.on().to_vec(),
            Some(filter),
            join.join_type(),
            join.sort_options().to_vec(),
            join.null_equality(),
        )?;
        Ok(Transformed::yes(Arc::new(join) as _))
    })?;
    Ok(changed.data)
}
