//! Everything one statement runs under, fixed when it is planned: who lives, which settings hold,
//! and where to write down what happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::execution::SessionState;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use watershed_core::id::{NodeId, StatementId};
use watershed_core::partial::{Partial, PartialNote};
use watershed_core::settings::{BATCH_SIZE, Settings};
use watershed_core::{Error, Result, SqlState};
use watershed_storage::table::ScanLog;

use super::constants;
use super::partial::{Standing, Terms};
use crate::cluster::{Executor, Members, Membership};
use crate::flight::Progress;

/// A statement that has lost so many executors is not given to another one.
const MAX_LOST: usize = 2;

/// A process whose connection broke, and when that was noticed.
#[derive(Debug, Clone)]
struct Lost {
    executor: Executor,
    at: Duration,
}

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
    /// Shared with those that bring figures after the rows have ended.
    pub counters: Arc<Counters>,
    /// What it accepts instead of a whole answer.
    pub terms: Terms,
    /// Set before the rows end, if some are missing.
    pub note: PartialNote,
    /// Made when it is first planned.
    pub(super) session: OnceLock<SessionState>,
    /// The most rows of a batch, for the size of the constants beside them.
    rows: OnceLock<usize>,
    standing: Mutex<Standing>,
    suspects: Mutex<Vec<NodeId>>,
    /// Processes that failed it by their connections.
    lost: Mutex<Vec<Lost>>,
    /// Executors that were out of use when it first asked who there is.
    spared: OnceLock<Vec<NodeId>>,
}

/// What a statement has done so far. Read while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    pub rows: AtomicU64,
    /// What its scans asked for.
    pub bytes_scanned: AtomicU64,
    /// Of these, what came from a cache of data and no object store.
    pub data_bytes_cached: AtomicU64,
    pub rows_scanned: AtomicU64,
    pub retries: AtomicU64,
    pub completed_shards: AtomicU64,
    pub total_shards: AtomicU64,
    /// Of the completed, those whose rows were kept from an earlier try.
    pub reused_shards: AtomicU64,
    /// Shards that a second executor was asked for, as the first took long.
    pub hedges: AtomicU64,
    /// Files whose part of the answer an executor knew, and those it had to read.
    pub fragments_cached: AtomicU64,
    pub fragments_run: AtomicU64,
    /// Bytes that were not read, as the former were known.
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
            terms: Terms::of(&settings),
            settings,
            cancel,
            scans: ScanLog::default(),
            counters: Arc::default(),
            note: PartialNote::default(),
            session: OnceLock::new(),
            rows: OnceLock::new(),
            standing: Mutex::default(),
            suspects: Mutex::default(),
            lost: Mutex::default(),
            spared: OnceLock::new(),
        })
    }

    /// What the answer lacks; `None` if that is nothing, or if the rows have not ended.
    pub fn partial(&self) -> Option<Partial> {
        self.note.get()
    }

    /// Whether the answer may be partial.
    pub fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    pub(super) fn stand(&self, standing: Standing) {
        *self.standing.lock() = standing;
    }

    /// Takes note of how large its constants are: they may come to stand beside each row of a batch.
    pub(super) fn has_constants(&self, bytes: usize) {
        if let Some(rows) = constants::rows(bytes)
            && rows < self.settings.number(BATCH_SIZE)
        {
            self.rows.get_or_init(|| rows);
        }
    }

    /// The most rows of a batch, where they are fewer than the settings say.
    pub(super) fn batch_rows(&self) -> Option<usize> {
        self.rows.get().copied()
    }

    /// Remembers that an executor did not answer this statement, before its silence makes it dead for
    /// all.
    pub fn suspect(&self, executor: &Executor, membership: &Membership) {
        let node = &executor.node;
        let mut lost = self.lost.lock();
        let same =
            |other: &Lost| other.executor.node == *node && other.executor.incarnation == executor.incarnation;
        if !lost.iter().any(same) {
            lost.push(Lost {
                executor: executor.clone(),
                at: membership.elapsed(),
            });
        }
        drop(lost);
        let mut suspects = self.suspects.lock();
        if !suspects.contains(node) {
            tracing::warn!(%node, statement = %self.id, "executor suspected");
            suspects.push(node.clone());
            // However many of its parts it loses, a statement is one witness.
            membership.failed(node);
        }
    }

    /// Fails where the statement is not tried again: it may be what ended the executors that ran it. Connections break
    /// for other reasons, too, so it waits for what the heartbeats of these executors say.
    pub async fn last_try(&self, membership: &Membership) -> Result<()> {
        let lost = self.lost.lock().clone();
        if lost.len() < MAX_LOST {
            return Ok(());
        }
        let mut dead = Vec::new();
        for Lost { executor, at } in &lost {
            if membership.has_died(executor, *at).await {
                dead.push(executor.node.as_str());
            }
        }
        if dead.len() < MAX_LOST {
            return Ok(());
        }
        Err(Error::new(
            SqlState::CrashShutdown,
            format!("executors were lost while they ran the statement: {}", dead.join(", ")),
        )
        .with_detail("It is not given to others, since it may be the reason.")
        .with_hint("Look into the logs of these executors. If they ended for another reason, run the statement again."))
    }

    /// Whom the statement may ask: the living without those it suspects and those that are out of use.
    /// Where nobody is left, these are asked after all, and at last those: a slow executor is better than
    /// none.
    pub fn members(&self, membership: &Membership) -> Members {
        let current = membership.current();
        let spared = self.spared.get_or_init(|| membership.spared());
        let suspects = self.suspects.lock().clone();
        let avoided = [suspects.as_slice(), spared].concat();
        [avoided, suspects]
            .iter()
            .map(|avoided| current.without(avoided))
            .find(|rest| !rest.executors.is_empty())
            .unwrap_or_else(|| Members::clone(&current))
    }
}

