//! Predicates over lists, which are evaluated above scans of Parquet.
//!
//! Whether a scan can evaluate such a predicate, DataFusion 55 asks before it knows a file, and once more in each file,
//! after it has put in the columns that are constant there. A predicate that a file then cannot evaluate is dropped without
//! a word, and all rows pass: `coalesce(id, l[1]) = 100` over a file with one `id` (`build_row_filter` in
//! `datafusion-datasource-parquet`; akin to https://github.com/apache/datafusion/issues/25268). So none is given to a scan.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

use super::hidden::{Hidden, Rule, reveal};

/// A rule that moves predicates, but those over lists.
#[derive(Debug)]
pub(super) struct WithoutLists(pub(super) Rule);

impl PhysicalOptimizerRule for WithoutLists {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| {
            let Some(filter) = node.downcast_ref::<FilterExec>() else {
                return Ok(Transformed::no(node));
            };
            let parts = split_conjunction(filter.predicate()).into_iter().map(Arc::clone);
            let (lists, others): (Vec<_>, Vec<_>) = parts.partition(|part| reads_list(part, filter.input()));
            if lists.is_empty() {
                return Ok(Transformed::no(node));
            }
            let below: Arc<dyn ExecutionPlan> = match others.is_empty() {
                true => Arc::clone(filter.input()),
                false => Arc::new(FilterExec::try_new(
                    conjunction(others),
                    Arc::clone(filter.input()),
                )?),
            };
            let below = self.0.optimize(below, config)?;
            let above = FilterExecBuilder::from(filter)
                .with_predicate(conjunction(lists))
                .with_input(Arc::new(Hidden::new(below)))
                .build()?;
            Ok(Transformed::yes(Arc::new(above) as _))
        })?;
        if !kept.transformed {
            return self.0.optimize(kept.data, config);
        }
        reveal(self.0.optimize(kept.data, config)?)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn reads_list(part: &Arc<dyn PhysicalExpr>, input: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = input.schema();
    collect_columns(part)
        .iter()
        .any(|column| holds_list(schema.field(column.index()).data_type()))
}

fn holds_list(kind: &DataType) -> bool {
    match kind {
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..)
        | DataType::Map(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| holds_list(field.data_type())),
        DataType::Dictionary(_, value) => holds_list(value),
        _ => false,
    }
}
