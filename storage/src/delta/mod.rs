//! Delta tables: their snapshots and their commits. The log is kept by delta-rs, scans are ours.

mod alter;
mod commit;
mod file;
mod folder;
mod foreign;
mod log_error;
mod snapshot;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deltalake_core::table::state::DeltaTableState;
use parking_lot::Mutex;
use watershed_core::error::Result;
use watershed_core::id::{StatementId, TableId};
use watershed_core::store::StoreRoot;

use crate::layout::TableLayout;
use crate::write::WrittenFile;

use folder::TableFolder;

pub use commit::{CommitRequest, Committed};
pub(crate) use foreign::read_foreign;
pub use snapshot::{DataFile, TableSnapshot};
pub(crate) use statistics::partition_statistics;

/// Tables whose newest snapshot is kept.
const TABLES_KEPT: usize = 256;
/// A snapshot kept for longer is read anew, in case the log was cleaned behind it.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// The managed tables below one root. Clones share what they know of the tables.
#[derive(Debug, Clone)]
pub struct DeltaStore {
    root: StoreRoot,
    slots: Arc<Mutex<HashMap<TableId, Arc<Slot>>>>,
}

/// What is known of one table.
#[derive(Debug, Default)]
struct Slot {
    newest: tokio::sync::Mutex<Option<Loaded>>,
    /// Commits to one table from one process queue here rather than race each other.
    commits: tokio::sync::Mutex<()>,
    used: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone)]
struct Loaded {
    state: DeltaTableState,
    snapshot: Arc<TableSnapshot>,
    layout: TableLayout,
    at: Instant,
}

impl DeltaStore {
    pub fn new(root: StoreRoot) -> Self {
        Self {
            root,
            slots: Arc::default(),
        }
    }

    pub fn root(&self) -> &StoreRoot {
        &self.root
    }

    /// Makes the table's folder and its first version; one that is there already stays.
    pub async fn create(&self, layout: &TableLayout) -> Result<()> {
        self.folder(layout).create(layout).await
    }

    /// The newest version. One request to the store when nothing has changed.
    pub async fn snapshot(&self, layout: &TableLayout) -> Result<Arc<TableSnapshot>> {
        Ok(self.newest(layout).await?.snapshot)
    }

    /// Changes the table's columns from `old` to `new`. Columns can be added; the same statement's
    /// second try changes nothing.
    pub async fn alter(&self, old: &TableLayout, new: &TableLayout, statement: StatementId) -> Result<()> {
        let slot = self.slot(old.id);
        let _turn = slot.commits.lock().await;
        alter::alter(&self.folder(old), old, new, statement).await?;
        *slot.newest.lock().await = None;
        Ok(())
    }

    /// Adds files in one version. The same statement's second try gives the first one's answer.
    pub async fn commit(
        &self,
        layout: &TableLayout,
        files: Vec<WrittenFile>,
        commit: CommitRequest,
    ) -> Result<Committed> {
        let slot = self.slot(layout.id);
        let _turn = slot.commits.lock().await;
        let known = slot
            .newest
            .lock()
            .await
            .as_ref()
            .map(|loaded| loaded.state.clone());
        commit::commit(&self.folder(layout), known, layout, files, &commit).await
    }

    /// Removes a table with all its versions: one that nobody can name any more.
    pub async fn remove(&self, layout: &TableLayout) -> Result<()> {
        self.slots.lock().remove(&layout.id);
        self.folder(layout).remove().await
    }

    /// Removes the files of a write that is given up and was never committed. Gives how many there were.
    pub async fn remove_batch(&self, layout: &TableLayout, batch: &str) -> Result<usize> {
        self.folder(layout).remove_batch(batch).await
    }

    fn folder(&self, layout: &TableLayout) -> TableFolder {
        TableFolder::managed(&self.root, layout)
    }

    fn slot(&self, table: TableId) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if !slots.contains_key(&table) && slots.len() >= TABLES_KEPT {
            // One that nobody holds, the one used longest ago.
            let oldest = slots
                .iter()
                .filter(|(_, slot)| Arc::strong_count(slot) == 1)
                .min_by_key(|(_, slot)| *slot.used.lock())
                .map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                slots.remove(&oldest);
            }
        }
        let slot = Arc::clone(slots.entry(table).or_default());
        *slot.used.lock() = Some(Instant::now());
        slot
    }

    async fn newest(&self, layout: &TableLayout) -> Result<Loaded> {
        let slot = self.slot(layout.id);
        // Those who ask at the same time wait for one answer.
        let mut newest = slot.newest.lock().await;
        let folder = self.folder(layout);
        let kept = newest
            .as_ref()
            .filter(|kept| kept.layout == *layout && kept.at.elapsed() < KEPT_FOR);
        if let Some(kept) = kept
            && !folder.has_version(kept.snapshot.version + 1).await?
        {
            return Ok(kept.clone());
        }
        let (state, files) = match kept {
            Some(kept) => {
                let state = folder.update(kept.state.clone()).await?;
                (state, Some(Arc::clone(&kept.snapshot)))
            }
            None => (folder.load(None).await?, None),
        };
        let snapshot = snapshot::read(&folder, &state, layout.clone(), files).await?;
        let loaded = Loaded {
            state,
            snapshot: Arc::new(snapshot),
            layout: layout.clone(),
            at: Instant::now(),
        };
        *newest = Some(loaded.clone());
        Ok(loaded)
    }
}
