//! The engine behind the Flight SQL port: what a statement goes through from its text to its rows.
//!
//! Read [`statement`] first: it is the life of a statement, top to bottom. Around it: `sessions`
//! (who asks, with which settings), `admission` (how much runs at a time), `place` (the place of one statement), `queries`
//! (what runs and ran), `orphans` (files of writes that fail), `tables` (names become rows), `writes` (rows become commits), `ingest` (rows that a client
//! streams), `apart` (the threads that all that runs on), `cached` (queries whose answers may be there), `known` (what is known of
//! them by their texts), `caches` (what they are to forget), `ddl`,
//! `credentials` (hashes and secrets on their way into the catalog), `access` (what one
//! may do).

mod access;
mod admission;
mod apart;
mod cached;
mod caches;
mod credentials;
mod ddl;
mod explain;
mod front;
mod ingest;
mod known;
mod limits;
mod orphans;
mod parameters;
mod place;
mod planning;
mod prepared;
mod queries;
mod release;
mod request;
mod sessions;
pub mod statement;
mod tables;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use tokio::runtime::Handle;
use watershed_core::Result;
use watershed_core::clock::Clock;
use watershed_core::store::StoreRoot;
use watershed_sql::catalog::CatalogStore;
use watershed_storage::delta::DeltaStore;
use watershed_storage::layout::TableLayout;

use crate::auth::Logins;
use crate::cache::{Confirmations, ResultCache};
use crate::cluster::Membership;
use crate::dispatch::Dispatch;
use crate::system::ServiceRegistry;

pub use admission::Admission;
pub use queries::{Queries, QueryRecord, QueryState};
pub use sessions::{Session, Sessions};

/// What the engine is made of. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

/// The parts, each made once at start.
pub struct Parts {
    pub root: StoreRoot,
    pub clock: Arc<dyn Clock>,
    pub catalog: CatalogStore,
    pub delta: DeltaStore,
    pub runtime: Arc<RuntimeEnv>,
    pub membership: Arc<Membership>,
    pub dispatch: Dispatch,
    pub sessions: Sessions,
    pub logins: Logins,
    pub admission: Arc<Admission>,
    /// Statements whose clients neither take rows nor send them for so long end.
    pub stall_timeout: Duration,
    /// Bytes of the files of one session's temporary tables.
    pub temporary_limit: u64,
    pub queries: Arc<Queries>,
    pub cache: ResultCache,
    pub services: ServiceRegistry,
    pub confirmations: Confirmations,
    /// The threads that statements run on.
    pub statements: Handle,
    /// Where clients reach this scheduler.
    pub flight_url: String,
}

impl Engine {
    /// Starts the engine on its store: the documented tables exist from here on.
    pub async fn start(parts: Parts) -> Result<Self> {
        let engine = Self(Arc::new(parts));
        let catalog = engine.0.catalog.refresh().await?;
        for table in catalog.tables() {
            engine.0.delta.create(&table.layout).await?;
        }
        Ok(engine)
    }

    pub fn parts(&self) -> &Parts {
        &self.0
    }

    /// Ends what was idle for too long, and removes what ended with it.
    pub async fn sweep(&self) {
        self.remove_tables(self.0.sessions.sweep()).await;
        if let Err(error) = self.0.catalog.compact().await {
            tracing::warn!(%error, "the catalog's records cannot be compacted");
        }
    }

    /// Removes the files of tables that nobody can name any more. What cannot be removed is harmless.
    async fn remove_tables(&self, unused: Vec<TableLayout>) {
        for layout in unused {
            if let Err(error) = self.0.delta.remove(&layout).await {
                tracing::warn!(%error, table = %layout.id, "files of a temporary table are left behind");
            }
        }
    }
}
