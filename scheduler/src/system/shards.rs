//! `system.shards`: the shards of every sharded table, what lies in them, and who owns them now.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use watershed_core::Result;
use watershed_sql::authorize::Access;
use watershed_sql::catalog::{Catalog, LiveDef, Object, Privilege, Scope, TableDef};

use super::rows::{Row, integer, table, text};
use crate::engine::Parts;

/// What lies in one shard.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    files: u64,
    rows: u64,
    bytes: u64,
}

/// Of the tables that their reader may see.
pub(super) async fn provider(
    parts: &Parts,
    catalog: &Catalog,
    access: &Access,
    def: &LiveDef,
) -> Result<Arc<dyn TableProvider>> {
    let members = parts.membership.current();
    let mut rows = Vec::new();
    let seen = |table: &&Arc<TableDef>| access.sees(&Object::Table(Arc::clone(table)));
    for owned in catalog.tables().filter(seen) {
        let Some(sharding) = &owned.layout.sharding else {
            continue;
        };
        // How many rows there are is for those who may read them.
        let may_count = access.allows(Privilege::Select, &Scope::object(&owned.schema, &owned.name));
        let contents = match may_count {
            true => contents(parts, owned, sharding.shards).await,
            false => None,
        };
        let owners = members.ring.place(sharding.shards);
        for shard in 0..sharding.shards as usize {
            let mut row = Row::from([
                ("table_schema", text(&owned.schema)),
                ("table_name", text(&owned.name)),
                ("shard_id", integer(shard as u64)),
            ]);
            if let Some(content) = contents.as_ref().and_then(|contents| contents.get(shard)) {
                row.extend([
                    ("file_count", integer(content.files)),
                    ("row_count", integer(content.rows)),
                    ("size_bytes", integer(content.bytes)),
                ]);
            }
            row.extend(owners.get(shard).map(|owner| ("owner", text(owner.as_str()))));
            rows.push(row);
        }
    }
    table(def, rows)
}

/// What lies in each shard. None of a table whose log cannot be read: the other tables are shown all the same.
async fn contents(parts: &Parts, table: &TableDef, shards: u32) -> Option<Vec<Content>> {
    let snapshot = match parts.delta.snapshot(&table.layout).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::warn!(table = %table.layout.id, %error, "the shards of a table cannot be counted");
            return None;
        }
    };
    let mut contents = vec![Content::default(); shards as usize];
    for file in &snapshot.files {
        if let Some(content) = file.shard.and_then(|shard| contents.get_mut(shard as usize)) {
            content.files += 1;
            content.rows += file.rows.unwrap_or_default();
            content.bytes += file.size;
        }
    }
    Some(contents)
}
