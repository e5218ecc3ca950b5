//! The layer on the object store: shared by schedulers, and there after a restart. Each answer is one
//! object, checked when it is read.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use watershed_core::store::StoreRoot;
use watershed_core::{Error, Result, SqlState};
use watershed_storage::error::from_object_store;
use xxhash_rust::xxh3::xxh3_64;

use super::entry::Entry;
use super::fingerprint::Key;
use super::layers::Limits;

/// Below the store's root.
const FOLDER: &str = "cache/results";
/// Stands before every object, with the version of the format.
const MAGIC: &[u8; 5] = b"WSRC1";
/// Answers written at a time. While so many are under way, more are not kept here.
const MAX_WRITING: usize = 8;
/// Objects that are known of; the newest.
const MAX_KNOWN: usize = 100_000;

/// The layer, and what this scheduler knows to lie in it.
pub(super) struct Distributed {
    store: Arc<dyn ObjectStore>,
    known: Mutex<Known>,
    writing: Semaphore,
}

#[derive(Default)]
struct Known {
    objects: HashMap<Key, Object>,
    bytes: u64,
}

#[derive(Clone, Copy)]
struct Object {
    size: u64,
    created_at: DateTime<Utc>,
}

impl Known {
    fn insert(&mut self, key: Key, object: Object) {
        self.bytes += object.size;
        if let Some(before) = self.objects.insert(key, object) {
            self.bytes -= before.size;
        }
    }

    fn remove(&mut self, key: &Key) -> bool {
        let removed = self.objects.remove(key);
        self.bytes -= removed.map_or(0, |object| object.size);
        removed.is_some()
    }

    /// What has to go: first what is too old, then the oldest of what is too much.
    fn excess(&self, limits: Option<Limits>, now: DateTime<Utc>) -> (Vec<Key>, Vec<Key>) {
        let Some(limits) = limits else {
            return (self.objects.keys().copied().collect(), Vec::new());
        };
        let mut left: Vec<(DateTime<Utc>, Key, u64)> = Vec::new();
        let mut expired = Vec::new();
        for (key, object) in &self.objects {
            match is_fresh(object.created_at, limits, now) {
                true => left.push((object.created_at, *key, object.size)),
                false => expired.push(*key),
            }
        }
        left.sort_unstable_by_key(|(created, key, _)| (*created, *key));
        let mut bytes: u64 = left.iter().map(|(_, _, size)| size).sum();
        let mut evicted = Vec::new();
        for (number, (_, key, size)) in left.iter().enumerate() {
            if bytes <= limits.max_bytes && left.len() - number <= MAX_KNOWN {
                break;
            }
            bytes -= size;
            evicted.push(*key);
        }
        (expired, evicted)
    }
}

fn is_fresh(created_at: DateTime<Utc>, limits: Limits, now: DateTime<Utc>) -> bool {
    (now - created_at).to_std().is_ok_and(|age| age < limits.ttl) || created_at > now
}

impl Distributed {
    pub(super) fn new(root: &StoreRoot) -> Self {
        Self {
            store: root.folder(FOLDER),
            known: Mutex::default(),
            writing: Semaphore::new(MAX_WRITING),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.lock().objects.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.known.lock().bytes
    }

    /// Looks at what lies there, as other schedulers write and remove, too.
    pub(super) async fn look(&self) -> Result<()> {
        let mut known = Known::default();
        let mut listing = self.store.list(None);
        while let Some(object) = listing
            .try_next()
            .await
            .map_err(|error| from_object_store(&error))?
        {
            if let Some(key) = object.location.filename().and_then(Key::parse) {
                let size = object.size;
                let created_at = object.last_modified;
                known.insert(key, Object { size, created_at });
            }
        }
        *self.known.lock() = known;
        Ok(())
    }

    /// Whether an answer is known to lie there.
    pub(super) fn has(&self, key: &Key, limits: Option<Limits>, now: DateTime<Utc>) -> bool {
        let known = self.known.lock();
        let object = known.objects.get(key);
        limits.is_some_and(|limits| object.is_some_and(|object| is_fresh(object.created_at, limits, now)))
    }

    /// An answer, if it is known to lie there. One that is damaged is removed.
    pub(super) async fn get(&self, key: &Key, limits: Option<Limits>, now: DateTime<Utc>) -> Option<Entry> {
        let limits = limits?;
        let object = self.known.lock().objects.get(key).copied()?;
        if !is_fresh(object.created_at, limits, now) {
            return None;
        }
        let read = async {
            let found = self.store.get(&path(key)).await?;
            found.bytes().await
        };
        match read.await {
            Ok(bytes) => match decode(&bytes) {
                Ok(entry) if is_fresh(entry.about.created_at, limits, now) => Some(entry),
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!(%error, %key, "a cached answer on the store is damaged");
                    self.remove(key).await;
                    None
                }
            },
            Err(error) => {
                if !matches!(error, object_store::Error::NotFound { .. }) {
                    tracing::warn!(%error, %key, "a cached answer on the store cannot be read");
                }
                self.known.lock().remove(key);
                None
            }
        }
    }

