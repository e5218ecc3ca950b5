//! A cache in memory and, below it, on disk: what was let go from memory is still found there, and so is
//! what an earlier process kept.
//!
//! Entries are written to disk when they are made, in the background, and are checked by a hash when they
//! are read: whatever is damaged is not there. Neither reading nor writing holds up the threads that run
//! queries.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foyer::{
    BlockEngineConfig, Code, DeviceBuilder, Error, Event, EventListener, EvictionConfig, FsDeviceBuilder,
    HybridCache, HybridCacheBuilder, HybridCachePolicy, HybridCacheProperties, Location, Result, Spawner,
    StorageValue,
};

use super::activity::{Activity, Held};

/// What is on disk is given up in parts of this size: at least so many there are, and so large they get.
const BLOCKS: usize = 32;
const MIN_BLOCK: usize = 1 << 20;
const MAX_BLOCK: usize = 16 << 20;
/// Bytes on their way to the disk, twice: what comes faster than it takes them is not written.
const BUFFER: usize = 16 << 20;
/// Locks that entries in memory are spread over.
const SHARDS: usize = 4;
/// What `st_blocks` counts in, whatever the file system's own blocks are.
const SECTOR: u64 = 512;

/// Where entries are kept on disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) folder: PathBuf,
    pub(crate) bytes: usize,
}

/// Names an entry, by a hash of all that it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) [u8; 32]);

impl Code for Key {
    fn encode(&self, writer: &mut impl std::io::Write) -> Result<()> {
        writer.write_all(&self.0).map_err(Error::io_error)
    }

    fn decode(reader: &mut impl std::io::Read) -> Result<Self> {
        let mut key = [0; 32];
        reader.read_exact(&mut key).map_err(Error::io_error)?;
        Ok(Self(key))
    }

    fn estimated_size(&self) -> usize {
        self.0.len()
    }
}

/// The cache. Values are cheap to clone.
pub(crate) struct Tiers<V: StorageValue + Clone> {
    cache: HybridCache<Key, V>,
    disk: Option<DiskUse>,
    /// Set while all entries are removed, which is no eviction.
    clearing: Arc<AtomicBool>,
}

/// What files in a folder take on the disk, as it was when someone looked.
struct DiskUse {
    folder: PathBuf,
    bytes: AtomicU64,
}

/// Counts entries that have to leave memory.
struct Evictions<V> {
    activity: Arc<Activity>,
    clearing: Arc<AtomicBool>,
    values: PhantomData<fn(V)>,
}

impl<V: StorageValue> EventListener for Evictions<V> {
    type Key = Key;
    type Value = V;

    fn on_leave(&self, reason: Event, _: &Key, _: &V) {
        if reason == Event::Evict && !self.clearing.load(Ordering::Relaxed) {
            self.activity.evicted();
        }
    }
}

impl<V: StorageValue + Clone> fmt::Debug for Tiers<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiers")
            .field("bytes_in_memory", &self.cache.memory().usage())
            .finish_non_exhaustive()
    }
}

