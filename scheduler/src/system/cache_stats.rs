//! `system.cache_stats`: what each layer of the cache may keep, holds, and has done: those of this scheduler,
//! and those of the executors as their last heartbeats told.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use watershed_core::Result;
use watershed_core::cluster::{CacheFigures, CachesFigures};
use watershed_sql::catalog::LiveDef;

use super::rows::{Row, integer, table, text};
use crate::cache::LayerStats;
use crate::engine::Parts;

/// What stands for the scheduler that is asked, where an executor has its name.
const SCHEDULER: &str = "scheduler";

pub(super) fn provider(parts: &Parts, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let mut rows: Vec<Row> = parts.cache.stats().into_iter().map(of_answers).collect();
    let mut add = |node: &str, caches: &CachesFigures| {
        rows.push(of_node("fragments", node, &caches.fragments));
        rows.push(of_node("data", node, &caches.data));
    };
    add(SCHEDULER, &parts.dispatch.caches());
    for executor in parts.membership.current().executors.values() {
        if let Some(caches) = &executor.caches {
            add(executor.node.as_str(), caches);
        }
    }
    table(def, rows)
}

fn of_node(layer: &str, node: &str, figures: &CacheFigures) -> Row {
    let enabled = figures.max_bytes > 0;
    let mut row = Row::from([
        ("layer", text(layer)),
        ("node_id", text(node)),
        ("enabled", ScalarValue::Boolean(Some(enabled))),
        ("entries", integer(figures.entries)),
        ("bytes", integer(figures.bytes)),
        ("hits", integer(figures.hits)),
        ("misses", integer(figures.misses)),
        ("evictions", integer(figures.evictions)),
        ("hit_rate", ScalarValue::Float64(figures.hit_rate())),
    ]);
    row.extend(enabled.then(|| ("max_size_mb", integer(figures.max_bytes >> 20))));
    row.extend(figures.disk_bytes.map(|bytes| ("disk_bytes", integer(bytes))));
    row
}

fn of_answers(layer: LayerStats) -> Row {
    let rate = layer.hit_rate();
    let meets = rate
        .zip(layer.hit_rate_target)
        .map(|(rate, target)| rate >= target);
    let mut row = Row::from([
        ("layer", text(layer.layer.as_str())),
        ("node_id", text(SCHEDULER)),
        ("enabled", ScalarValue::Boolean(Some(layer.enabled))),
        ("entries", integer(layer.entries)),
        ("bytes", integer(layer.bytes)),
        ("hits", integer(layer.hits)),
        ("misses", integer(layer.misses)),
        ("stale_served", integer(layer.stale_served)),
        ("evictions", integer(layer.evictions)),
        ("expirations", integer(layer.expirations)),
        ("hit_rate", ScalarValue::Float64(rate)),
        ("hit_rate_target", ScalarValue::Float64(layer.hit_rate_target)),
        ("meets_target", ScalarValue::Boolean(meets)),
    ]);
    row.extend(layer.ttl.map(|ttl| ("ttl_seconds", integer(ttl.as_secs()))));
    row.extend(layer.max_bytes.map(|bytes| ("max_size_mb", integer(bytes >> 20))));
    row
}
