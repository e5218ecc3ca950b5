//! A part of a plan that runs shard by shard.

use std::sync::{Arc, OnceLock};

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::{ColumnStatistics, Result, Statistics, internal_err};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use object_store::path::Path;
use watershed_core::id::ShardId;
use watershed_core::partial::{MissingShard, Part};
use watershed_storage::fragment::{FragmentCacheExec, Proofs};
use watershed_storage::table::{ScanLog, ScanReport, group_shards, shard_count};
use watershed_storage::write::ShardWriteExec;

use super::split::{file_scan, shares_bounds};

/// A part of a plan, and the scan whose file groups are its partitions.
#[derive(Debug)]
pub struct Fragment {
    plan: Arc<dyn ExecutionPlan>,
    leaf: Arc<dyn ExecutionPlan>,
    /// That scan without files, of which there can be thousands.
    without_files: OnceLock<FileScanConfig>,
    /// Of which table that scan is.
    table: String,
    /// The shard of each partition, where the scan is of a sharded table.
    shards: Vec<Option<ShardId>>,
    /// How many shards that table has.
    table_shards: u32,
    /// Whether a partition run again gives the same rows in the same order.
    replayable: bool,
}

impl Fragment {
    pub(super) fn new(
        plan: Arc<dyn ExecutionPlan>,
        leaf: Arc<dyn ExecutionPlan>,
        replayable: bool,
        scans: &ScanLog,
    ) -> Self {
        let scan = file_scan(&leaf);
        let table = scan.map(|scan| table(scan, scans)).unwrap_or_default();
        let shards = scan.map(group_shards).unwrap_or_default();
        let table_shards = scan.and_then(shard_count).unwrap_or_default();
        Self {
            plan,
            leaf,
            without_files: OnceLock::new(),
            table,
            shards,
            table_shards,
            replayable,
        }
    }

    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    pub(super) fn leaf(&self) -> &Arc<dyn ExecutionPlan> {
        &self.leaf
    }

    pub fn partitions(&self) -> usize {
        self.shards.len()
    }

    /// How many partitions are of one shard.
    pub(super) fn sharded(&self) -> usize {
        self.shards.iter().flatten().count()
    }

    pub(super) fn shard(&self, partition: usize) -> Option<ShardId> {
        self.shards.get(partition).copied().flatten()
    }

    pub(super) fn table_shards(&self) -> u32 {
        self.table_shards
    }

    /// Whether the rows of a partition depend on which others its task runs.
    pub(super) fn shares_bounds(&self) -> bool {
        shares_bounds(&self.plan)
    }

    pub(super) fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// A partition as an answer without it names it.
    pub(super) fn missing(&self, partition: usize) -> MissingShard {
        let part = match self.shard(partition) {
            Some(shard) => Part::Shard(shard),
            None => Part::ScanGroup(u32::try_from(partition).unwrap_or(u32::MAX)),
        };
        MissingShard {
            table: self.table.clone(),
            part,
        }
    }

    /// Whether far fewer rows come out than go in.
    pub(super) fn is_reduced(&self) -> bool {
        is_reduced(&self.plan)
    }

    /// The fragment over some of its partitions.
    pub(super) fn restricted(&self, partitions: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(scan) = file_scan(&self.leaf) else {
            return internal_err!("a fragment's leaf is no scan of files");
        };
        let groups = partitions.iter().filter_map(|index| scan.file_groups.get(*index));
        let groups = groups.cloned().collect();
        let mut scan = self.without_files.get_or_init(|| without_files(scan)).clone();
        scan.file_groups = groups;
        if scan.output_partitioning.is_some() {
            scan.output_partitioning = Some(Partitioning::UnknownPartitioning(partitions.len()));
        }
        // What the cache asks of files is answered here, and others ask of columns with conditions.
        let (asked, proofs) = match has_cache(&self.plan) {
            true => {
                let whole: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan.clone());
                (Vec::new(), Proofs::of(&whole)?.map(Arc::new))
            }
            false => (columns_asked_for(&scan), None),
        };
        scan.file_groups = std::mem::take(&mut scan.file_groups)
            .into_iter()
            .map(|group| without_others(group, &asked))
            .collect();
        let leaf: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan);
        swap(&self.plan, &self.leaf, &leaf, proofs.as_ref())
    }
}

fn is_reduced(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(together) = plan.downcast_ref::<CoalescePartitionsExec>() {
        return is_reduced(together.input());
    }
    let limited_sort = plan
        .downcast_ref::<SortExec>()
        .is_some_and(|sort| sort.fetch().is_some());
    plan.is::<AggregateExec>()
        || plan.is::<FragmentCacheExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<ShardWriteExec>()
        || limited_sort
}

fn without_files(scan: &FileScanConfig) -> FileScanConfig {
    let mut scan = scan.clone();
    scan.file_groups.clear();
    scan
}

/// Whether states over files of the fragment's scan are reused.
fn has_cache(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<FragmentCacheExec>() || plan.children().into_iter().any(has_cache)
}

/// The columns of a scan's conditions, by their places.
fn columns_asked_for(scan: &FileScanConfig) -> Vec<usize> {
    let source = scan.file_source();
    let schema = source.table_schema().table_schema();
    let columns = source.filter().map(|filter| collect_columns(&filter));
    columns
        .iter()
        .flatten()
        .filter_map(|column| schema.index_of(column.name()).ok())
        .collect()
}

/// Of columns without conditions nobody asks what files hold, and of many files it is most of what is sent.
fn without_others(group: FileGroup, asked: &[usize]) -> FileGroup {
    let files = group.into_inner().into_iter().map(|mut file| {
        file.statistics = file
            .statistics
            .filter(|_| !asked.is_empty())
            .map(|all| Arc::new(of_columns(&all, asked)));
        file
    });
    FileGroup::new(files.collect())
}

fn of_columns(all: &Statistics, asked: &[usize]) -> Statistics {
    let columns = all.column_statistics.iter().enumerate();
    Statistics {
        num_rows: all.num_rows,
        total_byte_size: all.total_byte_size,
        column_statistics: columns
            .map(|(place, column)| match asked.contains(&place) {
                true => column.clone(),
                false => ColumnStatistics::new_unknown(),
            })
            .collect(),
    }
}

/// The table of a scan, as the report of its planning names it.
fn table(scan: &FileScanConfig, scans: &ScanLog) -> String {
    let has = |file: &Path| {
        let mut files = scan.file_groups.iter().flat_map(|group| group.files());
        files.any(|other| other.path() == file)
    };
    let of_scan = |report: &ScanReport| report.first_file.as_ref().is_some_and(has);
    match scans.reports().into_iter().find(of_scan) {
        Some(report) => report.table,
        None => scan.object_store_url.as_str().to_owned(),
    }
}

fn swap(
    plan: &Arc<dyn ExecutionPlan>,
    old: &Arc<dyn ExecutionPlan>,
    new: &Arc<dyn ExecutionPlan>,
    proofs: Option<&Arc<Proofs>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if Arc::ptr_eq(plan, old) {
        return Ok(Arc::clone(new));
    }
    let children = plan.children();
    if children.is_empty() {
        return Ok(Arc::clone(plan));
    }
    let children = children
        .into_iter()
        .map(|child| swap(child, old, new, proofs))
        .collect::<Result<Vec<_>>>()?;
    if let ([child], true) = (children.as_slice(), plan.is::<FragmentCacheExec>()) {
        let cache = FragmentCacheExec::new(Arc::clone(child));
        return Ok(Arc::new(cache.with_proofs(proofs.cloned())));
    }
    Arc::clone(plan).replace_children(
        children,
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}
