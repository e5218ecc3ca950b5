//! `cache_invalidation_events`: what caches have forgotten and why; an INSERT has them forget.

use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use watershed_core::id::EventId;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::authorize::Access;
use watershed_sql::catalog::{CacheOp, Catalog, InvalidationDef, LiveDef, ObjectName, Op};

use super::read::{Written, given, in_row, rows};
use super::rows::{Row, instant, table, text};
use crate::engine::{Engine, Session};

/// Hexadecimal digits of a query's hash, and how many of them stand for the whole.
const HASH_DIGITS: usize = 64;
const HASH_DIGITS_MIN: usize = 8;

/// The reason of those that clients ask for, where they give none.
const REQUESTED: &str = "request";

/// Those that were asked for and those that the caches made themselves. Tables that a reader may not know
/// of are left out.
pub(super) fn provider(
    engine: &Engine,
    catalog: &Catalog,
    access: &Access,
    def: &LiveDef,
) -> Result<Arc<dyn TableProvider>> {
    let parts = engine.parts();
    engine.settle_invalidations();
    let mut rows: Vec<Row> = Vec::new();
    for asked in catalog.invalidations().iter() {
        if !may_know(catalog, access, &asked.def.key) {
            continue;
        }
        let mut row = Row::from([
            ("event_id", text(&asked.def.event_id)),
            ("cache_key", text(&asked.def.key)),
            ("invalidation_reason", text(&asked.def.reason)),
            ("triggered_at", instant(asked.def.triggered_at)),
        ]);
        let settled = parts.confirmations.settled_at(asked.sequence);
        row.extend(settled.map(|at| ("processed_at", instant(at))));
        rows.push(row);
    }
    for own in parts.cache.events().list() {
        if !may_know(catalog, access, &own.key) {
            continue;
        }
        let mut row = Row::from([
            ("event_id", text(own.id)),
            ("cache_key", text(own.key)),
            ("invalidation_reason", text(own.reason)),
            ("triggered_at", instant(own.triggered_at)),
        ]);
        row.extend(own.processed_at.map(|at| ("processed_at", instant(at))));
        rows.push(row);
    }
    table(def, rows)
}

fn may_know(catalog: &Catalog, access: &Access, key: &str) -> bool {
    match key.split_once('.') {
        _ if access.is_admin() => true,
        Some((schema, name)) if !name.ends_with('*') => {
            let there = catalog.object(schema, name);
            there.is_some_and(|object| access.sees(object))
        }
        Some(_) | None => true,
    }
}

/// Has caches forget something. Rows say what; when is the system's to say.
pub(super) async fn insert(engine: &Engine, session: &Session, batches: &[RecordBatch]) -> Result<u64> {
    let parts = engine.parts();
    let catalog = session.catalog(parts.catalog.refresh().await?);
    let defs = read_all(engine, session, &catalog, batches)?;
    let count = defs.len();
    if count > 0 {
        let applied = parts.catalog.apply(Op::Cache(CacheOp::Invalidate(defs))).await?;
        engine.follow(&applied.catalog).await?;
    }
    Ok(count as u64)
}

fn read_all(
    engine: &Engine,
    session: &Session,
    catalog: &Catalog,
    batches: &[RecordBatch],
) -> Result<Vec<InvalidationDef>> {
    let parts = engine.parts();
    let keys = Keys {
        access: engine.access(catalog, session)?,
        catalog,
        schema: session.schema(),
        hashes: &|digits| {
            let entries = parts.cache.entries()?.into_iter();
            Ok(entries
                .map(|entry| entry.hash)
                .filter(|hash| hash.starts_with(digits))
                .collect())
        },
    };
    let now = parts.clock.now();
    rows(batches)
        .enumerate()
        .map(|(index, row)| read(row, &keys, now).map_err(|error| in_row(index, error)))
        .collect()
}

fn read(row: Written<'_>, keys: &Keys<'_>, now: DateTime<Utc>) -> Result<InvalidationDef> {
    for column in ["triggered_at", "processed_at"] {
        if !row.is_null(column) {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("{column} is given, but is the system's to say"),
            )
            .with_hint("Leave it out."));
        }
    }
    Ok(InvalidationDef {
        event_id: row
            .text("event_id")
            .unwrap_or_else(|| EventId::generate().to_string()),
        key: keys.resolve(&given(row.text("cache_key"), "cache_key")?)?,
        reason: row
            .text("invalidation_reason")
            .unwrap_or_else(|| REQUESTED.to_owned()),
        triggered_at: now,
    })
}

