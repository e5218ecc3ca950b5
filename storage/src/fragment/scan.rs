//! The scans of a fragment: their files and conditions.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;

/// All of them hold.
pub(super) type Conditions = Vec<Arc<dyn PhysicalExpr>>;

pub(super) fn file_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?
        .data_source()
        .downcast_ref::<FileScanConfig>()
}

/// The conditions of a scan, without those that become known only as others run: whoever made these
/// looks at the rows again.
pub(super) fn conjuncts(leaf: &Arc<dyn ExecutionPlan>) -> Option<Conditions> {
    let source = file_scan(leaf)?.file_source();
    source.downcast_ref::<ParquetSource>()?;
    let mut fixed = conditions(leaf);
    fixed.retain(|conjunct| dynamic(conjunct).is_none());
    Some(fixed)
}

/// The filters of a scan that become known only as others run, by their ids.
pub(super) fn dynamic_filters(leaf: &Arc<dyn ExecutionPlan>) -> impl Iterator<Item = u64> {
    conditions(leaf)
        .into_iter()
        .filter_map(|conjunct| dynamic(&conjunct))
}

/// The filters that the joins of a plan make for their probe sides, by their ids. What such a filter lets
/// pass hangs on the build side alone, whatever is probed.
pub(super) fn join_filters(plan: &Arc<dyn ExecutionPlan>) -> HashSet<u64> {
    let mut filters = HashSet::new();
    if plan.is::<HashJoinExec>() {
        let produced = plan.dynamic_expressions_produced();
        filters.extend(produced.iter().filter_map(|filter| filter.expression_id()));
    }
    for child in plan.children() {
        filters.extend(join_filters(child));
    }
    filters
}

/// Those conditions of a scan that are filters of joins.
pub(super) fn conditions_of_joins(leaf: &Arc<dyn ExecutionPlan>, filters: &HashSet<u64>) -> Conditions {
    let mut made = conditions(leaf);
    made.retain(|conjunct| dynamic(conjunct).is_some_and(|filter| filters.contains(&filter)));
    made
}

fn conditions(leaf: &Arc<dyn ExecutionPlan>) -> Conditions {
    let Some(predicate) = file_scan(leaf).and_then(|scan| scan.file_source().filter()) else {
        return Vec::new();
    };
    split_conjunction(&predicate).into_iter().cloned().collect()
}

fn dynamic(conjunct: &Arc<dyn PhysicalExpr>) -> Option<u64> {
    conjunct.downcast_ref::<DynamicFilterPhysicalExpr>()?;
    Some(conjunct.expression_id().unwrap_or_default())
}

/// The scan of some files, as one partition, with these conditions.
pub(super) fn scan_of(
    leaf: &Arc<dyn ExecutionPlan>,
    files: Vec<PartitionedFile>,
    conditions: impl IntoIterator<Item = Arc<dyn PhysicalExpr>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(scan) = file_scan(leaf) else {
        return internal_err!("a fragment's leaf is no scan of files");
    };
    let mut builder = FileScanConfigBuilder::from(scan.clone()).with_file_groups(vec![FileGroup::new(files)]);
    let source = scan
        .file_source()
        .downcast_ref::<ParquetSource>()
        .ok_or_else(|| internal_datafusion_err!("a fragment's scan is not of Parquet"))?;
    if scan.file_source().filter().is_some() {
        builder = builder.with_source(Arc::new(source.with_predicate(conjunction(conditions))));
    }
    let mut scan = builder.build();
    scan.output_partitioning = None;
    Ok(DataSourceExec::from_data_source(scan))
}
