//! `cache_layers`: the layers of the cache that are on, and what each may keep.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use watershed_core::Result;
use watershed_sql::catalog::{CacheLayer, CacheLayerRow, CacheOp, Catalog, LiveDef, Op};

use super::read::{Written, in_row, rows};
use super::rows::{Row, integer, table, text};
use crate::engine::Engine;

pub(super) fn provider(catalog: &Catalog, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let rows = catalog.cache_layers().iter().map(|on| {
        let mut row = Row::from([
            ("layer_name", text(on.layer.as_str())),
            ("cache_type", text(on.layer.as_str())),
            ("ttl_seconds", integer(i64::from(on.ttl_seconds))),
            ("hit_rate_target", ScalarValue::Float64(on.hit_rate_target)),
        ]);
        row.extend(on.max_size_mb.map(|mb| ("max_size_mb", integer(i64::from(mb)))));
        row
    });
    table(def, rows.collect())
}

/// Turns layers on.
pub(super) async fn insert(engine: &Engine, batches: &[RecordBatch]) -> Result<u64> {
    let layers = read(batches, |row| row)?;
    apply(engine, layers.len(), CacheOp::AddLayers(layers)).await
}

/// Turns layers off.
pub(super) async fn delete(engine: &Engine, batches: &[RecordBatch]) -> Result<u64> {
    let layers = read(batches, |row| row)?;
    apply(engine, layers.len(), CacheOp::DropLayers(layers)).await
}

/// Gives layers other limits.
pub(super) async fn update(engine: &Engine, batches: &[RecordBatch]) -> Result<u64> {
    let before = read(batches, Written::before)?;
    let layers: Vec<_> = before.into_iter().zip(read(batches, |row| row)?).collect();
    apply(engine, layers.len(), CacheOp::ChangeLayers(layers)).await
}

async fn apply(engine: &Engine, count: usize, op: CacheOp) -> Result<u64> {
    if count > 0 {
        let applied = engine.parts().catalog.apply(Op::Cache(op)).await?;
        // It holds from here on.
        engine.follow(&applied.catalog).await?;
    }
    Ok(count as u64)
}

fn read<'b>(
    batches: &'b [RecordBatch],
    which: impl Fn(Written<'b>) -> Written<'b>,
) -> Result<Vec<CacheLayer>> {
    rows(batches)
        .map(which)
        .enumerate()
        .map(|(index, row)| {
            let row = CacheLayerRow {
                layer_name: row.text("layer_name"),
                cache_type: row.text("cache_type"),
                ttl_seconds: row.int("ttl_seconds"),
                max_size_mb: row.int("max_size_mb"),
                hit_rate_target: row.double("hit_rate_target"),
            };
            CacheLayer::read(&row).map_err(|error| in_row(index, error))
        })
        .collect()
}
