//! What the catalog keeps about caches: the layers' settings, and what was asked to be forgotten.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use watershed_core::error::{Error, Result, SqlState};

use super::record::Change;

/// Invalidations that are kept. Who has missed more forgets everything.
pub const INVALIDATIONS_KEPT: usize = 1_000;
/// Keys that are looked for one by one. Of more, everything is forgotten: finding it again costs less.
pub const KEYS_MAX: usize = 100;
/// The key of everything.
pub const EVERYTHING: &str = "*";

/// The longest time to live: a year.
const TTL_SECONDS_MAX: u32 = 31_536_000;
/// The largest layer: a TiB.
const SIZE_MB_MAX: u32 = 1_048_576;

/// A layer of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// In a scheduler's memory.
    Local,
    /// Shared by schedulers.
    Distributed,
    /// In front of a scheduler: what HTTP caches may keep.
    Edge,
}

impl Layer {
    pub const ALL: [Self; 3] = [Self::Local, Self::Distributed, Self::Edge];

    /// Its name, which is its type as well.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Distributed => "distributed",
            Self::Edge => "edge",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.as_str() == name)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A layer that is on: a row of `cache_layers`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CacheLayer {
    pub layer: Layer,
    pub ttl_seconds: u32,
    /// None for a layer without a size of its own.
    #[serde(default)]
    pub max_size_mb: Option<u32>,
    /// The share of hits that is hoped for.
    #[serde(default)]
    pub hit_rate_target: Option<f64>,
}

/// A row of `cache_layers` as it is written, not yet checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheLayerRow {
    pub layer_name: Option<String>,
    pub cache_type: Option<String>,
    pub ttl_seconds: Option<i32>,
    pub max_size_mb: Option<i32>,
    pub hit_rate_target: Option<f64>,
}

impl CacheLayer {
    /// The layers of a new store.
    pub(super) const DEFAULTS: [Self; 3] = [
        Self {
            layer: Layer::Local,
            ttl_seconds: 3_600,
            max_size_mb: Some(256),
            hit_rate_target: Some(0.8),
        },
        Self {
            layer: Layer::Distributed,
            ttl_seconds: 86_400,
            max_size_mb: Some(1_024),
            hit_rate_target: Some(0.5),
        },
        Self {
            layer: Layer::Edge,
            ttl_seconds: 60,
            max_size_mb: None,
            hit_rate_target: Some(0.5),
        },
    ];

    /// How long an answer is given again.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.ttl_seconds))
    }

    /// Bytes that it may hold.
    pub fn max_bytes(&self) -> Option<u64> {
        self.max_size_mb.map(|mb| u64::from(mb) << 20)
    }

    /// Checks a row by itself. The error names the column.
    pub fn read(row: &CacheLayerRow) -> Result<Self> {
        let name = row.layer_name.as_deref().ok_or_else(|| missing("layer_name"))?;
        let layers = || Layer::ALL.map(Layer::as_str).join(", ");
        let layer = Layer::named(name).ok_or_else(|| {
            invalid(format!("layer_name is \"{name}\", and there is no such layer"))
                .with_hint(format!("The layers are {}.", layers()))
        })?;
        if let Some(kind) = &row.cache_type
            && kind != layer.as_str()
        {
            return Err(invalid(format!("cache_type of layer {layer} is \"{kind}\""))
                .with_hint(format!("It is '{layer}', and need not be given.")));
        }
        let ttl_seconds =
            ranged("ttl_seconds", row.ttl_seconds, TTL_SECONDS_MAX)?.ok_or_else(|| missing("ttl_seconds"))?;
        let max_size_mb = ranged("max_size_mb", row.max_size_mb, SIZE_MB_MAX)?;
        match (layer, max_size_mb) {
            (Layer::Edge, Some(_)) => {
                return Err(invalid("max_size_mb is given for layer edge")
                    .with_hint("What is in front of the scheduler has a size of its own: leave it NULL."));
            }
            (Layer::Local | Layer::Distributed, None) => return Err(missing("max_size_mb")),
            (Layer::Edge, None) | (Layer::Local | Layer::Distributed, Some(_)) => {}
        }
        if let Some(target) = row.hit_rate_target
            && !(0.0..=1.0).contains(&target)
        {
            return Err(
                invalid(format!("hit_rate_target is {target}")).with_hint("It is a share, from 0 to 1.")
            );
        }
        Ok(Self {
            layer,
            ttl_seconds,
            max_size_mb,
            hit_rate_target: row.hit_rate_target,
        })
    }
}

