//! `distributed_query_cache`: the answers that are cached, and the queries that are finding theirs.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use watershed_core::Result;
use watershed_sql::authorize::Access;
use watershed_sql::catalog::{LiveDef, Privilege, Scope, TEMPORARY_SCHEMA};

use super::read::rows;
use super::rows::{Row, instant, integer, table, text};
use crate::cache::EntryRecord;
use crate::engine::Parts;

/// The user's own results over tables that the user may still read; all results for an admin. A result of another user may come
/// from a dropped table or an older definition of a view with the same name, whose rows this user has no privilege to read.
pub(super) fn provider(parts: &Parts, access: &Access, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let mut seen = BTreeSet::new();
    let entries = parts.cache.entries()?.into_iter();
    // A result that is computed again is a row once, as it is computed.
    let entries = entries.filter(|entry| may_see(access, entry) && seen.insert(entry.hash.clone()));
    table(def, entries.map(|entry| row(access, entry)).collect())
}

fn may_see(access: &Access, entry: &EntryRecord) -> bool {
    let may_read = |(schema, name): &(String, String)| {
        schema == TEMPORARY_SCHEMA || access.allows(Privilege::Select, &Scope::object(schema, name))
    };
    access.owns(&entry.principal) && entry.tables.iter().all(may_read)
}

/// Whether the user may read all source tables of a result: the number of shards reveals what a predicate pruned.
fn may_count(access: &Access, entry: &EntryRecord) -> bool {
    let may_read = |table: &String| {
        let scope = table.split_once('.');
        scope.is_some_and(|(schema, name)| access.allows(Privilege::Select, &Scope::object(schema, name)))
    };
    let sources = entry.sources.as_ref();
    access.is_admin() || sources.is_some_and(|sources| sources.iter().all(may_read))
}

fn row(access: &Access, entry: EntryRecord) -> Row {
    let may_count = may_count(access, &entry);
    let mut row = Row::from([
        ("query_hash", text(entry.hash)),
        ("created_at", instant(entry.created_at)),
    ]);
    if may_count {
        row.insert("completed_shards", integer(entry.completed_shards));
        row.insert("total_shards", integer(entry.total_shards));
    }
    row.extend(entry.results.map(|results| ("results", text(results))));
    row
}

/// Evicts answers: those that whoever asks can see.
pub(super) fn delete(parts: &Parts, batches: &[RecordBatch]) -> u64 {
    let evicted = rows(batches)
        .filter_map(|row| row.text("query_hash"))
        .filter(|hash| parts.cache.evict(hash, "request"));
    evicted.count() as u64
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use watershed_sql::catalog::{CatalogStore, Op, PrincipalOp, UserDef};

    use super::*;

    #[tokio::test]
    async fn who_sees_what() {
        let folder = tempfile::tempdir().unwrap();
        let root = watershed_core::store::StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
        let store = CatalogStore::open(&root).await.unwrap();
        let entry = |principal: &str, tables: &[&str]| EntryRecord {
            hash: String::new(),
            principal: principal.to_owned(),
            tables: tables
                .iter()
                .map(|name| ("public".to_owned(), (*name).to_owned()))
                .collect(),
            sources: Some(tables.iter().map(|name| format!("public.{name}")).collect()),
            results: None,
            completed_shards: 0,
            total_shards: 0,
            created_at: DateTime::UNIX_EPOCH,
        };
        let apply = async |op: PrincipalOp| store.apply(Op::Principal(op)).await.unwrap();
        apply(PrincipalOp::CreateUser {
            def: UserDef {
                name: "ada".to_owned(),
                password: None,
                created_at: DateTime::UNIX_EPOCH,
            },
            if_not_exists: false,
        })
        .await;
        let select = (
            BTreeSet::from([Privilege::Select]),
            vec![Scope::object("public", "cdn_logs")],
            vec!["ada".to_owned()],
        );
        let (privileges, on, to) = select.clone();
        apply(PrincipalOp::Grant { privileges, on, to }).await;
        let ada = || Access::of(&store.current().principals, "ada").unwrap();
        assert!(may_see(&ada(), &entry("ada", &["cdn_logs"])));
        assert!(!may_see(&ada(), &entry("ada", &["cdn_logs", "raw_events"])));
        assert!(!may_see(&ada(), &entry("bob", &["cdn_logs"])));
        assert!(may_count(&ada(), &entry("ada", &["cdn_logs"])));
        assert!(!may_count(&ada(), &entry("ada", &["raw_events"])));
        assert!(may_see(&ada(), &entry("ada", &[])));
        assert!(!may_see(&ada(), &entry("bob", &[])));
        assert!(may_see(
            &Access::everything("root"),
            &entry("bob", &["raw_events"])
        ));
        let (privileges, on, from) = select;
        apply(PrincipalOp::Revoke { privileges, on, from }).await;
        assert!(!may_see(&ada(), &entry("ada", &["cdn_logs"])));
    }
}
