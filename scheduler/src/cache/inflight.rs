//! Single flight: of identical queries one runs, and the others wait for its answer. If the one that
//! runs fails, is cancelled or its client goes, the next of those who wait takes its place.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::fingerprint::Key;
use crate::dispatch::context::StatementContext;

/// What runs now.
#[derive(Default)]
pub(super) struct InFlight(Mutex<HashMap<Key, Flight>>);

struct Flight {
    number: u64,
    ended: watch::Receiver<Outcome>,
    statement: Arc<StatementContext>,
    principal: String,
    reads: Vec<(String, String)>,
}

/// What became of a query that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Running,
    /// Its answer is in the cache.
    Cached,
    /// Its answer is not for others: too large, or partial.
    NotShared,
}

/// One's part in a query.
pub(super) enum Role {
    /// Run it.
    Lead(Lead),
    /// Wait for who runs it.
    Follow(watch::Receiver<Outcome>),
}

/// The right to run a query that others may wait for. Dropped without a word, it failed.
pub(crate) struct Lead {
    flights: Arc<InFlight>,
    key: Key,
    number: u64,
    ended: watch::Sender<Outcome>,
}

/// A query that runs, as `distributed_query_cache` shows it.
pub(super) struct Running {
    pub(super) key: Key,
    pub(super) statement: Arc<StatementContext>,
    pub(super) principal: String,
    pub(super) reads: Vec<(String, String)>,
}

impl InFlight {
    pub(super) fn join(
        self: &Arc<Self>,
        key: Key,
        statement: &Arc<StatementContext>,
        principal: &str,
        reads: &[(String, String)],
    ) -> Role {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.get(&key) {
            return Role::Follow(flight.ended.clone());
        }
        let (sender, ended) = watch::channel(Outcome::Running);
        let number = NUMBERS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let flight = Flight {
            number,
            ended,
            statement: Arc::clone(statement),
            principal: principal.to_owned(),
            reads: reads.to_vec(),
        };
        flights.insert(key, flight);
        Role::Lead(Lead {
            flights: Arc::clone(self),
            key,
            number,
            ended: sender,
        })
    }

    pub(super) fn running(&self) -> Vec<Running> {
        let flights = self.0.lock();
        flights
            .iter()
            .map(|(key, flight)| Running {
                key: *key,
                statement: Arc::clone(&flight.statement),
                principal: flight.principal.clone(),
                reads: flight.reads.clone(),
            })
            .collect()
    }

    /// Nobody who comes from now on waits for what runs already: it may have read what is not so any
    /// more.
    pub(super) fn part(&self, key: impl Fn(&Key) -> bool) {
        self.0.lock().retain(|found, _| !key(found));
    }
}

/// Tells one flight of a key from the next.
static NUMBERS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

impl Lead {
    /// Whether those who come still wait for it: an invalidation parts them.
    pub(super) fn leads(&self) -> bool {
        let flights = self.flights.0.lock();
        flights
            .get(&self.key)
            .is_some_and(|flight| flight.number == self.number)
    }

    /// Tells those who wait, and lets go.
    pub(crate) fn end(self, outcome: Outcome) {
        self.ended.send_replace(outcome);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock();
        if flights
            .get(&self.key)
            .is_some_and(|flight| flight.number == self.number)
        {
            flights.remove(&self.key);
        }
    }
}