fn ranged(column: &str, value: Option<i32>, max: u32) -> Result<Option<u32>> {
    let Some(value) = value else {
        return Ok(None);
    };
    match u32::try_from(value) {
        Ok(value) if (1..=max).contains(&value) => Ok(Some(value)),
        Ok(_) | Err(_) => {
            Err(invalid(format!("{column} is {value}")).with_hint(format!("It is from 1 to {max}.")))
        }
    }
}

fn missing(column: &str) -> Error {
    Error::new(SqlState::NotNullViolation, format!("{column} is NULL"))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::InvalidParameterValue, message)
}

/// Something that caches were asked to forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidationDef {
    pub event_id: String,
    /// `schema.table`, the hash of a query, or a prefix of either that ends in `*`.
    pub key: String,
    pub reason: String,
    pub triggered_at: DateTime<Utc>,
}

/// An invalidation and its place among all there ever were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidation {
    /// From 1.
    pub sequence: u64,
    pub def: Arc<InvalidationDef>,
}

/// The newest invalidations.
#[derive(Debug, Clone, Default)]
pub struct Invalidations {
    /// How many there ever were.
    last: u64,
    kept: VecDeque<Arc<InvalidationDef>>,
}

impl Invalidations {
    /// The number of the newest; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Those that are kept, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Invalidation> {
        let before = self.last - self.kept.len() as u64;
        self.kept
            .iter()
            .enumerate()
            .map(move |(index, def)| Invalidation {
                sequence: before + 1 + index as u64,
                def: Arc::clone(def),
            })
    }

    /// What is to be forgotten by who has done all up to a number, each once. Who has done more than there
    /// is followed another log.
    pub fn keys_since(&self, sequence: u64) -> Vec<String> {
        let everything = || vec![EVERYTHING.to_owned()];
        let Some(missed) = self.last.checked_sub(sequence) else {
            return everything();
        };
        let missed = usize::try_from(missed).unwrap_or(usize::MAX);
        let Some(before) = self.kept.len().checked_sub(missed) else {
            return everything();
        };
        let keys: BTreeSet<&str> = self
            .kept
            .iter()
            .skip(before)
            .map(|def| def.key.as_str())
            .collect();
        if keys.len() > KEYS_MAX || keys.contains(EVERYTHING) {
            return everything();
        }
        keys.into_iter().map(str::to_owned).collect()
    }

    /// Those that came before any that is known here.
    pub(super) fn forgotten(&self) -> u64 {
        self.last - self.kept.len() as u64
    }

    /// Adds the number of invalidations that a snapshot has left out.
    pub(super) fn forget(&mut self, before: u64) {
        self.last += before;
    }

    fn push(&mut self, def: InvalidationDef) {
        self.last += 1;
        self.kept.push_back(Arc::new(def));
        if self.kept.len() > INVALIDATIONS_KEPT {
            self.kept.pop_front();
        }
    }
}

/// All of it, at one version of the catalog.
#[derive(Debug, Clone)]
pub(super) struct CacheModel {
    pub(super) layers: Vec<CacheLayer>,
    pub(super) invalidations: Invalidations,
}

impl Default for CacheModel {
    fn default() -> Self {
        Self {
            layers: CacheLayer::DEFAULTS.to_vec(),
            invalidations: Invalidations::default(),
        }
    }
}

impl CacheModel {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::CacheLayerSet(set) => {
                self.layers.retain(|known| known.layer != set.layer);
                self.layers.push(*set);
                self.layers.sort_by_key(|known| known.layer);
            }
            Change::CacheLayerDropped { layer } => self.layers.retain(|known| known.layer != *layer),
            Change::CacheInvalidated(def) => self.invalidations.push(def.clone()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, ttl: i32, size: Option<i32>, target: Option<f64>) -> CacheLayerRow {
        CacheLayerRow {
            layer_name: Some(name.to_owned()),
            cache_type: None,
            ttl_seconds: Some(ttl),
            max_size_mb: size,
            hit_rate_target: target,
        }
    }

