//! What the cache holds and did, as tables show it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use watershed_core::Result;

use super::{Entry, Key, Layer, LayerStats, ResultCache};
use crate::dispatch::context::Counters;

/// A row of `distributed_query_cache`.
#[derive(Debug, Clone)]
pub struct EntryRecord {
    pub hash: String,
    pub principal: String,
    /// What one must be allowed to read to see it.
    pub tables: Vec<(String, String)>,
    /// A JSON array of the rows; none of an answer that is too large, or not there yet.
    /// The source tables of the result, those behind views included, as `schema.name`. `None` while the query runs.
    pub sources: Option<Vec<String>>,
    pub results: Option<String>,
    pub completed_shards: u64,
    pub total_shards: u64,
    pub created_at: DateTime<Utc>,
}

impl ResultCache {
    /// What runs, what is cached and what came to a part of an answer, the latest used first.
    pub fn entries(&self) -> Result<Vec<EntryRecord>> {
        let mut kept: Vec<(Key, Arc<Entry>)> = Vec::new();
        for layer in [&self.0.local, &self.0.partial] {
            let layer = layer.lock();
            kept.extend(layer.iter().map(|(key, entry)| (*key, Arc::clone(entry))));
        }
        let running = self.0.flights.running().into_iter().map(|running| EntryRecord {
            hash: running.key.to_string(),
            principal: running.principal,
            tables: running.reads,
            sources: None,
            results: None,
            completed_shards: Counters::get(&running.statement.counters.completed_shards),
            total_shards: Counters::get(&running.statement.counters.total_shards),
            created_at: running.statement.now,
        });
        let mut records: Vec<EntryRecord> = running.collect();
        for (key, entry) in kept {
            records.push(EntryRecord {
                hash: key.to_string(),
                principal: entry.about.principal.clone(),
                tables: entry.about.reads.clone(),
                sources: Some(entry.about.tables.clone()),
                results: entry.json()?,
                completed_shards: entry.about.shards.saturating_sub(entry.about.missing_shards),
                total_shards: entry.about.shards,
                created_at: entry.about.created_at,
            });
        }
        Ok(records)
    }

    /// What each layer holds and did.
    pub fn stats(&self) -> Vec<LayerStats> {
        let layers = self.layers();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Layer::ALL
            .into_iter()
            .map(|layer| {
                let counts = &self.0.counts[layer as usize];
                let (limits, entries, bytes) = match layer {
                    Layer::Local => {
                        let local = self.0.local.lock();
                        (layers.local, local.len(), local.bytes())
                    }
                    Layer::Distributed => (
                        layers.distributed,
                        self.0.distributed.len(),
                        self.0.distributed.bytes(),
                    ),
                    Layer::Edge => (None, 0, 0),
                };
                LayerStats {
                    layer,
                    enabled: limits.is_some() || (layer == Layer::Edge && layers.edge.is_some()),
                    ttl: match layer {
                        Layer::Edge => layers.edge,
                        Layer::Local | Layer::Distributed => limits.map(|limits| limits.ttl),
                    },
                    max_bytes: limits.map(|limits| limits.max_bytes),
                    entries: entries as u64,
                    bytes,
                    hits: get(&counts.hits),
                    misses: get(&counts.misses),
                    stale_served: get(&counts.stale),
                    evictions: get(&counts.evictions),
                    expirations: get(&counts.expirations),
                    hit_rate_target: layers.targets[layer as usize],
                }
            })
            .collect()
    }
}