#[cfg(test)]
mod tests {
    use watershed_core::clock::{Clock, ManualClock};
    use watershed_core::cluster::{Heartbeat, PROTOCOL_VERSION};

    use super::*;

    fn statement() -> Arc<StatementContext> {
        StatementContext::new(
            StatementId::generate(),
            DateTime::UNIX_EPOCH,
            Settings::default(),
            CancellationToken::new(),
        )
    }

    fn heartbeat(node: &str, incarnation: u64) -> Heartbeat {
        Heartbeat {
            protocol: PROTOCOL_VERSION,
            node: NodeId::new(node),
            incarnation,
            invalidated: None,
            caches: None,
            url: format!("http://{node}"),
            http: String::new(),
            threads: 1,
            version: String::new(),
            pid: 1,
            memory_used: 0,
            memory_limit: 0,
        }
    }

    #[tokio::test]
    async fn a_statement_that_lost_two_processes_is_not_tried_again() {
        let clock = Arc::new(ManualClock::default());
        let membership = Membership::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let joined = |node: &str, incarnation| {
            membership.heard(heartbeat(node, incarnation)).unwrap();
            membership.current().executors[&NodeId::new(node)].clone()
        };
        let (a, b, c, d) = (joined("a", 1), joined("b", 1), joined("c", 1), joined("d", 1));
        let first = statement();
        (0..3).for_each(|_| first.suspect(&a, &membership));
        first.last_try(&membership).await.expect("one was lost");
        first.suspect(&c, &membership);
        membership.left(&c.node);
        first.suspect(&d, &membership);
        clock.advance(Duration::from_secs(1));
        joined("a", 2);
        joined("d", 1);
        let tried = first.last_try(&membership).await;
        tried.expect("one is another process now, one has said goodbye, and one still sends heartbeats");
        first.suspect(&b, &membership);
        clock.advance(Duration::from_secs(4));
        joined("d", 1);
        membership.sweep();
        let error = first.last_try(&membership).await.unwrap_err();
        assert_eq!(error.code(), SqlState::CrashShutdown);
        assert!(error.message().contains(": a, b"), "{error}");
    }

    #[test]
    fn who_keeps_failing_is_asked_by_one_statement_at_a_time() {
        let clock = Arc::new(ManualClock::default());
        let membership = Membership::new(Arc::clone(&clock) as Arc<dyn Clock>);
        for node in ["a", "b"] {
            membership.heard(heartbeat(node, 1)).unwrap();
        }
        let (a, b) = (NodeId::new("a"), NodeId::new("b"));
        let executor = |node: &NodeId| membership.current().executors[node].clone();
        let asked = |statement: &StatementContext| -> Vec<NodeId> {
            statement.members(&membership).executors.into_keys().collect()
        };
        for _ in 0..4 {
            let statement = statement();
            assert_eq!(asked(&statement).len(), 2);
            // Several parts of one statement count once.
            (0..3).for_each(|_| statement.suspect(&executor(&a), &membership));
            assert_eq!(asked(&statement), std::slice::from_ref(&b));
        }
        let other = statement();
        assert_eq!(asked(&other), std::slice::from_ref(&b));
        other.suspect(&executor(&b), &membership);
        assert_eq!(asked(&other), std::slice::from_ref(&a), "better than none");
        clock.advance(Duration::from_secs(2));
        let (probe, next) = (statement(), statement());
        assert_eq!(asked(&probe).len(), 2);
        assert_eq!(asked(&next), [b]);
        membership.succeeded(&a);
        assert_eq!(asked(&probe).len(), 2);
        assert_eq!(asked(&statement()).len(), 2);
    }
}
