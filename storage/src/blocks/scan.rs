//! What versions a scan's files are, carried with its plan, and readers that go by it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::{ParquetColumnOptions, TableParquetOptions};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, DefaultParquetFileReaderFactory,
};
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetFileReaderFactory, ParquetSource};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;

use super::cache::BlockCache;
use super::footers::{ChangedFooters, FooterChange};
use super::object::{PinnedStore, Version};
use crate::numbers::with_exact_units;

/// Names of columns that no file has. What is said of columns is for writers of Parquet alone, and travels
/// with scans all the same; the tags of files do not.
const IMMUTABLE: &str = "watershed.immutable";
const TAG: &str = "watershed.tag:";
/// How many bytes of those that a scan asked for were not fetched.
const CACHED: &str = "data_bytes_cached";

/// Notes that the files of a scan never change under their names.
pub(crate) fn files_never_change(options: &mut TableParquetOptions) {
    let columns = &mut options.column_specific_options;
    columns.insert(IMMUTABLE.to_owned(), ParquetColumnOptions::default());
}

/// The scan with the tags of its files, where they may be needed.
pub(crate) fn with_tags(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let Some((scan, source)) = parquet_scan(&plan) else {
        return plan;
    };
    let mut options = source.table_parquet_options().clone();
    let files = scan.file_groups.iter().flat_map(|group| group.files());
    for file in files {
        let note = ParquetColumnOptions {
            encoding: file.object_meta.e_tag.clone(),
            ..ParquetColumnOptions::default()
        };
        options.column_specific_options.insert(tag_name(file), note);
    }
    let source = source.clone().with_table_parquet_options(options);
    let mut scan = scan.clone();
    scan.file_source = Arc::new(source);
    DataSourceExec::from_data_source(scan)
}

/// The plan, with scans that read object stores by way of the cache, and know the versions of their files.
pub fn with_blocks(
    plan: Arc<dyn ExecutionPlan>,
    runtime: &RuntimeEnv,
    cache: &Arc<BlockCache>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = with_exact_units(plan)?;
    plan.transform_up(|node| {
        let Some((scan, source)) = parquet_scan(&node) else {
            return Ok(Transformed::no(node));
        };
        let options = source.table_parquet_options();
        let notes = &options.column_specific_options;
        let change = FooterChange::noted(options);
        let immutable = notes.contains_key(IMMUTABLE);
        // Files of this machine are in memory as it is.
        let is_local = scan.object_store_url.as_str().starts_with("file:");
        if is_local && immutable {
            return Ok(Transformed::no(node));
        }
        let mut scan = scan.clone();
        for group in &mut scan.file_groups {
            for place in 0..group.len() {
                let file = &mut group[place];
                if let Some(note) = notes.get(&tag_name(file)) {
                    file.object_meta.e_tag.clone_from(&note.encoding);
                }
            }
        }
        let store = runtime.object_store(&scan.object_store_url)?;
        let metadata = runtime.cache_manager.get_file_metadata_cache();
        let readers = match is_local {
            true => {
                let files = scan.file_groups.iter().flat_map(|group| group.files());
                for file in files {
                    forget_other_versions(metadata.as_ref(), &file.object_meta);
                }
                own_readers(source, store)
            }
            false => Arc::new(BlockReaders {
                url: scan.object_store_url.as_str().to_owned(),
                store,
                metadata,
                cache: Arc::clone(cache),
                immutable,
            }),
        };
        Ok(Transformed::yes(with_readers(scan, source, readers, change)))
    })
    .data()
}

/// The plan with scans that take their files as they are meant, without any cache. Plans that are distributed may stay
/// in the process that planned them, as a whole or in part.
pub fn with_meant_files(
    plan: Arc<dyn ExecutionPlan>,
    runtime: &RuntimeEnv,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = with_exact_units(plan)?;
    plan.transform_up(|node| {
        let Some((scan, source)) = parquet_scan(&node) else {
            return Ok(Transformed::no(node));
        };
        let Some(change) = FooterChange::noted(source.table_parquet_options()) else {
            return Ok(Transformed::no(node));
        };
        let readers = own_readers(source, runtime.object_store(&scan.object_store_url)?);
        Ok(Transformed::yes(with_readers(
            scan.clone(),
            source,
            readers,
            Some(change),
        )))
    })
    .data()
}