impl<V: StorageValue + Clone> Tiers<V> {
    /// Opens it with what is on the disk. A disk that cannot be used is told, and done without.
    pub(crate) async fn open(
        activity: &Arc<Activity>,
        memory: usize,
        disk: Option<&Disk>,
        eviction: EvictionConfig,
        weight: impl Fn(&V) -> usize + Clone + Send + Sync + 'static,
        spawner: Spawner,
    ) -> Result<Self> {
        let clearing = Arc::new(AtomicBool::new(false));
        let builder = || {
            let weight = weight.clone();
            let evictions = Evictions {
                activity: Arc::clone(activity),
                clearing: Arc::clone(&clearing),
                values: PhantomData,
            };
            HybridCacheBuilder::new()
                .with_name(activity.name)
                .with_event_listener(Arc::new(evictions))
                .with_policy(HybridCachePolicy::WriteOnInsertion)
                .with_flush_on_close(false)
                .memory(memory)
                .with_shards(SHARDS)
                .with_eviction_config(eviction.clone())
                .with_weighter(move |_: &Key, value: &V| weight(value))
                .storage()
                .with_spawner(spawner.clone())
        };
        if let Some(disk) = disk {
            let engine = || {
                let block = (disk.bytes / BLOCKS).clamp(MIN_BLOCK, MAX_BLOCK);
                let device = FsDeviceBuilder::new(&disk.folder)
                    .with_capacity(disk.bytes)
                    .build()?;
                Ok(BlockEngineConfig::new(device)
                    .with_block_size(block)
                    .with_buffer_pool_size(BUFFER)
                    .with_submit_queue_size_threshold(BUFFER))
            };
            let opened = match engine() {
                Ok(engine) => builder().with_engine_config(engine).build().await,
                Err(error) => Err(error),
            };
            match opened {
                Ok(cache) => {
                    let disk = DiskUse {
                        folder: disk.folder.clone(),
                        bytes: AtomicU64::new(0),
                    };
                    let tiers = Self {
                        cache,
                        disk: Some(disk),
                        clearing,
                    };
                    tiers.measure();
                    return Ok(tiers);
                }
                Err(error) => {
                    let folder = disk.folder.display();
                    tracing::warn!(%error, %folder, "a cache is kept in memory alone");
                }
            }
        }
        let cache = builder().build().await?;
        Ok(Self {
            cache,
            disk: None,
            clearing,
        })
    }

    pub(crate) fn in_memory(&self, key: &Key) -> Option<V> {
        let entry = self.cache.memory().get(key)?;
        Some(entry.value().clone())
    }

    pub(crate) async fn get(&self, key: &Key) -> Option<V> {
        if let Some(value) = self.in_memory(key) {
            return Some(value);
        }
        if !self.cache.storage().may_contains(key) {
            return None;
        }
        match self.cache.get(key).await {
            Ok(entry) => entry.map(|entry| entry.value().clone()),
            Err(error) => {
                tracing::warn!(%error, "an entry of a cache cannot be read");
                self.cache.remove(key);
                None
            }
        }
    }

    pub(crate) fn put(&self, key: Key, value: V) {
        self.cache.insert(key, value);
    }

    /// Puts what is soon of no use any more, and not worth the disk's time.
    pub(crate) fn put_in_memory(&self, key: Key, value: V) {
        let properties = HybridCacheProperties::default().with_location(Location::InMem);
        self.cache.insert_with_properties(key, value, properties);
    }

    /// What is there, or what `fetch` gives. Who asks for the same meanwhile waits for it; failures are not
    /// kept.
    pub(crate) async fn get_or_fetch<E>(
        &self,
        key: &Key,
        fetch: impl Future<Output = std::result::Result<V, E>> + Send + 'static,
    ) -> Result<V>
    where
        E: StdError + Send + Sync + 'static,
    {
        let fetched = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&fetched);
        let fetch = async move {
            let value = fetch.await?;
            note.store(true, Ordering::Release);
            Ok::<_, E>(value)
        };
        let entry = self.cache.memory().get_or_fetch(key, || fetch).await?;
        // Of all who have waited, one writes it.
        if fetched.load(Ordering::Acquire) {
            self.cache.storage().enqueue(entry.piece(), false);
        }
        Ok(entry.value().clone())
    }

    pub(crate) fn clear_memory(&self) {
        // `clear` would go on counting the bytes of what it has removed, and leave no room for others.
        self.clearing.store(true, Ordering::Relaxed);
        self.cache.memory().evict_all();
        self.clearing.store(false, Ordering::Relaxed);
    }

    /// What it holds, if it may take so many bytes of memory.
    pub(crate) fn held(&self, max_bytes: usize) -> Held {
        let memory = self.cache.memory();
        let disk = self.disk.as_ref();
        Held {
            max_bytes,
            entries: memory.entries(),
            bytes: memory.usage(),
            disk_bytes: disk.map(|disk| disk.bytes.load(Ordering::Relaxed)),
        }
    }

    /// Looks how much of the disk is taken, for [`Tiers::held`]. It waits for the disk.
    pub(crate) fn measure(&self) {
        let Some(disk) = &self.disk else { return };
        match taken(&disk.folder) {
            Ok(bytes) => disk.bytes.store(bytes, Ordering::Relaxed),
            Err(error) => {
                let folder = disk.folder.display();
                tracing::warn!(%error, %folder, "how much of the disk a cache takes is not known");
            }
        }
    }

    /// Waits until what was put is on disk.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.cache.close().await {
            tracing::warn!(%error, "a cache cannot be closed");
        }
    }
}