    #[test]
    fn rows_are_checked() {
        let layer = CacheLayer::read(&row("local", 5, Some(2), Some(1.0))).unwrap();
        assert_eq!(layer.ttl(), Duration::from_secs(5));
        assert_eq!(layer.max_bytes(), Some(2 << 20));
        assert_eq!(
            CacheLayer::read(&row("edge", 1, None, None)).unwrap().max_bytes(),
            None
        );
        let other = |cache_type: &str| CacheLayerRow {
            cache_type: Some(cache_type.to_owned()),
            ..row("edge", 1, None, None)
        };
        CacheLayer::read(&other("edge")).unwrap();
        for (row, column, code) in [
            (CacheLayerRow::default(), "layer_name", SqlState::NotNullViolation),
            (
                row("l1", 1, Some(1), None),
                "layer_name",
                SqlState::InvalidParameterValue,
            ),
            (other("local"), "cache_type", SqlState::InvalidParameterValue),
            (
                row("local", 0, Some(1), None),
                "ttl_seconds",
                SqlState::InvalidParameterValue,
            ),
            (
                row("local", i32::MAX, Some(1), None),
                "ttl_seconds",
                SqlState::InvalidParameterValue,
            ),
            (
                row("local", 1, Some(-1), None),
                "max_size_mb",
                SqlState::InvalidParameterValue,
            ),
            (
                row("local", 1, None, None),
                "max_size_mb",
                SqlState::NotNullViolation,
            ),
            (
                row("edge", 1, Some(1), None),
                "max_size_mb",
                SqlState::InvalidParameterValue,
            ),
            (
                row("edge", 1, None, Some(1.01)),
                "hit_rate_target",
                SqlState::InvalidParameterValue,
            ),
            (
                row("edge", 1, None, Some(f64::NAN)),
                "hit_rate_target",
                SqlState::InvalidParameterValue,
            ),
        ] {
            let error = CacheLayer::read(&row).unwrap_err();
            assert_eq!(error.code(), code, "{row:?}");
            assert!(error.message().starts_with(column), "{row:?}: {error}");
        }
        for layer in CacheLayer::DEFAULTS {
            let row = CacheLayerRow {
                layer_name: Some(layer.layer.to_string()),
                cache_type: Some(layer.layer.to_string()),
                ttl_seconds: Some(layer.ttl_seconds as i32),
                max_size_mb: layer.max_size_mb.map(|mb| mb as i32),
                hit_rate_target: layer.hit_rate_target,
            };
            assert_eq!(CacheLayer::read(&row).unwrap(), layer);
        }
    }

    #[test]
    fn what_came_since() {
        let mut all = Invalidations::default();
        assert!(all.keys_since(0).is_empty());
        assert_eq!(all.keys_since(1), [EVERYTHING]);
        let at = |second: i64| DateTime::from_timestamp(second, 0).unwrap();
        let total = INVALIDATIONS_KEPT as u64 + 5;
        for number in 1..=total {
            all.push(InvalidationDef {
                event_id: number.to_string(),
                key: format!("public.t{number}"),
                reason: "request".to_owned(),
                triggered_at: at(number as i64),
            });
        }
        assert_eq!((all.last(), all.iter().count()), (total, INVALIDATIONS_KEPT));
        assert!(all.keys_since(total).is_empty());
        assert_eq!(
            all.keys_since(total - 2),
            [format!("public.t{}", total - 1), format!("public.t{total}")]
        );
        let known = total - KEYS_MAX as u64;
        assert_eq!(all.keys_since(known).len(), KEYS_MAX);
        for missed in [0, 4, 5, known - 1, total + 1] {
            assert_eq!(all.keys_since(missed), [EVERYTHING], "{missed}");
        }
        // The same over and over is one.
        for _ in 0..=KEYS_MAX {
            all.push(InvalidationDef {
                event_id: "again".to_owned(),
                key: "public.t".to_owned(),
                reason: "request".to_owned(),
                triggered_at: at(0),
            });
        }
        assert_eq!(all.keys_since(total), ["public.t"]);
    }
}
