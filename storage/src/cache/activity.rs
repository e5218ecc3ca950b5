//! What a cache was asked for and has let go, counted in one place, for whoever operates it.

use std::sync::atomic::{AtomicU64, Ordering};

use watershed_core::cluster::CacheFigures;
use watershed_core::telemetry::{
    CACHE_BYTES, CACHE_DISK_BYTES, CACHE_ENTRIES, CACHE_EVICTIONS, CACHE_REQUESTS,
};

/// What a cache did since its process started.
#[derive(Debug)]
pub(crate) struct Activity {
    /// The cache's, in metrics.
    pub(super) name: &'static str,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

impl Activity {
    pub(crate) fn new(name: &'static str) -> Self {
        let new = Self {
            name,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        };
        // Metrics are there from the start, so that their first step is seen.
        new.hit(0);
        new.missed(0);
        CACHE_EVICTIONS.with_label_values(&[name]).inc_by(0);
        new
    }

    /// So many were asked for that were there.
    pub(crate) fn hit(&self, count: usize) {
        self.count(&self.hits, "hit", count);
    }

    /// So many were asked for that were not there.
    pub(crate) fn missed(&self, count: usize) {
        self.count(&self.misses, "miss", count);
    }

    fn count(&self, counter: &AtomicU64, result: &str, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
        CACHE_REQUESTS
            .with_label_values(&[self.name, result])
            .inc_by(count as u64);
    }

    /// One had to leave memory, as others needed the room.
    pub(super) fn evicted(&self) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
        CACHE_EVICTIONS.with_label_values(&[self.name]).inc();
    }

    /// What it did, beside what the cache holds now.
    pub(crate) fn figures(&self, held: Held) -> CacheFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheFigures {
            max_bytes: held.max_bytes as u64,
            entries: held.entries as u64,
            bytes: held.bytes as u64,
            disk_bytes: held.disk_bytes,
            hits: read(&self.hits),
            misses: read(&self.misses),
            evictions: read(&self.evictions),
        }
    }

    /// Has the process's metrics show what its cache holds.
    pub(super) fn show(&self, figures: &CacheFigures) {
        let gauges = [
            (&*CACHE_ENTRIES, figures.entries),
            (&*CACHE_BYTES, figures.bytes),
            (&*CACHE_DISK_BYTES, figures.disk_bytes.unwrap_or_default()),
        ];
        for (gauge, value) in gauges {
            gauge
                .with_label_values(&[self.name])
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

/// What a cache holds now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Bytes of memory that it may take; 0 if it keeps nothing.
    pub(crate) max_bytes: usize,
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    /// What its files take on the disk; none if it has no disk, or has not opened it yet.
    pub(crate) disk_bytes: Option<u64>,
}
