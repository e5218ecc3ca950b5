//! Everything one statement runs under, fixed when it is planned: who lives, which settings hold,
//! and where to write down what happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use watershed_core::id::{NodeId, StatementId};
use watershed_core::settings::Settings;
use watershed_storage::table::ScanLog;

use crate::cluster::{Members, Membership};
use crate::flight::Progress;

/// One statement's surroundings.
#[derive(Debug)]
pub struct StatementContext {
    pub id: StatementId,
    /// What `now()` says, throughout the statement.
    pub now: DateTime<Utc>,
    pub settings: Settings,
    /// Cancelled when the client goes, the time is up, or someone says so.
    pub cancel: CancellationToken,
    /// Scans report here when they are planned.
    pub scans: ScanLog,
    pub counters: Counters,
    suspects: Mutex<Vec<NodeId>>,
}

/// What a statement has done so far. Read while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    pub rows: AtomicU64,
    pub bytes_scanned: AtomicU64,
    pub rows_scanned: AtomicU64,
    pub retries: AtomicU64,
    pub completed_shards: AtomicU64,
    pub total_shards: AtomicU64,
    /// Files whose part of the answer an executor knew, and those it had to read.
    pub fragments_cached: AtomicU64,
    pub fragments_run: AtomicU64,
    /// Bytes of the former.
    pub bytes_cached: AtomicU64,
}

impl Counters {
    pub fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

impl Progress for StatementContext {
    /// By shards, as far as the query runs shard by shard.
    fn fraction(&self) -> Option<f64> {
        let total = Counters::get(&self.counters.total_shards);
        let completed = Counters::get(&self.counters.completed_shards);
        (total > 0).then(|| completed.min(total) as f64 / total as f64)
    }
}

impl StatementContext {
    pub fn new(
        id: StatementId,
        now: DateTime<Utc>,
        settings: Settings,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            now,
            settings,
            cancel,
            scans: ScanLog::default(),
            counters: Counters::default(),
            suspects: Mutex::default(),
        })
    }

    /// Remembers that an executor did not answer this statement, before its silence makes it dead for
    /// all.
    pub fn suspect(&self, node: &NodeId) {
        let mut suspects = self.suspects.lock();
        if !suspects.contains(node) {
            tracing::warn!(%node, statement = %self.id, "executor suspected");
            suspects.push(node.clone());
        }
    }

    /// The living without those this statement suspects. Where nobody is left, suspicion is dropped:
    /// a slow executor is better than none.
    pub fn members(&self, membership: &Membership) -> Members {
        let current = membership.current();
        let rest = current.without(&self.suspects.lock());
        if rest.executors.is_empty() {
            Members::clone(&current)
        } else {
            rest
        }
    }
}
