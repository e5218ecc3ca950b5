//! Which map of pinned keys a table obeys. Tables of one map share its number of shards, so that a
//! shard of one lies beside the same shard of the other.

use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::layout::{ColumnType, TableLayout};

use super::model::Catalog;

/// The maps there are, each by the key column it is the default of.
pub const SHARD_MAPS: [(&str, &str); 2] = [("user_id", "user_shard_map"), ("title_id", "content_shard_map")];

/// Shards of a table whose statement names none.
pub const DEFAULT_SHARDS: u32 = 16;

/// The most shards a table may have.
const SHARDS_MAX: u32 = 4096;

/// The map of a shard key, by the key's name.
pub fn default_shard_map(key: &str) -> Option<&'static str> {
    SHARD_MAPS
        .iter()
        .find(|(column, _)| *column == key)
        .map(|(_, map)| *map)
}

/// What a statement says about the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShardMapChoice {
    /// Nothing: the key's name decides.
    Default,
    /// `shard_map = '…'`.
    Named(String),
}

/// The number of shards that the other tables of a map have.
fn shards_of(catalog: &Catalog, map: &str, layout: &TableLayout) -> Option<(String, u32)> {
    catalog
        .tables()
        .filter(|def| def.layout.id != layout.id && def.layout.shard_map.as_deref() == Some(map))
        .find_map(|def| Some((def.name.clone(), def.layout.sharding.as_ref()?.shards)))
}

/// Decides map and number of shards of a new table. `shards` is what its statement says. A notice
/// tells of what was decided against the default.
pub(crate) fn settle(
    layout: &mut TableLayout,
    shards: Option<u32>,
    choice: &ShardMapChoice,
    catalog: &Catalog,
) -> Result<()> {
    let Some(sharding) = layout.sharding.clone() else {
        if let ShardMapChoice::Named(map) = choice
            && map != "none"
        {
            return Err(Error::new(
                SqlState::InvalidTableDefinition,
                "a table without a shard key obeys no shard map",
            )
            .with_hint("Add CLUSTERED BY (…) INTO n BUCKETS."));
        }
        return Ok(());
    };
    let is_number = layout
        .column(&sharding.key)
        .is_some_and(|column| matches!(column.data_type, ColumnType::BigInt));
    let map = match choice {
        ShardMapChoice::Named(name) if name == "none" => None,
        ShardMapChoice::Named(name) => Some(known(name)?),
        ShardMapChoice::Default if is_number => default_shard_map(&sharding.key),
        ShardMapChoice::Default => None,
    };
    if map.is_some() && !is_number {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!(
                "the shard key \"{}\" is no BIGINT, as the keys of its shard map are",
                sharding.key
            ),
        ));
    }
    let others = map.and_then(|map| shards_of(catalog, map, layout));
    let shards = shards
        .or(others.as_ref().map(|(_, shards)| *shards))
        .unwrap_or(DEFAULT_SHARDS);
    let differs = others.as_ref().is_some_and(|(_, others)| *others != shards);
    layout.sharding = Some(watershed_storage::layout::Sharding {
        key: sharding.key,
        shards,
    });
    // A default gives way to a number that was asked for; a map that was named does not.
    layout.shard_map = match choice {
        ShardMapChoice::Default if differs => None,
        ShardMapChoice::Default | ShardMapChoice::Named(_) => map.map(str::to_owned),
    };
    check(layout, catalog)
}

/// Checks a layout against the newest catalog.
pub(super) fn check(layout: &TableLayout, catalog: &Catalog) -> Result<()> {
    let Some(sharding) = &layout.sharding else {
        return Ok(());
    };
    if !(1..=SHARDS_MAX).contains(&sharding.shards) {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!("a table has 1 to {SHARDS_MAX} shards, not {}", sharding.shards),
        ));
    }
    let Some(map) = &layout.shard_map else {
        return Ok(());
    };
    match shards_of(catalog, map, layout) {
        Some((table, shards)) if shards != sharding.shards => Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!(
                "tables of {map} have {shards} shards, this one would have {}",
                sharding.shards
            ),
        )
        .with_detail(format!("Table \"{table}\" is one of them."))
        .with_hint(format!(
            "Write INTO {shards} BUCKETS, or WITH (shard_map = 'none')."
        ))),
        Some(_) | None => Ok(()),
    }
}

fn known(name: &str) -> Result<&'static str> {
    SHARD_MAPS
        .iter()
        .map(|(_, map)| *map)
        .find(|map| *map == name)
        .ok_or_else(|| {
            let maps = SHARD_MAPS.map(|(_, map)| map);
            let error = Error::new(
                SqlState::InvalidParameterValue,
                format!("unknown shard map \"{name}\""),
            );
            match nearest(name, maps) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error.with_hint(format!("The maps are {}, or 'none'.", maps.join(" and "))),
            }
        })
}
