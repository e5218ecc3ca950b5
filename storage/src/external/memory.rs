//! What files say of themselves, remembered by version of the file.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use lru::LruCache;
use object_store::ObjectMeta;
use parking_lot::Mutex;

use super::place::Place;

/// Columns of files that are remembered by one memory: a bound on bytes, of about 300 each.
const COLUMNS_REMEMBERED: usize = 200_000;

/// One version of one file, read in one way.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Version {
    bucket: String,
    path: String,
    size: u64,
    modified: DateTime<Utc>,
    tag: Option<String>,
    /// The options that decide what is read.
    how: String,
}

impl Version {
    pub(super) fn of(place: &Place, file: &ObjectMeta, how: &str) -> Self {
        Self {
            bucket: place.bucket().to_string(),
            path: file.location.to_string(),
            size: file.size,
            modified: file.last_modified,
            tag: file.e_tag.clone(),
            how: how.to_owned(),
        }
    }
}

/// What has a size that counts towards the bound.
pub(super) trait Columns {
    fn columns(&self) -> usize;
}

/// Remembers what was used last.
#[derive(Debug)]
pub(super) struct Memory<T>(Mutex<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    files: LruCache<Version, Arc<T>>,
    columns: usize,
}

impl<T: Columns> Memory<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Inner {
            files: LruCache::unbounded(),
            columns: 0,
        }))
    }

    pub(super) fn get(&self, version: &Version) -> Option<Arc<T>> {
        self.0.lock().files.get(version).cloned()
    }

    pub(super) fn put(&self, version: Version, facts: Arc<T>) {
        let mut inner = self.0.lock();
        inner.columns += facts.columns() + 1;
        if let Some((_, old)) = inner.files.push(version, facts) {
            inner.columns = inner.columns.saturating_sub(old.columns() + 1);
        }
        while inner.columns > COLUMNS_REMEMBERED {
            let Some((_, old)) = inner.files.pop_lru() else {
                break;
            };
            inner.columns = inner.columns.saturating_sub(old.columns() + 1);
        }
    }
}
