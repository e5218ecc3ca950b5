//! States of fragments over files, in memory: bounded by bytes, the least recently used goes first.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use arrow::array::RecordBatch;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::FragmentDigest;

/// Entries at most, whatever their size.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_000_000);
/// Fragments that are known not to be worth it.
const MAX_BYPASSED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(10_000);
/// Bytes that an entry takes beside its rows.
const OVERHEAD: usize = 256;

/// The cache of an executor.
pub struct FragmentCache {
    max_bytes: usize,
    kept: Mutex<Kept>,
    /// Fragments with so many groups that their states are as large as what they were made of.
    bypassed: Mutex<LruCache<FragmentDigest, ()>>,
    /// Those who compute the same state at the same time take turns.
    turns: Mutex<HashMap<FragmentDigest, Arc<tokio::sync::Mutex<()>>>>,
}

struct Kept {
    entries: LruCache<FragmentDigest, Entry>,
    bytes: usize,
}

/// A state and the files it is of.
#[derive(Debug, Clone)]
struct Entry {
    state: State,
    /// Of a merged state, the single ones in it.
    parts: Arc<HashSet<FragmentDigest>>,
    /// The folder of the files' table, within its bucket.
    table: Arc<str>,
}

/// What a fragment came to.
pub(super) type State = Arc<Vec<RecordBatch>>;

impl std::fmt::Debug for FragmentCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FragmentCache")
            .field("bytes", &self.kept.lock().bytes)
            .finish_non_exhaustive()
    }
}

impl FragmentCache {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            kept: Mutex::new(Kept {
                entries: LruCache::new(MAX_ENTRIES),
                bytes: 0,
            }),
            bypassed: Mutex::new(LruCache::new(MAX_BYPASSED)),
            turns: Mutex::default(),
        }
    }

    /// Forgets the states over files in a folder, or with none all of them. Files are immutable, so this
    /// is only ever asked for by someone.
    pub fn invalidate(&self, folder: Option<&str>) -> usize {
        let mut kept = self.kept.lock();
        let keys: Vec<FragmentDigest> = kept
            .entries
            .iter()
            .filter(|(_, entry)| folder.is_none_or(|folder| entry.table.contains(folder)))
            .map(|(key, _)| *key)
            .collect();
        for key in &keys {
            kept.remove(key);
        }
        self.bypassed.lock().clear();
        keys.len()
    }

    pub(super) fn get(&self, key: &FragmentDigest) -> Option<State> {
        let mut kept = self.kept.lock();
        kept.entries.get(key).map(|entry| Arc::clone(&entry.state))
    }

    /// The merged state of a family, if all of its parts are among `wanted`.
    pub(super) fn merged(
        &self,
        family: &FragmentDigest,
        wanted: &HashSet<FragmentDigest>,
    ) -> Option<(State, Arc<HashSet<FragmentDigest>>)> {
        let mut kept = self.kept.lock();
        let entry = kept.entries.get(family)?;
        entry
            .parts
            .is_subset(wanted)
            .then(|| (Arc::clone(&entry.state), Arc::clone(&entry.parts)))
    }

    pub(super) fn put(&self, key: FragmentDigest, state: State, table: &Arc<str>) {
        self.insert(key, state, Arc::default(), table);
    }

    pub(super) fn put_merged(
        &self,
        family: FragmentDigest,
        state: State,
        parts: HashSet<FragmentDigest>,
        table: &Arc<str>,
    ) {
        self.insert(family, state, Arc::new(parts), table);
    }

    fn insert(
        &self,
        key: FragmentDigest,
        state: State,
        parts: Arc<HashSet<FragmentDigest>>,
        table: &Arc<str>,
    ) {
        let entry = Entry {
            state,
            parts,
            table: Arc::clone(table),
        };
        let size = entry.size();
        if size > self.max_bytes / 8 {
            return;
        }
        let mut kept = self.kept.lock();
        kept.remove(&key);
        kept.bytes += size;
        if let Some((_, displaced)) = kept.entries.push(key, entry) {
            kept.bytes -= displaced.size();
        }
        while kept.bytes > self.max_bytes {
            let Some((_, evicted)) = kept.entries.pop_lru() else {
                break;
            };
            kept.bytes -= evicted.size();
        }
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

impl Kept {
    fn remove(&mut self, key: &FragmentDigest) {
        if let Some(entry) = self.entries.pop(key) {
            self.bytes -= entry.size();
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        let rows: usize = self.state.iter().map(RecordBatch::get_array_memory_size).sum();
        rows + OVERHEAD + self.parts.len() * 2 * std::mem::size_of::<FragmentDigest>()
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
