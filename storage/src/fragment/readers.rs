//! Readers that tell what was read through them. Scans that are made of one share its counts, and cannot tell.

use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{ParquetFileReaderFactory, ParquetSource};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use parquet::arrow::async_reader::AsyncFileReader;

use super::scan::file_scan;

/// What one scan reads.
#[derive(Debug, Clone, Default)]
pub(super) struct BytesRead(ExecutionPlanMetricsSet);

impl BytesRead {
    pub(super) fn so_far(&self) -> usize {
        let read = self.0.clone_inner().sum_by_name("bytes_scanned");
        read.map_or(0, |read| read.as_usize())
    }
}

/// The scan as it is, but what it reads is told.
pub(super) fn counting(
    scan: &Arc<dyn ExecutionPlan>,
    context: &TaskContext,
) -> Result<(Arc<dyn ExecutionPlan>, BytesRead)> {
    let config = file_scan(scan);
    let (mut config, source) = config
        .and_then(|config| {
            Some((
                config.clone(),
                config.file_source().downcast_ref::<ParquetSource>()?,
            ))
        })
        .ok_or_else(|| internal_datafusion_err!("a fragment's scan is not of Parquet"))?;
    let inner = match source.parquet_file_reader_factory() {
        Some(readers) => Arc::clone(readers),
        None => {
            let store = context.runtime_env().object_store(&config.object_store_url)?;
            Arc::new(DefaultParquetFileReaderFactory::new(store))
        }
    };
    let read = BytesRead::default();
    let readers = CountingReaders {
        inner,
        read: read.clone(),
    };
    let source = source.clone().with_parquet_file_reader_factory(Arc::new(readers));
    config.file_source = Arc::new(source);
    Ok((DataSourceExec::from_data_source(config), read))
}

#[derive(Debug)]
struct CountingReaders {
    inner: Arc<dyn ParquetFileReaderFactory>,
    read: BytesRead,
}

impl ParquetFileReaderFactory for CountingReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let own = ExecutionPlanMetricsSet::new();
        let reader = self
            .inner
            .create_reader(partition, file, metadata_size_hint, &own)?;
        // Both sets have the same counts, not copies of them.
        for count in own.clone_inner().iter() {
            metrics.register(Arc::clone(count));
            self.read.0.register(Arc::clone(count));
        }
        Ok(reader)
    }
}
