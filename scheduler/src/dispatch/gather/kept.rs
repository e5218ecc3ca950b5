//! Shards that finished for answers that were partial: asked again, the same query runs the missing ones
//! alone.
//!
//! Files never change, so the rows of a fragment over the same files are the same rows, whoever asks. They
//! are kept in this process alone, and go with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use datafusion::datasource::listing::PartitionedFile;
use parking_lot::Mutex;
use watershed_core::settings::Settings;
use watershed_storage::fragment::{FragmentDigest, digest};

use super::fragment::Fragment;
use super::split::file_scan;

/// What is kept takes no more than this; what was used least recently goes first.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// What running statements copy, in case their answers turn out to be partial, takes no more than this.
const COPIED_BYTES_MAX: usize = 64 << 20;

/// Names the rows of one partition of a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    fragment: FragmentDigest,
    /// The names of its columns, which the digest leaves out.
    columns: Arc<Vec<String>>,
    /// What texts and instants depend on besides.
    time_zone: String,
    store: String,
    files: Vec<File>,
}

/// One file, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct File {
    path: String,
    size: u64,
    modified_micros: i64,
    e_tag: Option<String>,
    range: Option<(i64, i64)>,
}

impl File {
    fn of(file: &PartitionedFile) -> Self {
        let meta = &file.object_meta;
        Self {
            path: meta.location.to_string(),
            size: meta.size,
            modified_micros: meta.last_modified.timestamp_micros(),
            e_tag: meta.e_tag.clone(),
            range: file.range.as_ref().map(|range| (range.start, range.end)),
        }
    }
}

impl Key {
    /// Of every partition; `None` where a fragment's rows are not the same at every run.
    pub(super) fn all_of(fragment: &Fragment, settings: &Settings) -> Option<Vec<Self>> {
        let scan = file_scan(fragment.leaf())?;
        let digest = digest(fragment.plan(), fragment.leaf())?;
        let schema = fragment.plan().schema();
        let columns = schema.fields().iter().map(|field| field.name().clone());
        let columns: Arc<Vec<String>> = Arc::new(columns.collect());
        let key = |files: &[PartitionedFile]| Self {
            fragment: digest,
            columns: Arc::clone(&columns),
            time_zone: settings.time_zone().to_owned(),
            store: scan.object_store_url.as_str().to_owned(),
            files: files.iter().map(File::of).collect(),
        };
        Some(scan.file_groups.iter().map(|group| key(group.files())).collect())
    }

    fn bytes(&self) -> usize {
        let files = self.files.iter().map(|file| size_of::<File>() + file.path.len());
        size_of::<Self>() + files.sum::<usize>()
    }
}

/// The shards that are kept. See the module.
#[derive(Debug, Default)]
pub struct KeptShards {
    state: Mutex<State>,
    copied_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Keys by when they were used last.
    used: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    rows: Arc<Vec<RecordBatch>>,
    bytes: usize,
    used: u64,
}

impl State {
    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.used.remove(&entry.used);
        self.bytes -= entry.bytes;
        Some(entry)
    }

    fn insert(&mut self, key: Key, rows: Arc<Vec<RecordBatch>>, bytes: usize) {
        self.clock += 1;
        let used = self.clock;
        self.bytes += bytes;
        self.used.insert(used, key.clone());
        self.entries.insert(key, Entry { rows, bytes, used });
    }
}

impl KeptShards {
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().entries.is_empty()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Vec<RecordBatch>>> {
        let mut state = self.state.lock();
        let entry = state.remove(key)?;
        let rows = Arc::clone(&entry.rows);
        state.insert(key.clone(), entry.rows, entry.bytes);
        Some(rows)
    }

    pub(super) fn put(&self, key: Key, rows: Arc<Vec<RecordBatch>>) {
        // A key stands here twice.
        let bytes = bytes_of(&rows) + 2 * key.bytes();
        if bytes > KEPT_BYTES_MAX {
            return;
        }
        let mut state = self.state.lock();
        state.remove(&key);
        while state.bytes + bytes > KEPT_BYTES_MAX {
            let Some((_, oldest)) = state.used.pop_first() else {
                break;
            };
            state.remove(&oldest);
        }
        state.insert(key, rows, bytes);
    }

