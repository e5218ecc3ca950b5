//! Invalidations: what was removed from the cache, and why.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use watershed_core::clock::Clock;

/// Events that are remembered; the newest.
const MAX_EVENTS: usize = 1_000;

/// One invalidation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub key: String,
    pub reason: String,
    pub triggered_at: DateTime<Utc>,
    pub processed_at: Option<DateTime<Utc>>,
}

/// The newest events.
#[derive(Debug)]
pub struct Events {
    clock: Arc<dyn Clock>,
    kept: Mutex<VecDeque<Event>>,
}

impl Events {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            kept: Mutex::default(),
        }
    }

    /// Notes an invalidation that has been done.
    pub fn record(&self, key: &str, reason: &str) {
        let now = self.clock.now();
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_EVENTS {
            kept.pop_front();
        }
        kept.push_back(Event {
            id: uuid::Uuid::now_v7().to_string(),
            key: key.to_owned(),
            reason: reason.to_owned(),
            triggered_at: now,
            processed_at: Some(now),
        });
    }

    /// The newest last.
    pub fn list(&self) -> Vec<Event> {
        self.kept.lock().iter().cloned().collect()
    }
}
