//! Files that a write has left behind when it fails or is cancelled: no log names them, and they are removed.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use watershed_core::{Error, SqlState};
use watershed_storage::layout::TableLayout;

use super::Engine;

/// Executors hear of the end of a write a little later than the scheduler, and may complete files until then.
const ROUNDS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(5),
    Duration::from_secs(60),
];

/// Writes whose files are removed at the same time.
const AT_ONCE: usize = 64;
static REMOVALS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Removes the files of a write when it is dropped, unless the write has been committed.
pub(super) struct Orphans {
    engine: Engine,
    layout: TableLayout,
    /// The files of one write. None for the whole folder of a table that is not in the catalog.
    batch: Option<String>,
    kept: bool,
}

impl Orphans {
    /// The files of a write.
    pub(super) fn batch(engine: &Engine, layout: &TableLayout, batch: &str) -> Self {
        Self {
            engine: engine.clone(),
            layout: layout.clone(),
            batch: Some(batch.to_owned()),
            kept: false,
        }
    }

    /// The folder of a table that a statement makes.
    pub(super) fn table(engine: &Engine, layout: &TableLayout) -> Self {
        Self {
            engine: engine.clone(),
            layout: layout.clone(),
            batch: None,
            kept: false,
        }
    }

    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Removes it after all.
    pub(super) fn give_up(&mut self) {
        self.kept = false;
    }

    /// Removes it after all, if the commit is not in for certain: an error of the store may hide one that is.
    pub(super) fn give_up_after(&mut self, error: &Error) {
        self.kept = !matches!(
            error.code(),
            SqlState::SerializationFailure
                | SqlState::DuplicateTable
                | SqlState::InsufficientPrivilege
                | SqlState::InvalidSchemaName
        );
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let Ok(threads) = Handle::try_current() else {
            return;
        };
        let Ok(removal) = REMOVALS.try_acquire() else {
            tracing::warn!(
                table = %self.layout.id,
                "files of a write that failed are left in the store: too many others are being removed"
            );
            return;
        };
        let (engine, layout, batch) = (self.engine.clone(), self.layout.clone(), self.batch.take());
        threads.spawn(async move {
            let _removal = removal;
            for pause in ROUNDS {
                tokio::time::sleep(pause).await;
                let delta = &engine.parts().delta;
                let removed = match &batch {
                    Some(batch) => delta.remove_batch(&layout, batch).await.map(drop),
                    None => delta.remove(&layout).await,
                };
                if let Err(error) = removed {
                    tracing::warn!(%error, table = %layout.id, "files of a write that failed are left in the store");
                }
            }
        });
    }
}
