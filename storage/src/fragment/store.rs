//! States of fragments over files: in memory, the least recently used goes first, and on disk.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use foyer::{LruConfig, Spawner};
use futures::{StreamExt, stream};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use watershed_core::cluster::CacheFigures;

use super::FragmentDigest;
use super::columns::Columns;
use super::entry::{Entry, State};
use crate::cache::{Activity, Disk, Epochs, Held, Key, Tiers};

/// Fragments that are known not to be worth it.
const MAX_BYPASSED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(10_000);
/// The part of its memory that columns of files may take.
const COLUMNS_PART: usize = 4;
/// States that are read from disk at a time.
const READS: usize = 32;

/// The cache of an executor.
pub struct FragmentCache {
    max_bytes: usize,
    /// None if it could not be opened: then nothing is kept.
    kept: Option<Tiers<Entry>>,
    epochs: Arc<Epochs>,
    /// Hits and misses are of states that parts of queries ask for, one by one or merged.
    activity: Arc<Activity>,
    columns: Columns,
    /// Fragments with so many groups that their states are as large as what they were made of.
    bypassed: Mutex<LruCache<FragmentDigest, ()>>,
    /// Those who compute the same state at the same time take turns.
    turns: Mutex<HashMap<FragmentDigest, Arc<tokio::sync::Mutex<()>>>>,
}

impl std::fmt::Debug for FragmentCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FragmentCache")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

impl FragmentCache {
    pub(crate) async fn open(max_bytes: usize, disk: Option<Disk>, epochs: Arc<Epochs>) -> Self {
        let eviction = LruConfig::default().into();
        let activity = Arc::new(Activity::new("fragments"));
        let kept = Tiers::open(
            &activity,
            max_bytes - max_bytes / COLUMNS_PART,
            disk.as_ref(),
            eviction,
            Entry::size,
            Spawner::current(),
        );
        let kept = kept
            .await
            .inspect_err(|error| tracing::error!(%error, "no states of fragments are kept"));
        Self {
            max_bytes,
            kept: kept.ok(),
            epochs,
            activity,
            columns: Columns::new(max_bytes / COLUMNS_PART),
            bypassed: Mutex::new(LruCache::new(MAX_BYPASSED)),
            turns: Mutex::default(),
        }
    }

    /// What is different in the keys of states over the files beside this one after they were invalidated.
    /// Files are immutable, so that only ever happens on request.
    pub(super) fn epoch(&self, path: &str) -> u64 {
        self.epochs.of(path)
    }

    /// Columns of files that states are computed from again and again.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(crate) fn clear_memory(&self) {
        self.columns.clear();
        if let Some(kept) = &self.kept {
            kept.clear_memory();
        }
    }

    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// What it holds, columns of files among the bytes, and has done.
    pub(crate) fn figures(&self) -> CacheFigures {
        let kept = self.kept.as_ref();
        let mut held = kept.map_or(Held::default(), |kept| kept.held(self.max_bytes));
        held.bytes += self.columns.bytes();
        self.activity.figures(held)
    }

    pub(crate) fn measure(&self) {
        if let Some(kept) = &self.kept {
            kept.measure();
        }
    }

    /// Waits until what is kept is on disk.
    pub(crate) async fn close(&self) {
        if let Some(kept) = &self.kept {
            kept.close().await;
        }
    }

    pub(super) async fn get(&self, key: &FragmentDigest) -> Option<State> {
        let entry = self.kept.as_ref()?.get(&Key(key.0)).await?;
        Some(entry.state)
    }

    /// [`FragmentCache::get`] for many, those on disk beside each other.
    pub(super) async fn get_all(&self, keys: &[FragmentDigest]) -> Vec<Option<State>> {
        let Some(kept) = &self.kept else {
            return vec![None; keys.len()];
        };
        let states = keys.iter().map(|key| async move {
            let key = Key(key.0);
            // Most often all are in memory, and there is nothing to wait for.
            let entry = match kept.in_memory(&key) {
                Some(entry) => Some(entry),
                None => kept.get(&key).await,
            };
            entry.map(|entry| entry.state)
        });
        let states: Vec<_> = states.collect();
        stream::iter(states).buffered(READS).collect().await
    }

    /// The merged state of a family, if all of its parts are among `wanted`.
    pub(super) async fn merged(
        &self,
        family: &FragmentDigest,
        wanted: &HashSet<FragmentDigest>,
    ) -> Option<(State, Arc<HashSet<FragmentDigest>>)> {
        let entry = self.kept.as_ref()?.get(&Key(family.0)).await?;
        entry
            .parts
            .is_subset(wanted)
            .then_some((entry.state, entry.parts))
    }

    pub(super) fn put(&self, key: FragmentDigest, state: State) {
        self.insert(key, Entry::new(state, Arc::default()));
    }

    pub(super) fn put_merged(&self, family: FragmentDigest, state: State, parts: HashSet<FragmentDigest>) {
        self.insert(family, Entry::new(state, Arc::new(parts)));
    }

    /// Keeps the state over the edge of a window that moves, which is another one soon.
    pub(super) fn put_for_now(&self, key: FragmentDigest, state: State) {
        let entry = Entry::new(state, Arc::default());
        if let Some(kept) = self.kept.as_ref().filter(|_| self.fits(&entry)) {
            kept.put_in_memory(Key(key.0), entry);
        }
    }

    fn insert(&self, key: FragmentDigest, entry: Entry) {
        if let Some(kept) = self.kept.as_ref().filter(|_| self.fits(&entry)) {
            kept.put(Key(key.0), entry);
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        entry.size() <= self.max_bytes / 8
    }

    pub(super) fn is_bypassed(&self, fragment: &FragmentDigest) -> bool {
        self.bypassed.lock().get(fragment).is_some()
    }

    pub(super) fn bypass(&self, fragment: FragmentDigest) {
        self.bypassed.lock().push(fragment, ());
    }

    /// The right to compute a state; others who want the same wait for it.
    pub(super) async fn turn(self: &Arc<Self>, key: FragmentDigest) -> Turn {
        let lock = Arc::clone(self.turns.lock().entry(key).or_default());
        let guard = lock.lock_owned().await;
        Turn {
            cache: Arc::clone(self),
            key,
            guard: Some(guard),
        }
    }
}

