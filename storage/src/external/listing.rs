//! External tables of plain files, each scan of which is reported.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::ExecutionPlan;
use xxhash_rust::xxh3::Xxh3;

use super::place::Place;
use crate::blocks::with_tags;
use crate::table::{ScanLog, ScanReport, deal};

/// DataFusion's table over files, with reports, and with large files split among partitions: nothing
/// depends on which partition reads what here.
#[derive(Debug)]
pub(crate) struct FilesTable {
    pub(crate) name: String,
    /// As it was declared.
    pub(crate) location: String,
    /// How it was declared, in full: it says what the files' rows are.
    pub(crate) declaration: String,
    /// A digest of the files that were there when the statement looked; none of too many.
    pub(crate) seen: Option<String>,
    pub(super) inner: ListingTable,
    pub(super) log: ScanLog,
}

/// A digest of files: path, size, time and tag of each.
pub(crate) fn digest<'a>(
    files: impl Iterator<Item = (&'a str, u64, DateTime<Utc>, Option<&'a str>)>,
) -> String {
    let mut files: Vec<_> = files.collect();
    files.sort_unstable();
    let mut hash = Xxh3::new();
    for (path, size, modified, tag) in files {
        let tag = tag.unwrap_or_default();
        hash.update(format!("{path:?} {size} {} {tag:?}\n", modified.to_rfc3339()).as_bytes());
    }
    format!("{:032x}", hash.digest128())
}

impl FilesTable {
    /// A digest of the files that are there now, if all can be looked at.
    pub(crate) async fn look(location: &str, state: &SessionState) -> Option<String> {
        Place::find(location, state).await.ok()?.digest()
    }

    fn report(&self, plan: &dyn ExecutionPlan) -> ScanReport {
        let mut report = ScanReport {
            table: self.name.clone(),
            ..ScanReport::default()
        };
        let config = plan
            .downcast_ref::<DataSourceExec>()
            .and_then(|source| source.data_source().downcast_ref::<FileScanConfig>());
        let Some(config) = config else { return report };
        let mut paths = HashSet::new();
        for file in config.file_groups.iter().flat_map(|group| group.files()) {
            report.first_file.get_or_insert_with(|| file.path().clone());
            if paths.insert(file.path()) {
                report.bytes_scanned += file.object_meta.size;
            }
        }
        report.files_total = paths.len();
        report.files_scanned = paths.len();
        report.rows_estimated = match config.statistics().num_rows {
            Precision::Exact(rows) | Precision::Inexact(rows) => u64::try_from(rows).ok(),
            Precision::Absent => None,
        };
        report
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.inner.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.inner.scan(state, projection, filters, limit).await?;
        self.log.push(self.report(plan.as_ref()));
        if !plan.is::<DataSourceExec>() {
            return Ok(plan);
        }
        let plan = with_tags(plan);
        let partitions = state.config().target_partitions();
        if let Some(dealt) = dealt(&plan, partitions, state.config_options()) {
            return Ok(dealt);
        }
        Ok(plan
            .repartitioned(partitions, state.config_options())?
            .unwrap_or(plan))
    }
}

/// A scan of Parquet whose files are dealt out as those of our tables are.
fn dealt(
    plan: &Arc<dyn ExecutionPlan>,
    partitions: usize,
    options: &ConfigOptions,
) -> Option<Arc<dyn ExecutionPlan>> {
    let scan = plan
        .downcast_ref::<DataSourceExec>()?
        .data_source()
        .downcast_ref::<FileScanConfig>()?;
    scan.file_source().downcast_ref::<ParquetSource>()?;
    let schema = Arc::clone(scan.file_source().table_schema().table_schema());
    let files = scan.file_groups.iter().flat_map(|group| group.iter().cloned());
    let files = files.map(|mut file| {
        let known = file.statistics.as_deref();
        file.statistics = known.map(|known| Arc::new(without_float_bounds(known, &schema)));
        file
    });
    let groups = deal(
        files.collect(),
        partitions,
        options.optimizer.repartition_file_min_size as u64,
    );
    let statistics = without_float_bounds(&scan.statistics(), &schema);
    let mut scan = FileScanConfigBuilder::from(scan.clone())
        .with_statistics(statistics)
        .build();
    // Declared, so that nobody cuts the files in another way.
    scan.output_partitioning = Some(Partitioning::UnknownPartitioning(groups.len()));
    scan.file_groups = groups.into_iter().map(FileGroup::new).collect();
    Some(DataSourceExec::from_data_source(scan))
}

/// The statistics of files of Parquet with the bounds of floats as estimates. Writers leave NaN out of them, and
/// DataFusion would take a column whose bounds are one value for that value in all rows.
fn without_float_bounds(statistics: &Statistics, schema: &Schema) -> Statistics {
    let mut statistics = statistics.clone();
    for (column, field) in statistics.column_statistics.iter_mut().zip(schema.fields()) {
        if field.data_type().is_floating() {
            column.min_value = std::mem::take(&mut column.min_value).to_inexact();
            column.max_value = std::mem::take(&mut column.max_value).to_inexact();
        }
    }
    statistics
}
