//! The catalog that outlives every process: a log of records on the object store.
//!
//! A statement is one record, and its append is the commit point: a process that dies before leaves
//! nothing, one that dies after leaves all of it. Of two that append at once one wins; the other reads
//! what the winner wrote and checks its operation again.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::store::StoreRoot;
use watershed_storage::log::{Append, SequencedLog};

use super::builtin;
use super::model::Catalog;
use super::op::{Decision, Op};
use super::record::{Change, Record};

/// The log's folder below the root.
const FOLDER: &str = "catalog";

/// Tries of one operation. Each lost one means that another statement has won meanwhile.
const TRIES_MAX: usize = 100;

/// The catalog's log and the newest model this process has seen.
#[derive(Debug)]
pub struct CatalogStore {
    log: SequencedLog,
    current: Mutex<Arc<Catalog>>,
}

/// What came of an operation.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The catalog after it.
    pub catalog: Arc<Catalog>,
    /// What the client is told beside success.
    pub notice: Option<String>,
    /// Whether a record was written.
    pub changed: bool,
}

impl CatalogStore {
    /// Opens the catalog below a root. The first to open an empty one puts the built-in objects there.
    pub async fn open(root: &StoreRoot) -> Result<Self> {
        Self::over(SequencedLog::new(root, FOLDER)).await
    }

    /// The catalog of a log, wherever that lies.
    pub async fn over(log: SequencedLog) -> Result<Self> {
        let store = Self {
            log,
            current: Mutex::new(Arc::new(Catalog::empty())),
        };
        let catalog = store.refresh().await?;
        if catalog.version == 0 {
            // Who loses here finds the winner's.
            store.append(&catalog, builtin::bootstrap()).await?;
            store.refresh().await?;
        }
        Ok(store)
    }

    /// The newest catalog this process has seen.
    pub fn current(&self) -> Arc<Catalog> {
        Arc::clone(&self.current.lock())
    }

    /// Reads what others have added.
    pub async fn refresh(&self) -> Result<Arc<Catalog>> {
        let mut catalog = self.current();
        let mut records = pin!(self.log.read_from::<Box<RawValue>>(catalog.version + 1));
        while let Some(found) = records.next().await {
            let (number, text) = found?;
            let record = Record::decode(number, text.get().as_bytes())?;
            catalog = Arc::new(catalog.with(&record.changes));
        }
        Ok(self.advance(catalog))
    }

    /// An operation of the system's own. See [`Self::apply_if`].
    pub async fn apply(&self, op: Op) -> Result<Applied> {
        self.apply_if(op, |_, _| Ok(())).await
    }

    /// Checks an operation against the newest catalog and writes its record. `permitted` says, for exactly the catalog
    /// that is changed, whether it may be.
    pub async fn apply_if(
        &self,
        op: Op,
        permitted: impl Fn(&Op, &Catalog) -> Result<()> + Send,
    ) -> Result<Applied> {
        for _ in 0..TRIES_MAX {
            let catalog = self.refresh().await?;
            permitted(&op, &catalog)?;
            let (changes, notice) = match op.decide(&catalog)? {
                Decision::Nothing { notice } => {
                    return Ok(Applied {
                        catalog,
                        notice: Some(notice),
                        changed: false,
                    });
                }
                Decision::Change { changes, notice } => (changes, notice),
            };
            if let Some(catalog) = self.append(&catalog, changes).await? {
                return Ok(Applied {
                    catalog,
                    notice,
                    changed: true,
                });
            }
        }
        Err(Error::new(
            SqlState::SerializationFailure,
            format!("the catalog was changed by others {TRIES_MAX} times meanwhile"),
        )
        .with_hint("Run the statement again."))
    }

    /// The catalog with these changes, or `None` if another record came first.
    async fn append(&self, catalog: &Catalog, changes: Vec<Change>) -> Result<Option<Arc<Catalog>>> {
        let record = Record::new(changes);
        match self.log.append_if_next(catalog.version + 1, &record).await? {
            Append::Appended => Ok(Some(self.advance(Arc::new(catalog.with(&record.changes))))),
            Append::Conflict => Ok(None),
        }
    }

    /// Keeps the newer one; of two that read at once, either may come last.
    fn advance(&self, catalog: Arc<Catalog>) -> Arc<Catalog> {
        let mut current = self.current.lock();
        if catalog.version > current.version {
            *current = Arc::clone(&catalog);
        }
        Arc::clone(&current)
    }
}