/// See [`FragmentCache::turn`].
pub(super) struct Turn {
    cache: Arc<FragmentCache>,
    key: FragmentDigest,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.cache.turns.lock();
        drop(self.guard.take());
        // The map's own and no other: nobody waits.
        if turns
            .get(&self.key)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::super::entry::Computed;
    use super::*;

    fn state(rows: i64) -> State {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("text", DataType::Utf8, true),
        ]);
        let texts: StringArray = (0..rows).map(|n| (n % 2 == 0).then(|| n.to_string())).collect();
        let numbers: Int64Array = (0..rows).collect();
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers), Arc::new(texts)]);
        Arc::new(Computed {
            rows: vec![batch.unwrap()],
            bytes_read: 1_000,
        })
    }

    fn digest(n: i64) -> FragmentDigest {
        FragmentDigest::of(&n.to_string())
    }

    async fn open(folder: &Path, max_bytes: usize) -> Arc<FragmentCache> {
        let disk = Disk {
            folder: folder.to_owned(),
            bytes: 32 << 20,
        };
        Arc::new(FragmentCache::open(max_bytes, Some(disk), Arc::default()).await)
    }

    #[tokio::test]
    async fn states_outlive_memory_and_process() {
        let folder = tempfile::tempdir().unwrap();
        // Memory for a few of them only.
        let cache = open(folder.path(), 64 << 10).await;
        let parts: HashSet<_> = (0..100).map(digest).collect();
        for n in 0..100 {
            cache.put(digest(n), state(n));
        }
        cache.put_merged(digest(-1), state(3), parts.clone());
        let keys: Vec<_> = (-2..100).filter(|n| *n != -1).map(digest).collect();
        let check = async |cache: &FragmentCache| {
            let found = cache.get_all(&keys).await;
            assert_eq!(found[0], None);
            for (n, found) in (0..100).zip(&found[1..]) {
                assert_eq!(found.as_ref(), Some(&state(n)), "{n}");
            }
            let merged = cache.merged(&digest(-1), &parts).await;
            assert_eq!(merged, Some((state(3), Arc::new(parts.clone()))));
            let fewer = (1..100).map(digest).collect();
            assert_eq!(cache.merged(&digest(-1), &fewer).await, None);
        };
        check(&cache).await;
        cache.close().await;
        drop(cache);
        check(&*open(folder.path(), 64 << 10).await).await;
    }

    #[tokio::test]
    async fn what_is_damaged_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = open(folder.path(), 1 << 20).await;
        cache.put(digest(1), state(100));
        cache.put(digest(2), state(200));
        cache.close().await;
        drop(cache);
        // A text of the larger state, wherever it lies.
        let mut damaged = 0;
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            for at in 0..bytes.len().saturating_sub(3) {
                if &bytes[at..at + 3] == b"198" {
                    bytes[at] = b'9';
                    damaged += 1;
                }
            }
            std::fs::write(&path, bytes).unwrap();
        }
        assert!(damaged > 0, "nothing was damaged");
        let cache = open(folder.path(), 1 << 20).await;
        assert_eq!(cache.get(&digest(1)).await, Some(state(100)));
        assert_eq!(cache.get(&digest(2)).await, None);
        // It is not looked for again, and can be kept anew.
        cache.put(digest(2), state(200));
        assert_eq!(cache.get(&digest(2)).await, Some(state(200)));
    }

    #[tokio::test]
    async fn nothing_is_kept_for_a_folder_after_it_was_invalidated() {
        let epochs = Arc::new(Epochs::default());
        let cache = FragmentCache::open(1 << 20, None, Arc::clone(&epochs)).await;
        let key = |cache: &FragmentCache| {
            FragmentDigest::of("fragment").with(&cache.epoch("tables/a/1").to_string())
        };
        let before = key(&cache);
        cache.put(before, state(1));
        assert!(cache.get(&key(&cache)).await.is_some());
        epochs.forget(&["tables/a".to_owned()], false);
        assert!(cache.get(&key(&cache)).await.is_none());
        // Whoever began before keeps what it has made where nobody will look.
        cache.put(before, state(2));
        assert!(cache.get(&key(&cache)).await.is_none());
    }
}
