//! External tables of plain files, each scan of which is reported.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::stats::Precision;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use crate::table::{ScanLog, ScanReport};

/// DataFusion's table over files, with reports, and with large files split among partitions: nothing
/// depends on which partition reads what here.
#[derive(Debug)]
pub(super) struct FilesTable {
    pub(super) name: String,
    pub(super) inner: ListingTable,
    pub(super) log: ScanLog,
}

impl FilesTable {
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
        let target = state.config().target_partitions();
        Ok(plan
            .repartitioned(target, state.config_options())?
            .unwrap_or(plan))
    }
}
