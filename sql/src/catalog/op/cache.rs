//! The rules of the caches' control tables.

use std::collections::BTreeSet;

use watershed_core::error::{Error, Result, SqlState};

use super::Decision;
use crate::catalog::cache::{CacheLayer, InvalidationDef, KEYS_MAX};
use crate::catalog::model::Catalog;
use crate::catalog::record::Change;

/// Bytes of an event's id.
const EVENT_ID_BYTES_MAX: usize = 128;
/// Bytes of what is to be forgotten.
const KEY_BYTES_MAX: usize = 512;
/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 512;

/// A change of what caches keep, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub enum CacheOp {
    /// Turns layers on.
    AddLayers(Vec<CacheLayer>),
    /// Turns layers off, given as they were read.
    DropLayers(Vec<CacheLayer>),
    /// Layers as they were read, and as they are to be.
    ChangeLayers(Vec<(CacheLayer, CacheLayer)>),
    Invalidate(Vec<InvalidationDef>),
}

impl CacheOp {
    pub(super) fn decide(&self, catalog: &Catalog) -> Result<Decision> {
        let changes = match self {
            Self::AddLayers(layers) => add(catalog, layers)?,
            Self::DropLayers(layers) => layers
                .iter()
                .map(|layer| {
                    unchanged(catalog, layer)?;
                    Ok(Change::CacheLayerDropped { layer: layer.layer })
                })
                .collect::<Result<Vec<_>>>()?,
            Self::ChangeLayers(layers) => change(catalog, layers)?,
            Self::Invalidate(defs) => invalidate(catalog, defs)?,
        };
        if changes.is_empty() {
            return Ok(Decision::nothing("no row is changed"));
        }
        Ok(Decision::changes(changes))
    }
}

fn add(catalog: &Catalog, layers: &[CacheLayer]) -> Result<Vec<Change>> {
    let mut on: BTreeSet<_> = catalog.cache_layers().iter().map(|on| on.layer).collect();
    layers
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            if !on.insert(layer.layer) {
                let name = layer.layer;
                return Err(Error::new(
                    SqlState::UniqueViolation,
                    format!("row {}: layer_name {name} is in cache_layers already", index + 1),
                )
                .with_hint(format!(
                    "Change it with UPDATE cache_layers SET … WHERE layer_name = '{name}'."
                )));
            }
            Ok(Change::CacheLayerSet(*layer))
        })
        .collect()
}

fn change(catalog: &Catalog, layers: &[(CacheLayer, CacheLayer)]) -> Result<Vec<Change>> {
    layers
        .iter()
        .enumerate()
        .map(|(index, (old, new))| {
            unchanged(catalog, old)?;
            if old.layer != new.layer {
                return Err(Error::new(
                    SqlState::InvalidParameterValue,
                    format!(
                        "row {}: layer_name {} cannot become {}",
                        index + 1,
                        old.layer,
                        new.layer
                    ),
                )
                .with_hint("DELETE turns a layer off, and INSERT turns one on."));
            }
            Ok(Change::CacheLayerSet(*new))
        })
        .collect()
}

/// An error if the layer is not any more as it was read.
fn unchanged(catalog: &Catalog, layer: &CacheLayer) -> Result<()> {
    if catalog.cache_layers().contains(layer) {
        return Ok(());
    }
    Err(Error::new(
        SqlState::SerializationFailure,
        format!("layer {} was changed by another statement meanwhile", layer.layer),
    )
    .with_hint("Run the statement again."))
}

