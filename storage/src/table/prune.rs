//! Which files a scan need not read: by partition, by shard, by statistics.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, Result, ScalarValue, internal_datafusion_err};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use watershed_core::id::ShardId;

use crate::delta::DataFile;
use crate::layout::TableLayout;

use super::filter::shards_of;

/// What is left of a table's files, and what took the others away.
#[derive(Debug)]
pub(super) struct Pruned<'a> {
    pub(super) files: Vec<&'a DataFile>,
    /// The shards that rows can lie in; `None` where it may be any.
    pub(super) shards: Option<BTreeSet<ShardId>>,
    pub(super) by: Vec<String>,
}

/// Takes away the files that hold no row with all `filters` true. Filters over partition columns
/// alone are applied in full.
pub(super) fn prune<'a>(
    state: &dyn Session,
    layout: &TableLayout,
    schema: &SchemaRef,
    files: &'a [DataFile],
    filters: &[Expr],
) -> Result<Pruned<'a>> {
    let mut pruned = Pruned {
        files: files.iter().collect(),
        shards: None,
        by: Vec::new(),
    };
    let (of_partitions, others): (Vec<&Expr>, Vec<&Expr>) = filters
        .iter()
        .partition(|filter| is_of_partitions(filter, layout));
    pruned.step("partition", |files| {
        by_partition(state, layout, files, &of_partitions)
    })?;
    if let Some(sharding) = &layout.sharding {
        let key_type = schema.field_with_name(&sharding.key)?.data_type();
        pruned.shards = filters
            .iter()
            .filter_map(|filter| shards_of(filter, sharding, key_type))
            .reduce(|a, b| a.intersection(&b).copied().collect());
        if let Some(shards) = pruned.shards.clone() {
            pruned.step("shard", |mut files| {
                // A file without a shard may hold rows of any.
                files.retain(|file| file.shard.is_none_or(|shard| shards.contains(&shard)));
                Ok(files)
            })?;
        }
    }
    pruned.step("statistics", |files| by_statistics(state, schema, files, &others))?;
    Ok(pruned)
}

impl<'a> Pruned<'a> {
    fn step(
        &mut self,
        name: &str,
        step: impl FnOnce(Vec<&'a DataFile>) -> Result<Vec<&'a DataFile>>,
    ) -> Result<()> {
        let before = self.files.len();
        self.files = step(std::mem::take(&mut self.files))?;
        if self.files.len() < before {
            self.by.push(name.to_owned());
        }
        Ok(())
    }
}

/// Whether a filter reads partition columns and nothing else, so that it can be told per file.
pub(super) fn is_of_partitions(filter: &Expr, layout: &TableLayout) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns
            .iter()
            .all(|column| layout.partition_by.contains(&column.name))
        && !filter.is_volatile()
        && !has_subquery(filter)
}

/// Whether what a filter says is known only once another query has run.
pub(crate) fn has_subquery(filter: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    // Only a traversal that fails gives an error, and this one does not.
    filter
        .exists(|expr| {
            Ok(matches!(
                expr,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::OuterReferenceColumn(..)
            ))
        })
        .unwrap_or(true)
}

/// Evaluates filters over the files' partition values, one row per file.
fn by_partition<'a>(
    state: &dyn Session,
    layout: &TableLayout,
    files: Vec<&'a DataFile>,
    filters: &[&Expr],
) -> Result<Vec<&'a DataFile>> {
    let Some(filter) = conjunction(filters.iter().map(|filter| (*filter).clone())) else {
        return Ok(files);
    };
    if files.is_empty() {
        return Ok(files);
    }
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (place, name) in layout.partition_by.iter().enumerate() {
        let values = files.iter().map(|file| file.partition_values[place].clone());
        let column = ScalarValue::iter_to_array(values)?;
        fields.push(Field::new(name, column.data_type().clone(), true));
        columns.push(column);
    }
    let schema = Arc::new(Schema::new(fields));
    let expr = state.create_physical_expr(unqualified(filter)?, &DFSchema::try_from(Arc::clone(&schema))?)?;
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
    let keep = expr.evaluate(&batch)?.into_array(files.len())?;
    let keep = keep
        .as_boolean_opt()
        .ok_or_else(|| internal_datafusion_err!("a filter gave no truth values"))?;
    Ok(files
        .into_iter()
        .zip(keep.iter())
        .filter_map(|(file, keep)| (keep == Some(true)).then_some(file))
        .collect())
}

/// Takes away the files whose statistics show that a filter is true of none of their rows.
fn by_statistics<'a>(
    state: &dyn Session,
    schema: &SchemaRef,
    files: Vec<&'a DataFile>,
    filters: &[&Expr],
) -> Result<Vec<&'a DataFile>> {
    let df_schema = DFSchema::try_from(Arc::clone(schema))?;
    let mut files = files;
    for filter in filters {
        if files.is_empty() || has_subquery(filter) {
            continue;
        }
        let expr = state.create_physical_expr(unqualified((*filter).clone())?, &df_schema)?;
        let predicate = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(schema))
            .try_build(expr)?;
        let keep = predicate.prune(&FileStatistics {
            schema,
            files: &files,
        })?;
        files = files
            .into_iter()
            .zip(keep)
            .filter_map(|(file, keep)| keep.then_some(file))
            .collect();
    }
    Ok(files)
}

/// Filters name columns of the table as the query calls it; files have no such name.
pub(crate) fn unqualified(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    expr.transform(|expr| match expr {
        Expr::Column(column) if column.relation.is_some() => {
            Ok(Transformed::yes(Expr::Column(Column::from_name(column.name))))
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|transformed| transformed.data)
}

struct FileStatistics<'a> {
    schema: &'a SchemaRef,
    files: &'a [&'a DataFile],
}

impl FileStatistics<'_> {
    fn bounds(
        &self,
        column: &Column,
        bound: impl Fn(&ColumnStatistics) -> &Precision<ScalarValue>,
    ) -> Option<ArrayRef> {
        let (place, field) = self.schema.column_with_name(&column.name)?;
        let unknown = ScalarValue::try_from(field.data_type()).ok()?;
        let values = self.files.iter().map(|file| {
            file.statistics
                .column_statistics
                .get(place)
                .and_then(|statistics| bound(statistics).get_value())
                .map_or_else(|| unknown.clone(), Clone::clone)
        });
        ScalarValue::iter_to_array(values).ok()
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |statistics| &statistics.min_value)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |statistics| &statistics.max_value)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let (place, _) = self.schema.column_with_name(&column.name)?;
        let counts: UInt64Array = self
            .files
            .iter()
            .map(|file| {
                let statistics = file.statistics.column_statistics.get(place)?;
                match statistics.null_count {
                    Precision::Exact(nulls) => u64::try_from(nulls).ok(),
                    Precision::Inexact(_) | Precision::Absent => None,
                }
            })
            .collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts: UInt64Array = self.files.iter().map(|file| file.rows).collect();
        Some(Arc::new(counts))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// The type of a table's `_shard` in scans.
pub(super) const SHARD_TYPE: DataType = DataType::Int32;