/// The readers that a scan has already, else those that DataFusion gives it.
fn own_readers(source: &ParquetSource, store: Arc<dyn ObjectStore>) -> Arc<dyn ParquetFileReaderFactory> {
    match source.parquet_file_reader_factory() {
        Some(readers) => Arc::clone(readers),
        None => Arc::new(DefaultParquetFileReaderFactory::new(store)),
    }
}

fn with_readers(
    mut scan: FileScanConfig,
    source: &ParquetSource,
    mut readers: Arc<dyn ParquetFileReaderFactory>,
    change: Option<FooterChange>,
) -> Arc<dyn ExecutionPlan> {
    if let Some(change) = change {
        readers = Arc::new(ChangedFooters {
            inner: readers,
            change,
        });
    }
    let source = source.clone().with_parquet_file_reader_factory(readers);
    scan.file_source = Arc::new(source);
    DataSourceExec::from_data_source(scan)
}

/// A scan of Parquet.
fn parquet_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, &ParquetSource)> {
    let scan = plan
        .downcast_ref::<DataSourceExec>()?
        .data_source()
        .downcast_ref::<FileScanConfig>()?;
    Some((scan, scan.file_source().downcast_ref::<ParquetSource>()?))
}

/// Forgets the footer of another version of a file. Footers are found by size and time, which two versions may share.
fn forget_other_versions(footers: &FileMetadataCache, file: &ObjectMeta) {
    let known = footers.get(&file.location);
    if known.is_some_and(|known| known.meta.e_tag != file.e_tag) {
        footers.remove(&file.location);
    }
}

fn tag_name(file: &PartitionedFile) -> String {
    format!("{TAG}{}", file.object_meta.location)
}

/// Makes readers that read a version of their file.
#[derive(Debug)]
struct BlockReaders {
    url: String,
    store: Arc<dyn ObjectStore>,
    metadata: Arc<FileMetadataCache>,
    cache: Arc<BlockCache>,
    immutable: bool,
}

impl ParquetFileReaderFactory for BlockReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let meta = &file.object_meta;
        if !self.immutable {
            forget_other_versions(self.metadata.as_ref(), meta);
        }
        let epoch = self.cache.epoch(meta.location.as_ref());
        let cached = Arc::new(AtomicUsize::new(0));
        let count = MetricBuilder::new(metrics).counter(CACHED, partition);
        let version = Version::of(&self.url, &self.store, meta, self.immutable, epoch);
        let store: Arc<dyn ObjectStore> = match version {
            Some(version) => Arc::new(PinnedStore {
                version: Arc::new(version),
                cache: Arc::clone(&self.cache),
                cached: Arc::clone(&cached),
            }),
            None => Arc::clone(&self.store),
        };
        let reader = CachedParquetFileReaderFactory::new(store, Arc::clone(&self.metadata));
        let inner = reader.create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(BlockReader { inner, cached, count }))
    }
}

/// A reader that counts what of its data was kept. As the reader within, it counts no footers.
struct BlockReader {
    inner: Box<dyn AsyncFileReader + Send>,
    cached: Arc<AtomicUsize>,
    count: Count,
}

impl BlockReader {
    /// What was read from the cache since this was last asked.
    fn cached(&self) -> usize {
        self.cached.swap(0, Ordering::Relaxed)
    }
}

impl AsyncFileReader for BlockReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let bytes = self.inner.get_bytes(range).await?;
            self.count.add(self.cached());
            Ok(bytes)
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            let parts = self.inner.get_byte_ranges(ranges).await?;
            self.count.add(self.cached());
            Ok(parts)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let footer = self.inner.get_metadata(options).await?;
            self.cached();
            Ok(footer)
        }
        .boxed()
    }
}
