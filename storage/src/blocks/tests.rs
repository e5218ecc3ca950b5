//! Data is fetched once per version of its object, by whoever reads it and wherever the plan came from.

use std::ops::Range;
use std::slice::from_ref;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use datafusion::catalog::memory::DataSourceExec;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use url::Url;

use super::cache::BlockCache;
use super::object::Version;
use super::scan::{with_blocks, with_tags};
use crate::cache::{Disk, Epochs};
use crate::codec::WatershedCodec;
use crate::fixture::faulty::FaultyStore;
use crate::fixture::{Fixture, texts};

const URL: &str = "s3://bucket/";

/// A store with one object, whose gets are counted.
struct World {
    counted: Arc<FaultyStore>,
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl World {
    fn new() -> Self {
        let counted = FaultyStore::new(Arc::new(InMemory::new()));
        Self {
            store: Arc::clone(&counted) as _,
            counted,
            path: Path::from("tables/a/1.parquet"),
        }
    }

    async fn put(&self, data: Vec<u8>) -> ObjectMeta {
        self.store.put(&self.path, data.into()).await.unwrap();
        let meta = self.store.head(&self.path).await.unwrap();
        self.counted.gets();
        meta
    }

    fn version(&self, cache: &BlockCache, meta: &ObjectMeta, immutable: bool) -> Arc<Version> {
        let epoch = cache.epoch(self.path.as_ref());
        Arc::new(Version::of(URL, &self.store, meta, immutable, epoch).unwrap())
    }
}

/// A megabyte and a bit that differs with `seed`.
fn data(seed: u64) -> Vec<u8> {
    (0..(1 << 20) + 77)
        .map(|n: u64| (n * n * 31 / 7 + seed) as u8)
        .collect()
}

/// Reads the ranges, sees that they are what is there, and gives how many of their bytes were kept.
async fn read_all(cache: &BlockCache, version: &Arc<Version>, ranges: &[Range<u64>], data: &[u8]) -> usize {
    let (parts, cached) = cache.read(version, ranges).await.unwrap().unwrap();
    for (part, range) in parts.iter().zip(ranges) {
        assert!(
            *part == data[range.start as usize..range.end as usize],
            "{range:?}"
        );
    }
    assert_eq!(parts.len(), ranges.len());
    cached
}

async fn read(cache: &BlockCache, version: &Arc<Version>, range: Range<u64>, data: &[u8]) -> usize {
    read_all(cache, version, from_ref(&range), data).await
}

#[tokio::test]
async fn blocks_are_fetched_once() {
    let world = World::new();
    let epochs = Arc::new(Epochs::default());
    let (cache, data) = (BlockCache::new(16 << 20, None, Arc::clone(&epochs)), data(0));
    let meta = world.put(data.clone()).await;
    let version = world.version(&cache, &meta, false);
    let size = meta.size;
    assert_eq!(read(&cache, &version, size - 8..size, &data).await, 0);
    assert_eq!(read(&cache, &version, size - 70..size - 5, &data).await, 65);
    assert_eq!(world.counted.gets(), 1);
    // Of two ranges far from each other, one is there.
    let ranges = [10..20, size - 20..size];
    assert_eq!(read_all(&cache, &version, &ranges, &data).await, 20);
    assert_eq!(world.counted.gets(), 1);
    // All of it, and again: what lies between, at once.
    assert!(read(&cache, &version, 0..size, &data).await > 128 << 10);
    assert_eq!(world.counted.gets(), 1);
    assert_eq!(read(&cache, &version, 0..size, &data).await, data.len());
    assert_eq!(world.counted.gets(), 0);
    // Blocks: the last one, again, the first and the last one, all nine, and again.
    let figures = cache.figures();
    assert_eq!((figures.hits, figures.misses), (1 + 1 + 2 + 9, 1 + 1 + 7));
    assert_eq!((figures.entries, figures.evictions), (9, 0));
    assert!((size..size + 9 * 1024).contains(&figures.bytes), "{figures:?}");
    // What is beyond the end is for the store to refuse.
    assert!(
        cache
            .read(&version, from_ref(&(0..size + 1)))
            .await
            .unwrap()
            .is_none()
    );
    epochs.forget(&[], true);
    let version = world.version(&cache, &meta, false);
    assert_eq!(read(&cache, &version, 0..size, &data).await, 0);
}

#[tokio::test]
async fn who_asks_at_the_same_time_waits() {
    let world = World::new();
    let (cache, data) = (BlockCache::new(16 << 20, None, Arc::default()), data(0));
    let meta = world.put(data.clone()).await;
    let version = world.version(&cache, &meta, false);
    let readers = (0..50).map(|_| {
        let (cache, version) = (&cache, &version);
        async move {
            cache
                .read(version, from_ref(&(0..1 << 20)))
                .await
                .unwrap()
                .unwrap()
                .0
        }
    });
    for parts in futures::future::join_all(readers).await {
        assert!(parts[0] == data[..1 << 20]);
    }
    assert_eq!(world.counted.gets(), 1);
}

#[tokio::test]
async fn another_version_is_never_taken_for_the_first() {
    let world = World::new();
    let cache = BlockCache::new(16 << 20, None, Arc::default());
    let (first, second) = (data(1), data(2));
    let meta = world.put(first.clone()).await;
    let old = world.version(&cache, &meta, false);
    read(&cache, &old, 0..100, &first).await;
    // In place, of the same size and, as far as stores tell, of the same time.
    let changed = ObjectMeta {
        last_modified: meta.last_modified,
        ..world.put(second.clone()).await
    };
    assert_eq!(changed.size, meta.size);
    let new = world.version(&cache, &changed, false);
    assert_eq!(read(&cache, &new, 0..100, &second).await, 0);
    // Who still goes by the old version gets what was kept of it, and keeps nothing of the new.
    assert_eq!(read(&cache, &old, 0..100, &first).await, 100);
    let beyond = 900_000..900_100;
    assert!(cache.read(&old, from_ref(&beyond)).await.unwrap().is_none());
    assert_eq!(read(&cache, &new, beyond, &second).await, 0);
    // Without a tag, versions cannot be told apart for certain.
    let unknown = ObjectMeta { e_tag: None, ..meta };
    assert!(Version::of(URL, &world.store, &unknown, false, 0).is_none());
    assert!(Version::of(URL, &world.store, &unknown, true, 0).is_some());
    world.store.delete(&world.path).await.unwrap();
    let error = cache.read(&new, from_ref(&(400_000..400_100))).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn blocks_outlive_the_process() {
    let world = World::new();
    let (folder, data) = (tempfile::tempdir().unwrap(), data(0));
    let meta = world.put(data.clone()).await;
    let open = || {
        let disk = Disk {
            folder: folder.path().to_owned(),
            bytes: 64 << 20,
        };
        BlockCache::new(4 << 20, Some(disk), Arc::default())
    };
    let cache = open();
    let version = world.version(&cache, &meta, true);
    assert_eq!(read(&cache, &version, 0..meta.size, &data).await, 0);
    cache.close().await;
    drop(cache);
    world.counted.gets();
    let cache = open();
    assert_eq!(read(&cache, &version, 0..meta.size, &data).await, data.len());
    assert_eq!(world.counted.gets(), 0);
    cache.close().await;
    drop(cache);
    // A byte of each page but the first, which says what there is, is another now: all is fetched again.
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes
            .iter_mut()
            .skip((4 << 10) + 60)
            .step_by(4 << 10)
            .for_each(|byte| *byte ^= 1);
        std::fs::write(&path, bytes).unwrap();
    }
    let cache = open();
    assert_eq!(read(&cache, &version, 0..meta.size, &data).await, 0);
}

/// Numbers from `first` on, as a file of Parquet.
fn numbers(first: i64) -> (RecordBatch, Vec<u8>) {
    let column: Int64Array = (first..first + 1_000).collect();
    let batch = RecordBatch::try_from_iter([("n", Arc::new(column) as _)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    (batch, bytes)
}

#[tokio::test]
async fn scans_that_have_travelled_know_the_versions_of_their_files() {
    let world = World::new();
    let fixture = Fixture::new();
    let runtime = fixture.context.runtime_env();
    runtime.register_object_store(&Url::parse(URL).unwrap(), Arc::clone(&world.store));
    let cache = Arc::new(BlockCache::new(16 << 20, None, Arc::default()));
    let scan = |meta: &ObjectMeta, batch: &RecordBatch| {
        let source = Arc::new(ParquetSource::new(batch.schema()));
        let file = PartitionedFile::from(meta.clone());
        let url = ObjectStoreUrl::parse(URL).unwrap();
        let scan = FileScanConfigBuilder::new(url, source)
            .with_file_groups(vec![FileGroup::new(vec![file])])
            .build();
        let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan);
        let plan = with_tags(plan);
        physical_plan_to_bytes_with_extension_codec(plan, &WatershedCodec).unwrap()
    };
    let run = async |plan: &[u8]| {
        let context = fixture.context.task_ctx();
        let plan = physical_plan_from_bytes_with_extension_codec(plan, &context, &WatershedCodec).unwrap();
        let plan = with_blocks(plan, &runtime, &cache).unwrap();
        let rows = collect(Arc::clone(&plan), context).await.unwrap();
        let count = |name: &str| plan.metrics().unwrap().sum_by_name(name).unwrap().as_usize();
        (texts(&rows), count("bytes_scanned"), count("data_bytes_cached"))
    };
    let (batch, bytes) = numbers(0);
    let meta = world.put(bytes).await;
    let plan = scan(&meta, &batch);
    let (rows, scanned, cached) = run(&plan).await;
    assert_eq!(rows, texts(&[batch]));
    // A small file is one block, fetched with its footer.
    assert_eq!((world.counted.gets(), cached), (1, scanned));
    assert!(scanned > 0);
    assert_eq!(run(&plan).await, (rows, scanned, scanned));
    assert_eq!(world.counted.gets(), 0);

    let (batch, bytes) = numbers(5_000);
    let changed = ObjectMeta {
        last_modified: meta.last_modified,
        ..world.put(bytes).await
    };
    assert_eq!(changed.size, meta.size);
    let (rows, _, _) = run(&scan(&changed, &batch)).await;
    assert_eq!(rows, texts(&[batch]));
}