    /// Lets go of what nobody will ask for again.
    pub(super) fn remove<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) {
        let mut state = self.state.lock();
        for key in keys {
            state.remove(key);
        }
    }

    /// Begins to copy the rows of a partition.
    pub(super) fn copying(self: &Arc<Self>) -> Copying {
        Copying(Some(Copy {
            rows: Vec::new(),
            room: Room {
                kept: Arc::clone(self),
                bytes: 0,
            },
        }))
    }
}

fn bytes_of(rows: &[RecordBatch]) -> usize {
    rows.iter().map(RecordBatch::get_array_memory_size).sum()
}

/// The rows of a partition, which count among the copies for as long as this is held.
#[derive(Debug)]
pub(super) struct Copy {
    rows: Vec<RecordBatch>,
    room: Room,
}

impl Copy {
    /// The rows, to be kept.
    pub(super) fn into_rows(self) -> Arc<Vec<RecordBatch>> {
        Arc::new(self.rows)
    }
}

/// Bytes of copies.
#[derive(Debug)]
struct Room {
    kept: Arc<KeptShards>,
    bytes: usize,
}

impl Room {
    /// `false` if that is more than there is.
    fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.kept.copied_bytes.fetch_add(bytes, Ordering::AcqRel) + bytes <= COPIED_BYTES_MAX
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.kept.copied_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// A copy in the making, as long as there is room for it.
#[derive(Debug)]
pub(super) struct Copying(Option<Copy>);

impl Copying {
    pub(super) fn push(&mut self, batch: &RecordBatch) {
        let Some(copy) = &mut self.0 else { return };
        if copy.room.grow(batch.get_array_memory_size()) {
            copy.rows.push(batch.clone());
        } else {
            self.0 = None;
        }
    }

    /// The copy, if all rows had room.
    pub(super) fn end(self) -> Option<Copy> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    fn key(name: &str) -> Key {
        Key {
            fragment: FragmentDigest::default(),
            columns: Arc::default(),
            time_zone: "UTC".to_owned(),
            store: "file:///".to_owned(),
            files: vec![File {
                path: name.to_owned(),
                size: 1,
                modified_micros: 0,
                e_tag: None,
                range: None,
            }],
        }
    }

    fn rows(mib: usize) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![7; mib << 17]));
        RecordBatch::try_from_iter([("a", column)]).unwrap()
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let kept = KeptShards::default();
        assert!(kept.is_empty());
        for name in ["a", "b", "c"] {
            kept.put(key(name), Arc::new(vec![rows(20)]));
        }
        assert!(kept.get(&key("a")).is_some());
        kept.put(key("d"), Arc::new(vec![rows(20)]));
        assert!(kept.get(&key("b")).is_none());
        assert!(kept.get(&key("a")).is_some() && kept.get(&key("d")).is_some());
        kept.put(key("e"), Arc::new(vec![rows(65)]));
        assert!(kept.get(&key("e")).is_none(), "more than there is room for");
        kept.put(key("a"), Arc::new(vec![rows(1)]));
        kept.remove([&key("a"), &key("c"), &key("d")]);
        assert!(kept.is_empty());
        let state = kept.state.lock();
        assert_eq!((state.bytes, state.used.len()), (0, 0));
    }

    #[test]
    fn copies_are_bounded_over_all_statements() {
        let kept = Arc::new(KeptShards::default());
        let mut first = kept.copying();
        first.push(&rows(40));
        let mut second = kept.copying();
        second.push(&rows(40));
        assert!(second.end().is_none());
        let mut third = kept.copying();
        third.push(&rows(20));
        let third = third.end().unwrap();
        assert!(kept.copied_bytes.load(Ordering::Acquire) >= 60 << 20);
        assert_eq!(third.into_rows().len(), 1);
        drop(first);
        assert_eq!(kept.copied_bytes.load(Ordering::Acquire), 0);
    }
}
