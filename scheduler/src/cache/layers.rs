//! What each layer may keep, and how it does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use watershed_sql::catalog::Layer;

/// How long and how much a layer keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub ttl: Duration,
    pub max_bytes: u64,
}

impl Limits {
    /// One answer may not push out most others.
    pub fn max_entry(&self) -> u64 {
        (self.max_bytes / 8).min(MAX_ENTRY)
    }
}

/// No answer larger than this is kept, however large the layer.
pub(super) const MAX_ENTRY: u64 = 16 << 20;

/// The limits of every layer; one without is off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layers {
    pub local: Option<Limits>,
    pub distributed: Option<Limits>,
    /// How long others may keep an answer without asking again.
    pub edge: Option<Duration>,
    /// Hit rates that operators want, as `cache_layers` says, in the order of [`Layer::ALL`].
    pub targets: [Option<f64>; 3],
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            local: Some(Limits {
                ttl: Duration::from_secs(3600),
                max_bytes: 256 << 20,
            }),
            distributed: Some(Limits {
                ttl: Duration::from_secs(86_400),
                max_bytes: 1024 << 20,
            }),
            edge: Some(Duration::from_secs(60)),
            targets: [Some(0.8), Some(0.5), Some(0.5)],
        }
    }
}

/// What a layer did since the scheduler started.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) expirations: AtomicU64,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }
}

/// A layer, as `system.cache_stats` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerStats {
    pub layer: Layer,
    pub enabled: bool,
    pub ttl: Option<Duration>,
    pub max_bytes: Option<u64>,
    pub entries: u64,
    pub bytes: u64,
    pub hits: u64,
    pub misses: u64,
    pub stale_served: u64,
    pub evictions: u64,
    pub expirations: u64,
    pub hit_rate_target: Option<f64>,
}

impl LayerStats {
    /// Of those who asked this layer; none before anybody did.
    pub fn hit_rate(&self) -> Option<f64> {
        let asked = self.hits + self.misses;
        (asked > 0).then(|| self.hits as f64 / asked as f64)
    }
}