/// What keys may mean to whoever gives them.
struct Keys<'a> {
    catalog: &'a Catalog,
    access: Access,
    /// The current schema.
    schema: String,
    /// The hashes of cached queries that begin with some digits.
    hashes: &'a dyn Fn(&str) -> Result<Vec<String>>,
}

impl Keys<'_> {
    /// The key in the one form that every scheduler and executor reads: `schema.table`, a whole hash, or
    /// a prefix of either that ends in `*`.
    fn resolve(&self, given: &str) -> Result<String> {
        let key = given.trim();
        if let Some(prefix) = key.strip_suffix('*') {
            if prefix.contains('*') {
                return Err(invalid(format!("cache_key \"{given}\" has more than one *"))
                    .with_hint("A * stands at the end, for all that begins like it."));
            }
            let whole = prefix.is_empty() || prefix.contains('.') || is_hash(prefix);
            return Ok(match whole {
                true => key.to_owned(),
                false => format!("{}.{key}", self.schema),
            });
        }
        let name = match key.split_once('.') {
            Some((schema, name)) => ObjectName::full(schema, name),
            None => ObjectName::bare(key),
        };
        let folded = ObjectName {
            schema: name.schema.as_ref().map(|schema| schema.to_lowercase()),
            name: name.name.to_lowercase(),
            position: None,
        };
        let found = [&name, &folded]
            .into_iter()
            .find_map(|name| self.catalog.find(name, &self.schema))
            .filter(|object| self.access.sees(object));
        if let Some(object) = found {
            return Ok(format!("{}.{}", object.schema(), object.name()));
        }
        if name.schema.is_some() || !is_hash(key) {
            return Err(Error::new(
                SqlState::UndefinedTable,
                format!("cache_key \"{given}\" names no table"),
            )
            .with_hint(
                "It is a table's name, the hash of a cached query, or the beginning of either with a * behind it.",
            ));
        }
        let digits = key.to_lowercase();
        if digits.len() == HASH_DIGITS {
            return Ok(digits);
        }
        let mut hashes = (self.hashes)(&digits)?;
        match (hashes.pop(), hashes.len()) {
            (Some(hash), 0) => Ok(hash),
            (None, _) => Err(Error::new(
                SqlState::UndefinedObject,
                format!("no query is cached whose hash begins with \"{given}\""),
            )
            .with_hint("distributed_query_cache has those that are.")),
            (Some(_), others) => Err(invalid(format!(
                "the hashes of {} cached queries begin with \"{given}\"",
                others + 1
            ))
            .with_hint("Give more digits, or put a * behind them to mean them all.")),
        }
    }
}

fn is_hash(key: &str) -> bool {
    (HASH_DIGITS_MIN..=HASH_DIGITS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::InvalidParameterValue, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_whole() {
        let catalog = Catalog::empty();
        let cached = ["abcdef0123".repeat(7), "abcdef0199".repeat(7)].map(|hash| hash[..64].to_owned());
        let hashes = |digits: &str| {
            let begun = cached.iter().filter(|hash| hash.starts_with(digits));
            Ok(begun.cloned().collect())
        };
        let keys = Keys {
            catalog: &catalog,
            access: Access::everything("tester"),
            schema: "public".to_owned(),
            hashes: &hashes,
        };
        for (given, key) in [
            ("cache_layers", "public.cache_layers"),
            (" Cache_Layers ", "public.cache_layers"),
            ("system.queries", "system.queries"),
            ("*", "*"),
            ("cdn_*", "public.cdn_*"),
            ("public.cdn_*", "public.cdn_*"),
            ("system.*", "system.*"),
            ("abcdef01*", "abcdef01*"),
            ("ABCDEF0123", cached[0].as_str()),
            (&"0F".repeat(32), &"0f".repeat(32)),
        ] {
            assert_eq!(keys.resolve(given).unwrap(), key, "{given}");
        }
        for (given, code) in [
            ("", SqlState::UndefinedTable),
            ("cache_layer", SqlState::UndefinedTable),
            ("s.abcdef0123", SqlState::UndefinedTable),
            ("abcdef0", SqlState::UndefinedTable),
            ("*a*", SqlState::InvalidParameterValue),
            ("abcdef01", SqlState::InvalidParameterValue),
            ("abcdef02", SqlState::UndefinedObject),
            (&"0f".repeat(33), SqlState::UndefinedTable),
        ] {
            assert_eq!(keys.resolve(given).unwrap_err().code(), code, "{given}");
        }
    }
}
