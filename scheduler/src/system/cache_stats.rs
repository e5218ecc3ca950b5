//! `system.cache_stats`: what each layer of the cache may keep, holds, and has done.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use watershed_core::Result;
use watershed_sql::catalog::LiveDef;

use super::rows::{Row, integer, table, text};
use crate::cache::LayerStats;
use crate::engine::Parts;

pub(super) fn provider(parts: &Parts, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    table(def, parts.cache.stats().into_iter().map(row).collect())
}

fn row(layer: LayerStats) -> Row {
    let rate = layer.hit_rate();
    let meets = rate
        .zip(layer.hit_rate_target)
        .map(|(rate, target)| rate >= target);
    let mut row = Row::from([
        ("layer", text(layer.layer.as_str())),
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
