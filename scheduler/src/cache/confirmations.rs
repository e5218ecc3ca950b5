//! What caches were asked to forget: how far this scheduler has come, and when everyone had.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::MutexGuard;
use watershed_core::clock::Clock;
use watershed_sql::catalog::{INVALIDATIONS_KEPT, Invalidations};

/// Follows the invalidations in the catalog's log by their numbers.
#[derive(Debug)]
pub struct Confirmations {
    clock: Arc<dyn Clock>,
    /// The number up to which there was nothing to forget, as this scheduler had just started, and when
    /// that was.
    started: (u64, DateTime<Utc>),
    /// The newest that this scheduler's own layers have done.
    applied: AtomicU64,
    /// Held while they do it.
    applying: tokio::sync::Mutex<()>,
    settled: Mutex<Settled>,
}

/// When everyone had done what.
#[derive(Debug)]
struct Settled {
    /// The newest that everyone has done.
    last: u64,
    /// By number, ascending; the newest.
    at: VecDeque<(u64, DateTime<Utc>)>,
}

/// What is to be forgotten now. Whoever else asks waits until it is told that it is done, or that it
/// was not.
pub struct Pending<'a> {
    confirmations: &'a Confirmations,
    _applying: MutexGuard<'a, ()>,
    keys: Vec<String>,
    last: u64,
}

impl Confirmations {
    /// Begins where the log ends.
    pub fn new(clock: Arc<dyn Clock>, invalidations: &Invalidations) -> Self {
        let last = invalidations.last();
        Self {
            started: (last, clock.now()),
            clock,
            applied: AtomicU64::new(last),
            applying: tokio::sync::Mutex::default(),
            settled: Mutex::new(Settled {
                last,
                at: VecDeque::new(),
            }),
        }
    }

    /// What there is to forget before a cache is looked into; `None` if all of it is done.
    pub async fn pending(&self, invalidations: &Invalidations) -> Option<Pending<'_>> {
        let is_done = || self.applied.load(Ordering::Acquire) >= invalidations.last();
        if is_done() {
            return None;
        }
        let applying = self.applying.lock().await;
        // Someone else may have done it meanwhile.
        if is_done() {
            return None;
        }
        let keys = invalidations.keys_since(self.applied.load(Ordering::Acquire));
        Some(Pending {
            confirmations: self,
            _applying: applying,
            keys,
            last: invalidations.last(),
        })
    }

    /// Notes how far everyone has come: this scheduler, and the executors that live.
    pub fn settle(&self, executors: impl Iterator<Item = u64>) {
        let applied = self.applied.load(Ordering::Acquire);
        let everyone = executors.fold(applied, u64::min);
        let mut settled = self.settled.lock();
        if everyone <= settled.last {
            return;
        }
        let now = self.clock.now();
        let kept = everyone.saturating_sub(INVALIDATIONS_KEPT as u64);
        for sequence in (settled.last.max(kept) + 1)..=everyone {
            settled.at.push_back((sequence, now));
        }
        settled.last = everyone;
        while settled.at.len() > INVALIDATIONS_KEPT {
            settled.at.pop_front();
        }
    }

    /// When everyone had done an invalidation, if everyone has.
    pub fn settled_at(&self, sequence: u64) -> Option<DateTime<Utc>> {
        let (first, at) = self.started;
        if sequence <= first {
            return Some(at);
        }
        let settled = self.settled.lock();
        let found = settled.at.binary_search_by_key(&sequence, |(of, _)| *of).ok()?;
        settled.at.get(found).map(|(_, at)| *at)
    }
}

impl Pending<'_> {
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// All of it is forgotten.
    pub fn done(self) {
        self.confirmations.applied.store(self.last, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use watershed_core::clock::ManualClock;
    use watershed_core::store::StoreRoot;
    use watershed_sql::catalog::{CacheOp, CatalogStore, InvalidationDef, Op};

    use super::*;

    async fn ask(store: &CatalogStore, keys: &[&str]) {
        let defs = keys.iter().map(|key| InvalidationDef {
            event_id: (*key).to_owned(),
            key: (*key).to_owned(),
            reason: "request".to_owned(),
            triggered_at: DateTime::UNIX_EPOCH,
        });
        let op = Op::Cache(CacheOp::Invalidate(defs.collect()));
        store.apply(op).await.unwrap();
    }

    #[tokio::test]
    async fn everything_is_done_once_and_by_everyone() {
        let folder = tempfile::tempdir().unwrap();
        let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
        let store = CatalogStore::open(&root).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        ask(&store, &["before"]).await;
        clock.advance(Duration::from_secs(1));
        let started = clock.now();
        let followed = Confirmations::new(Arc::<ManualClock>::clone(&clock), store.current().invalidations());
        assert!(followed.pending(store.current().invalidations()).await.is_none());
        assert_eq!(followed.settled_at(1), Some(started));

        ask(&store, &["a", "b"]).await;
        clock.advance(Duration::from_secs(1));
        let catalog = store.current();
        // What was not done is there again.
        let pending = followed.pending(catalog.invalidations()).await.unwrap();
        drop(pending);
        let pending = followed.pending(catalog.invalidations()).await.unwrap();
        assert_eq!(pending.keys(), ["a", "b"]);
        followed.settle([].into_iter());
        assert_eq!(followed.settled_at(2), None);
        pending.done();
        assert!(followed.pending(catalog.invalidations()).await.is_none());

        // One executor has done the first of both, another one all.
        followed.settle([2, 3].into_iter());
        let first = clock.now();
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            (followed.settled_at(2), followed.settled_at(3)),
            (Some(first), None)
        );
        // It is gone.
        followed.settle([3].into_iter());
        assert_eq!(
            (followed.settled_at(2), followed.settled_at(3)),
            (Some(first), Some(clock.now()))
        );
    }
}