fn invalidate(catalog: &Catalog, defs: &[InvalidationDef]) -> Result<Vec<Change>> {
    if defs.len() > KEYS_MAX {
        return Err(Error::new(
            SqlState::InsufficientResources,
            format!("a statement makes at most {KEYS_MAX} invalidations"),
        )
        .with_hint("A cache_key that ends in * stands for all that begin like it."));
    }
    let known: Vec<_> = catalog.invalidations().iter().collect();
    let mut ids: BTreeSet<&str> = known.iter().map(|known| known.def.event_id.as_str()).collect();
    let mut changes = Vec::with_capacity(defs.len());
    for (index, def) in defs.iter().enumerate() {
        let row = index + 1;
        for (column, value, max) in [
            ("event_id", &def.event_id, EVENT_ID_BYTES_MAX),
            ("cache_key", &def.key, KEY_BYTES_MAX),
            ("invalidation_reason", &def.reason, REASON_BYTES_MAX),
        ] {
            if value.is_empty() || value.len() > max {
                return Err(Error::new(
                    SqlState::InvalidParameterValue,
                    format!("row {row}: {column} has {} bytes", value.len()),
                )
                .with_hint(format!("It has from 1 to {max}.")));
            }
        }
        if !ids.insert(&def.event_id) {
            return Err(Error::new(
                SqlState::UniqueViolation,
                format!("row {row}: event_id \"{}\" is there already", def.event_id),
            )
            .with_hint("Leave event_id out, and it is made."));
        }
        changes.push(Change::CacheInvalidated(def.clone()));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::catalog::{Layer, Record};

    fn layer(catalog: &Catalog, layer: Layer) -> CacheLayer {
        let found = catalog.cache_layers().iter().find(|on| on.layer == layer);
        *found.unwrap()
    }

    fn after(catalog: &Catalog, op: CacheOp) -> Result<Catalog> {
        match op.decide(catalog)? {
            Decision::Change { changes, .. } => {
                // As another process reads it.
                let record = Record::new(changes);
                assert_eq!(record.format, 3);
                let read = Record::decode(1, &record.encode()?)?;
                Ok(catalog.with(&read.changes))
            }
            Decision::Nothing { .. } => Ok(catalog.clone()),
        }
    }

    #[track_caller]
    fn refused(catalog: &Catalog, op: CacheOp) -> SqlState {
        after(catalog, op).unwrap_err().code()
    }

    fn event(id: &str, key: &str) -> InvalidationDef {
        InvalidationDef {
            event_id: id.to_owned(),
            key: key.to_owned(),
            reason: "request".to_owned(),
            triggered_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn layers_are_turned_off_and_on_and_changed() {
        let all = Catalog::empty();
        let names = |catalog: &Catalog| -> Vec<_> {
            let layers = catalog.cache_layers().iter();
            layers.map(|layer| layer.layer.as_str()).collect()
        };
        assert_eq!(names(&all), ["local", "distributed", "edge"]);
        let local = layer(&all, Layer::Local);
        assert_eq!(
            refused(&all, CacheOp::AddLayers(vec![local])),
            SqlState::UniqueViolation
        );

        let without = after(&all, CacheOp::DropLayers(vec![local])).unwrap();
        assert_eq!(names(&without), ["distributed", "edge"]);
        assert_eq!(
            refused(&without, CacheOp::AddLayers(vec![local, local])),
            SqlState::UniqueViolation
        );
        let again = after(&without, CacheOp::AddLayers(vec![local])).unwrap();
        assert_eq!(again.cache_layers(), all.cache_layers());

        let longer = CacheLayer {
            ttl_seconds: 7,
            ..local
        };
        let changed = after(&all, CacheOp::ChangeLayers(vec![(local, longer)])).unwrap();
        assert_eq!(layer(&changed, Layer::Local), longer);
        // It is not any more what it was when it was read.
        for op in [
            CacheOp::ChangeLayers(vec![(local, longer)]),
            CacheOp::DropLayers(vec![local]),
        ] {
            assert_eq!(refused(&changed, op), SqlState::SerializationFailure);
        }
        let renamed = CacheLayer {
            layer: Layer::Edge,
            ..local
        };
        assert_eq!(
            refused(&all, CacheOp::ChangeLayers(vec![(local, renamed)])),
            SqlState::InvalidParameterValue
        );
    }

    #[test]
    fn invalidations_are_numbered_and_have_ids_of_their_own() {
        let op = CacheOp::Invalidate(vec![event("a", "public.t"), event("b", "*")]);
        let catalog = after(&Catalog::empty(), op).unwrap();
        let kept: Vec<_> = catalog
            .invalidations()
            .iter()
            .map(|one| (one.sequence, one.def.key.clone()))
            .collect();
        assert_eq!(kept, [(1, "public.t".to_owned()), (2, "*".to_owned())]);
        for (defs, code) in [
            (vec![event("c", "x"), event("b", "x")], SqlState::UniqueViolation),
            (vec![event("c", "x"), event("c", "x")], SqlState::UniqueViolation),
            (vec![event("c", "")], SqlState::InvalidParameterValue),
            (
                vec![event("c", &"x".repeat(KEY_BYTES_MAX + 1))],
                SqlState::InvalidParameterValue,
            ),
            (
                (0..=KEYS_MAX)
                    .map(|number| event(&number.to_string(), "x"))
                    .collect(),
                SqlState::InsufficientResources,
            ),
        ] {
            assert_eq!(refused(&catalog, CacheOp::Invalidate(defs)), code);
        }
    }

    #[test]
    fn records_about_caches_are_of_the_third_format() {
        let text = r#"{"format":3,"at":"2026-01-01T00:00:00Z","changes":[
            {"type":"cache_layer_set","layer":"local","ttl_seconds":5,"max_size_mb":1,"hit_rate_target":0.25},
            {"type":"cache_layer_set","layer":"edge","ttl_seconds":6},
            {"type":"cache_layer_dropped","layer":"distributed"},
            {"type":"cache_invalidated","event_id":"e","key":"public.t","reason":"request",
             "triggered_at":"2026-01-01T00:00:00Z"}]}"#;
        let record = Record::decode(1, text.as_bytes()).unwrap();
        let catalog = Catalog::empty().with(&record.changes);
        assert_eq!(catalog.cache_layers().len(), 2);
        assert_eq!(catalog.invalidations().last(), 1);
        let again = Record::new(record.changes.clone());
        assert_eq!(again.format, 3);
        assert_eq!(Record::decode(1, &again.encode().unwrap()).unwrap(), again);
    }
}
