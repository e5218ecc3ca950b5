//! Scans as plain Parquet scans, which every process can decode.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use watershed_core::id::ShardId;

use crate::blocks::files_never_change;
use crate::delta::{DataFile, partition_statistics};
use crate::layout::{SHARD_COLUMN, TableLayout};

use super::deal::deal;
use super::prune::SHARD_TYPE;

/// Where a scan's shard column says how many shards its table has.
const SHARDS_METADATA: &str = "watershed.shards";

/// Plans the scan of `files`.
pub(super) fn plan(
    state: &dyn Session,
    store: &ObjectStoreUrl,
    layout: &TableLayout,
    schema: &SchemaRef,
    files: &[&DataFile],
    projection: Option<&Vec<usize>>,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let columns: Vec<usize> = match projection {
        Some(projection) => projection.clone(),
        None => (0..schema.fields().len()).collect(),
    };
    if files.is_empty() {
        return Ok(Arc::new(EmptyExec::new(Arc::new(schema.project(&columns)?))));
    }
    let table_schema = table_schema(layout);
    // From the place in the table to the place in the scan: files' columns, then partitions.
    let places = columns
        .iter()
        .map(|column| table_schema.table_schema().index_of(schema.field(*column).name()))
        .collect::<Result<Vec<_>, _>>()?;
    let full = table_schema.table_schema();
    let order: Vec<Option<usize>> = full
        .fields()
        .iter()
        .map(|field| schema.index_of(field.name()).ok())
        .collect();
    let planned = |file: &&DataFile| {
        let planned = || partitioned_file(layout, file, &order);
        file.planned.get_or_init(planned).clone()
    };
    // Of whole files: those of ranges are estimates.
    let planned_files: Vec<_> = files.iter().map(planned).collect();
    let statistics = merged(&planned_files, full)?;
    let groups = match layout.sharding {
        Some(_) => by_shard(files, planned),
        None => deal(
            planned_files,
            state.config().target_partitions(),
            state.config_options().optimizer.repartition_file_min_size as u64,
        ),
    };
    let groups = groups
        .into_iter()
        .map(|files| {
            let statistics = merged(&files, full)?;
            Ok(FileGroup::new(files).with_statistics(Arc::new(statistics)))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut options = TableParquetOptions::new();
    options.global = state.config_options().execution.parquet.clone();
    files_never_change(&mut options);
    let mut source = ParquetSource::new(table_schema).with_table_parquet_options(options);
    if let Some(hint) = state.config_options().execution.parquet.metadata_size_hint {
        source = source.with_metadata_size_hint(hint);
    }
    let source: Arc<dyn FileSource> = Arc::new(source);
    // Declared, even as nothing: a scan that declares its partitions is never cut into other ones, so
    // a partition stays a shard, and a file is always cut alike.
    let partitions = Partitioning::UnknownPartitioning(groups.len());
    let config = FileScanConfigBuilder::new(store.clone(), source)
        .with_file_groups(groups)
        .with_output_partitioning(Some(partitions))
        .with_statistics(statistics)
        .with_limit(limit)
        .with_projection_indices(Some(places))?
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn merged(files: &[PartitionedFile], schema: &Schema) -> Result<Statistics> {
    Statistics::try_merge_iter(files.iter().filter_map(|file| file.statistics.as_deref()), schema)
}

/// The files' columns, then the partitions, then the shard.
fn table_schema(layout: &TableLayout) -> TableSchema {
    let mut partitions: Vec<FieldRef> = layout
        .partition_by
        .iter()
        .filter_map(|name| layout.column(name))
        .map(|column| Arc::new(column.field()))
        .collect();
    if let Some(sharding) = &layout.sharding {
        let shards = HashMap::from([(SHARDS_METADATA.to_owned(), sharding.shards.to_string())]);
        partitions.push(Arc::new(
            Field::new(SHARD_COLUMN, SHARD_TYPE, true).with_metadata(shards),
        ));
    }
    TableSchema::builder(layout.file_schema())
        .with_table_partition_cols(partitions)
        .build()
}

/// One group per shard, ascending, then the files that may hold any.
fn by_shard(
    files: &[&DataFile],
    planned: impl Fn(&&DataFile) -> PartitionedFile,
) -> Vec<Vec<PartitionedFile>> {
    let mut files = files.to_vec();
    // None sorts before every shard, and shall come last.
    files.sort_by(|a, b| (a.shard.is_none(), a.shard, &a.path).cmp(&(b.shard.is_none(), b.shard, &b.path)));
    files
        .chunk_by(|a, b| a.shard == b.shard)
        .map(|group| group.iter().map(&planned).collect())
        .collect()
}

fn partitioned_file(layout: &TableLayout, file: &DataFile, order: &[Option<usize>]) -> PartitionedFile {
    let mut values = file.partition_values.clone();
    let shard = layout
        .sharding
        .as_ref()
        .map(|_| ScalarValue::Int32(file.shard.and_then(|shard| i32::try_from(shard).ok())));
    values.extend(shard.clone());
    let column_statistics = order
        .iter()
        .map(|place| match (place, &shard) {
            (Some(place), _) => file
                .statistics
                .column_statistics
                .get(*place)
                .cloned()
                .unwrap_or_else(ColumnStatistics::new_unknown),
            (None, Some(shard)) if !shard.is_null() => partition_statistics(shard, file.statistics.num_rows),
            (None, _) => ColumnStatistics::new_unknown(),
        })
        .collect();
    let mut planned = PartitionedFile::new_from_meta(ObjectMeta {
        location: file.path.clone(),
        last_modified: file.modified,
        size: file.size,
        e_tag: None,
        version: None,
    })
    .with_partition_values(values);
    // Set as a whole, as there are NULLs among our partition values.
    planned.statistics = Some(Arc::new(Statistics {
        num_rows: file.statistics.num_rows,
        // Rows in memory are about twice as large as in a file.
        total_byte_size: usize::try_from(file.size).map_or(Precision::Absent, |size| {
            Precision::Inexact(size.saturating_mul(2))
        }),
        column_statistics,
    }));
    planned
}

/// The shard of each file group of a scan; `None` where files may hold any.
pub fn group_shards(config: &FileScanConfig) -> Vec<Option<ShardId>> {
    let sharded = config
        .file_source()
        .table_schema()
        .table_partition_cols()
        .last()
        .is_some_and(|field| field.name() == SHARD_COLUMN);
    let shard = |file: &PartitionedFile| match file.partition_values.last() {
        Some(ScalarValue::Int32(Some(shard))) => ShardId::try_from(*shard).ok(),
        _ => None,
    };
    config
        .file_groups
        .iter()
        .map(|group| {
            let first = shard(group.files().first()?)?;
            let same = group.files().iter().all(|file| shard(file) == Some(first));
            (sharded && same).then_some(first)
        })
        .collect()
}

/// How many shards the table of a scan has.
pub fn shard_count(config: &FileScanConfig) -> Option<u32> {
    let field = config
        .file_source()
        .table_schema()
        .table_partition_cols()
        .last()?;
    field.metadata().get(SHARDS_METADATA)?.parse().ok()
}