    /// Keeps an answer there, unless too many are being written. What has no room any more goes.
    pub(super) async fn put(&self, key: Key, entry: &Entry, limits: Option<Limits>) {
        let Some(limits) = limits else { return };
        let Ok(_turn) = self.writing.try_acquire() else {
            return;
        };
        let written = async {
            let bytes = encode(entry)?;
            let size = bytes.len() as u64;
            if size > limits.max_entry() {
                return Ok(());
            }
            let put = self.store.put(&path(&key), bytes.into()).await;
            put.map_err(|error| from_object_store(&error))?;
            let created_at = entry.about.created_at;
            self.known.lock().insert(key, Object { size, created_at });
            Ok::<(), Error>(())
        };
        // An answer that is not kept is computed again.
        if let Err(error) = written.await {
            tracing::warn!(%error, %key, "an answer is not kept on the store");
        }
    }

    /// Removes what is too old or too much; says how many of each.
    pub(super) async fn trim(&self, limits: Option<Limits>, now: DateTime<Utc>) -> (usize, usize) {
        let (expired, evicted) = self.known.lock().excess(limits, now);
        for key in expired.iter().chain(&evicted) {
            self.remove(key).await;
        }
        (expired.len(), evicted.len())
    }

    pub(super) async fn remove(&self, key: &Key) -> bool {
        match self.store.delete(&path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => self.known.lock().remove(key),
            Err(error) => {
                tracing::warn!(%error, %key, "a cached answer stays on the store");
                false
            }
        }
    }

    /// Removes all answers that `which` chooses, after reading what is told about each.
    pub(super) async fn remove_where(&self, which: impl Fn(&Key, &Entry) -> bool) -> Result<usize> {
        self.look().await?;
        let keys: Vec<Key> = self.known.lock().objects.keys().copied().collect();
        let mut removed = 0;
        for key in keys {
            let read = async {
                let found = self.store.get(&path(&key)).await?;
                found.bytes().await
            };
            let goes = match read.await {
                Ok(bytes) => decode(&bytes).is_ok_and(|entry| which(&key, &entry)),
                Err(object_store::Error::NotFound { .. }) => false,
                Err(error) => return Err(from_object_store(&error)),
            };
            if goes && self.remove(&key).await {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn path(key: &Key) -> Path {
    Path::from(key.to_string())
}

/// Magic, length of the header, header as JSON, rows, checksum of all that.
fn encode(entry: &Entry) -> Result<Bytes> {
    let about = serde_json::to_vec(&entry.about)
        .map_err(|error| Error::internal("a header has no JSON form").with_detail(error.to_string()))?;
    let length = u32::try_from(about.len()).map_err(|_| Error::internal("a header is too long"))?;
    let mut bytes = BytesMut::with_capacity(MAGIC.len() + 4 + about.len() + entry.rows.len() + 8);
    bytes.put_slice(MAGIC);
    bytes.put_u32(length);
    bytes.put_slice(&about);
    bytes.put_slice(&entry.rows);
    let sum = xxh3_64(&bytes);
    bytes.put_u64(sum);
    Ok(bytes.freeze())
}

fn decode(bytes: &Bytes) -> Result<Entry> {
    let damaged = |what: &str| {
        Error::new(SqlState::DataCorrupted, "a cached answer is damaged").with_detail(what.to_owned())
    };
    let (body, sum) = bytes
        .split_last_chunk::<8>()
        .ok_or_else(|| damaged("it is too short"))?;
    if xxh3_64(body) != u64::from_be_bytes(*sum) {
        return Err(damaged("its checksum is another"));
    }
    let rest = body
        .strip_prefix(MAGIC)
        .ok_or_else(|| damaged("it is of another format"))?;
    let (length, rest) = rest
        .split_first_chunk::<4>()
        .ok_or_else(|| damaged("it has no header"))?;
    let length = u32::from_be_bytes(*length) as usize;
    let about = rest
        .get(..length)
        .ok_or_else(|| damaged("its header is cut off"))?;
    let about = serde_json::from_slice(about).map_err(|error| damaged(&error.to_string()))?;
    let start = MAGIC.len() + 4 + length;
    Ok(Entry {
        about,
        rows: bytes.slice(start..bytes.len() - 8),
    })
}
