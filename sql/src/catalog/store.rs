//! The catalog that outlives every process: a log of records on the object store.
//!
//! A statement is one record, and its append is the commit point: a process that dies before leaves
//! nothing, one that dies after leaves all of it. Of two that append at once one wins; the other reads
//! what the winner wrote and checks its operation again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::store::StoreRoot;

use super::builtin;
use super::history::{History, Standing};
use super::model::Catalog;
use super::op::{Decision, Op};
use super::record::Change;

/// Tries of one operation. Each lost one means that another statement has won meanwhile.
const TRIES_MAX: usize = 100;
/// How often the numbers of the records are verified while they are read.
const VERIFY_EVERY: Duration = Duration::from_secs(60);

/// The catalog's log and the newest model this process has seen.
#[derive(Debug)]
pub struct CatalogStore {
    history: History,
    current: Mutex<Arc<Catalog>>,
    /// The version of the newest snapshot that this process has read or written.
    snapshot: AtomicU64,
    /// When the numbers of the records were verified, by both clocks: one of them stands still while the machine sleeps.
    verified: Mutex<(Instant, SystemTime)>,
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
        Self::over(History::new(root)).await
    }

    /// The catalog of a log, wherever that lies.
    pub async fn over(history: History) -> Result<Self> {
        let store = Self {
            history,
            current: Mutex::new(Arc::new(Catalog::empty())),
            snapshot: AtomicU64::new(0),
            verified: Mutex::new((Instant::now(), SystemTime::now())),
        };
        let catalog = store.load().await?;
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
        if self.is_due() {
            self.verify(self.current().version).await?;
        }
        let catalog = self.history.follow(self.current()).await?;
        Ok(self.advance(catalog))
    }

    /// Reads all of it.
    async fn load(&self) -> Result<Arc<Catalog>> {
        let (catalog, snapshot) = self.history.load().await?;
        self.snapshot.fetch_max(snapshot, Ordering::AcqRel);
        Ok(self.advance(Arc::new(catalog)))
    }

    fn is_due(&self) -> bool {
        let (instant, time) = *self.verified.lock();
        // A clock that was set back says nothing.
        instant.elapsed() >= VERIFY_EVERY || time.elapsed().unwrap_or(VERIFY_EVERY) >= VERIFY_EVERY
    }

    /// An error if a record is missing. Whether the records go on from this version.
    async fn verify(&self, version: u64) -> Result<bool> {
        let began = (Instant::now(), SystemTime::now());
        let standing = self.history.standing(version).await?;
        if standing == Standing::Behind {
            self.load().await?;
        }
        *self.verified.lock() = began;
        Ok(standing == Standing::Current)
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
        // Otherwise the number of a record that is missing would be used again.
        if catalog.version > 0 && !self.verify(catalog.version).await? {
            return Ok(None);
        }
        let Some(catalog) = self.history.append(catalog, changes).await? else {
            return Ok(None);
        };
        Ok(Some(self.advance(Arc::new(catalog))))
    }

    /// Lets a snapshot stand for old records where there are many. To be called now and then.
    pub async fn compact(&self) -> Result<()> {
        let catalog = self.current();
        if History::is_due(&catalog, self.snapshot.load(Ordering::Acquire)) {
            let newest = self.history.compact(&catalog).await?;
            self.snapshot.fetch_max(newest, Ordering::AcqRel);
        }
        Ok(())
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