/// The files of a cache are as long as they may get from the start, and take room where they were written.
fn taken(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.blocks() * SECTOR;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use foyer::LruConfig;

    use super::*;

    async fn open(memory: usize, disk: Option<&Disk>) -> (Tiers<Bytes>, Arc<Activity>) {
        let activity = Arc::new(Activity::new("test"));
        let eviction = LruConfig::default().into();
        let tiers = Tiers::open(&activity, memory, disk, eviction, Bytes::len, Spawner::current());
        (tiers.await.unwrap(), activity)
    }

    fn key(n: u8) -> Key {
        Key([n; 32])
    }

    #[tokio::test]
    async fn what_is_held_and_what_had_to_go_is_known() {
        let (cache, activity) = open(64 << 10, None).await;
        let figures = || activity.figures(cache.held(64 << 10));
        (0..10).for_each(|n| cache.put(key(n), Bytes::from(vec![0; 100])));
        let first = figures();
        assert_eq!((first.entries, first.bytes, first.evictions), (10, 1_000, 0));
        assert_eq!((first.max_bytes, first.disk_bytes), (64 << 10, None));
        // One in the place of another, and all at once on request: neither had to go.
        cache.put(key(0), Bytes::from(vec![0; 200]));
        assert_eq!(figures().bytes, 1_100);
        cache.clear_memory();
        let cleared = figures();
        assert_eq!((cleared.entries, cleared.bytes, cleared.evictions), (0, 0, 0));
        (0..100).for_each(|n| cache.put(key(n), Bytes::from(vec![0; 1 << 10])));
        let full = figures();
        assert!(full.evictions > 0, "{full:?}");
        assert_eq!(full.entries + full.evictions, 100);
        assert!(full.bytes <= full.max_bytes, "{full:?}");
    }

    #[tokio::test]
    async fn the_disk_that_is_taken_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk {
            folder: folder.path().to_owned(),
            bytes: 32 << 20,
        };
        let (cache, _) = open(1 << 20, Some(&disk)).await;
        let before = cache.held(1 << 20).disk_bytes.unwrap();
        assert!(before < 1 << 20, "{before}");
        (0..100).for_each(|n| cache.put(key(n), Bytes::from(vec![n; 10 << 10])));
        cache.close().await;
        cache.measure();
        let after = cache.held(1 << 20).disk_bytes.unwrap();
        assert!((1_000 << 10..8 << 20).contains(&after), "{after}");
        drop(cache);
        let (cache, _) = open(1 << 20, Some(&disk)).await;
        assert_eq!(cache.held(1 << 20).disk_bytes, Some(after));
    }

    #[tokio::test]
    async fn what_was_cleared_takes_no_room() {
        let (cache, _) = open(400 << 10, None).await;
        let fill = |numbers: std::ops::Range<u8>| {
            for n in numbers.clone() {
                cache.put(key(n), Bytes::from(vec![0; 1 << 10]));
            }
            numbers.filter(|n| cache.in_memory(&key(*n)).is_some()).count()
        };
        for round in 0..5 {
            assert_eq!(fill(0..200), 200, "{round}");
            cache.clear_memory();
            assert_eq!(cache.in_memory(&key(7)), None);
            assert_eq!(cache.cache.memory().usage(), 0);
        }
    }
}
