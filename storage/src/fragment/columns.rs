//! Columns of small files as they are in memory, for files that one fragment after the other computes something
//! of: those that have just come, and those at the edge of a window that moves. A file is decoded when it is
//! asked for again, so that a scan of many files, each once, decodes none of them whole.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::utils::{collect_columns, conjunction_opt, reassign_expr_columns};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use lru::LruCache;
use parking_lot::Mutex;

use super::digest::FragmentDigest;
use super::scan::{Conditions, file_scan};

/// Larger files are not decoded whole.
pub(super) const MAX_FILE: usize = 4 << 20;
/// Files of which it is known that they were asked for.
const MAX_SEEN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(100_000);

type Plan = Arc<dyn ExecutionPlan>;

/// The columns of one file that someone has needed, by their places in the table.
#[derive(Debug, Clone, Default)]
pub(super) struct FileColumns {
    rows: usize,
    columns: BTreeMap<usize, FileColumn>,
}

#[derive(Debug, Clone)]
struct FileColumn {
    values: ArrayRef,
    /// Its part of the bytes that were read when it was decoded.
    bytes_read: usize,
}

impl FileColumns {
    /// The columns of a file that so many bytes were read for. Which column took how many of them is not told:
    /// they are shared out by sizes in memory, to the last one what is left.
    pub(super) fn of(
        schema: &SchemaRef,
        places: &[usize],
        batches: &[RecordBatch],
        bytes_read: usize,
    ) -> Result<Self> {
        let whole = concat_batches(schema, batches)?;
        let mut sizes: usize = whole
            .columns()
            .iter()
            .map(|column| column.get_array_memory_size())
            .sum();
        let mut left = bytes_read;
        let mut columns = BTreeMap::new();
        for (place, values) in places.iter().zip(whole.columns()) {
            let size = values.get_array_memory_size();
            let part = left * size / sizes.max(1);
            sizes -= size;
            left -= part;
            let column = FileColumn {
                values: Arc::clone(values),
                bytes_read: part,
            };
            columns.insert(*place, column);
        }
        Ok(Self {
            rows: whole.num_rows(),
            columns,
        })
    }

    /// Bytes that were read for these columns, whenever that was.
    pub(super) fn bytes_read(&self, places: &[usize]) -> usize {
        let columns = places.iter().filter_map(|place| self.columns.get(place));
        columns.map(|column| column.bytes_read).sum()
    }

    pub(super) fn lacks(&self, places: &[usize]) -> Vec<usize> {
        let missing = places.iter().filter(|place| !self.columns.contains_key(place));
        missing.copied().collect()
    }

    /// These and others of the same file; none if someone has put another in its place meanwhile.
    pub(super) fn with(mut self, other: Self) -> Option<Self> {
        if !self.columns.is_empty() && self.rows != other.rows {
            return None;
        }
        self.rows = other.rows;
        self.columns.extend(other.columns);
        Some(self)
    }

    fn size(&self) -> usize {
        let columns = self.columns.values();
        columns.map(|column| column.values.get_array_memory_size()).sum()
    }
}

/// The columns of all files that are kept: the least recently used go first.
pub(super) struct Columns {
    max_bytes: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    files: LruCache<FragmentDigest, Arc<FileColumns>>,
    bytes: usize,
    seen: LruCache<FragmentDigest, ()>,
}

impl Columns {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            kept: Mutex::new(Kept {
                files: LruCache::new(MAX_SEEN),
                bytes: 0,
                seen: LruCache::new(MAX_SEEN),
            }),
        }
    }

    /// Whether a file was asked for before. From now on it was.
    pub(super) fn is_asked_again(&self, file: FragmentDigest) -> bool {
        self.kept.lock().seen.put(file, ()).is_some()
    }

    pub(super) fn get(&self, file: &FragmentDigest) -> Arc<FileColumns> {
        self.kept.lock().files.get(file).cloned().unwrap_or_default()
    }

    pub(super) fn put(&self, file: FragmentDigest, columns: &Arc<FileColumns>) {
        let mut kept = self.kept.lock();
        if columns.size() > self.max_bytes / 4 {
            // It is read as ever, until it has been forgotten that it was asked for.
            kept.seen.pop(&file);
            return;
        }
        kept.bytes += columns.size();
        if let Some((_, displaced)) = kept.files.push(file, Arc::clone(columns)) {
            kept.bytes -= displaced.size();
        }
        while kept.bytes > self.max_bytes {
            let Some((_, evicted)) = kept.files.pop_lru() else {
                break;
            };
            kept.bytes -= evicted.size();
        }
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.kept.lock().bytes
    }

    pub(super) fn clear(&self) {
        let mut kept = self.kept.lock();
        kept.files.clear();
        kept.seen.clear();
        kept.bytes = 0;
    }
}

/// The columns of the table that a scan with these conditions needs, by their places; none of a scan that needs
/// no column, or others than the table's.
pub(super) fn needed(leaf: &Plan, conditions: &Conditions) -> Option<Vec<usize>> {
    let source = file_scan(leaf)?.file_source();
    let schema = source.table_schema().table_schema();
    let projection = source.projection()?;
    let projected = projection.as_ref().iter().map(|projected| &projected.expr);
    let mut places = projected
        .chain(conditions)
        .flat_map(collect_columns)
        .map(|column| schema.index_of(column.name()).ok())
        .collect::<Option<Vec<_>>>()?;
    places.sort_unstable();
    places.dedup();
    (!places.is_empty()).then_some(places)
}

/// The scan of these columns of a file, all of its rows.
pub(super) fn decode(leaf: &Plan, file: PartitionedFile, places: &[usize]) -> Result<Plan> {
    let (scan, source) = parquet(leaf)?;
    let mut fresh = ParquetSource::new(source_schema(scan).clone())
        .with_table_parquet_options(source.table_parquet_options().clone());
    if let Some(reader) = source.parquet_file_reader_factory() {
        fresh = fresh.with_parquet_file_reader_factory(Arc::clone(reader));
    }
    let mut scan = FileScanConfigBuilder::from(scan.clone())
        .with_file_groups(vec![FileGroup::new(vec![file])])
        .with_source(Arc::new(fresh))
        .with_projection_indices(Some(places.to_vec()))?
        .build();
    scan.output_partitioning = None;
    Ok(DataSourceExec::from_data_source(scan))
}

/// What a scan with these conditions gives of a file, from its columns in memory.
pub(super) fn replayed(
    leaf: &Plan,
    conditions: &Conditions,
    places: &[usize],
    file: &FileColumns,
    batch_size: usize,
) -> Result<Plan> {
    let (scan, source) = parquet(leaf)?;
    let schema: SchemaRef = Arc::new(source_schema(scan).table_schema().project(places)?);
    let columns = places.iter().map(|place| file.columns.get(place));
    let columns: Vec<ArrayRef> = columns
        .map(|column| column.map(|column| Arc::clone(&column.values)))
        .collect::<Option<_>>()
        .ok_or_else(|| internal_datafusion_err!("a column of a file is not in memory"))?;
    let options = RecordBatchOptions::new().with_row_count(Some(file.rows));
    let whole = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
    let batches = (0..file.rows)
        .step_by(batch_size.max(1))
        .map(|from| whole.slice(from, batch_size.min(file.rows - from)))
        .collect();
    let mut plan: Plan = MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&schema), None)?;
    let conditions = conditions
        .iter()
        .map(|condition| reassign_expr_columns(Arc::clone(condition), &schema))
        .collect::<Result<Vec<_>>>()?;
    if let Some(predicate) = conjunction_opt(conditions) {
        plan = Arc::new(FilterExec::try_new(predicate, plan)?);
    }
    let projection = source
        .projection()
        .ok_or_else(|| internal_datafusion_err!("a scan says not what it reads"))?;
    let projected = projection
        .as_ref()
        .iter()
        .map(|projected| {
            Ok(ProjectionExpr {
                expr: reassign_expr_columns(Arc::clone(&projected.expr), &schema)?,
                alias: projected.alias.clone(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(projected, plan)?))
}

fn source_schema(scan: &FileScanConfig) -> &TableSchema {
    scan.file_source().table_schema()
}

fn parquet(leaf: &Plan) -> Result<(&FileScanConfig, &ParquetSource)> {
    let scan = file_scan(leaf);
    scan.and_then(|scan| Some((scan, scan.file_source().downcast_ref::<ParquetSource>()?)))
        .ok_or_else(|| internal_datafusion_err!("a fragment's scan is not of Parquet"))
}
