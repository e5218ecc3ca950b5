//! `system.queries`: what runs and what ran.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use watershed_core::Result;
use watershed_sql::authorize::Access;
use watershed_sql::catalog::{LiveDef, Privilege, Scope};

use super::rows::{Row, instant, integer, table, text};
use crate::dispatch::context::Counters;
use crate::engine::{Parts, QueryRecord, QueryState};

/// One's own, and all for an admin.
pub(super) fn provider(parts: &Parts, access: &Access, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let mut queries = parts.queries.list();
    queries.retain(|query| access.owns(&query.principal));
    let rows = queries.into_iter().map(|query| {
        let counted = may_count(access, &query);
        let mut row = row(query);
        if !counted {
            row.retain(|name, _| !OF_TABLES.contains(name));
        }
        row
    });
    table(def, rows.collect())
}

/// What tells of the tables that a statement reads, through views too.
const OF_TABLES: [&str; 16] = [
    "files_total",
    "files_scanned",
    "shards_total",
    "shards_scanned",
    "rows_scanned",
    "bytes_scanned",
    "data_bytes_cached",
    "shards_completed",
    "shards_reused",
    "retries",
    "hedges",
    "fragments_cached",
    "fragments_run",
    "bytes_cached",
    "table_versions",
    "reason",
];

/// Whether one may read all tables that a statement read. A view may show a few of the rows that it reads.
fn may_count(access: &Access, query: &QueryRecord) -> bool {
    let may_read = |table: &str| {
        let scope = table
            .split_once('.')
            .map(|(schema, name)| Scope::object(schema, name));
        scope.is_some_and(|scope| access.allows(Privilege::Select, &scope))
    };
    let versions = query.table_versions.as_deref().unwrap_or("{}");
    let versions: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(versions).ok();
    access.is_admin()
        || (query.scans.iter().all(|scan| may_read(&scan.table))
            && versions.is_some_and(|versions| versions.keys().all(|table| may_read(table))))
}

fn row(query: QueryRecord) -> Row {
    let sum = |of: fn(&watershed_storage::table::ScanReport) -> usize| -> ScalarValue {
        integer(query.scans.iter().map(of).sum::<usize>() as u64)
    };
    let mut row = Row::from([
        ("statement_id", text(query.id.to_string())),
        ("session_id", text(query.session.to_string())),
        ("principal", text(query.principal)),
        ("statement", text(query.text)),
        ("state", text(query.state.name())),
        ("started_at", instant(query.started_at)),
        (
            "duration_ms",
            ScalarValue::Float64(Some(query.elapsed.as_secs_f64() * 1e3)),
        ),
        ("files_total", sum(|scan| scan.files_total)),
        ("files_scanned", sum(|scan| scan.files_scanned)),
        (
            "shards_total",
            integer(
                query
                    .scans
                    .iter()
                    .filter_map(|scan| scan.shards_total)
                    .map(u64::from)
                    .sum::<u64>(),
            ),
        ),
        ("shards_scanned", sum(|scan| scan.shards_scanned.len())),
    ]);
    let counters = &query.counters;
    for (name, counter) in [
        ("row_count", &counters.rows),
        ("rows_scanned", &counters.rows_scanned),
        ("bytes_scanned", &counters.bytes_scanned),
        ("data_bytes_cached", &counters.data_bytes_cached),
        ("shards_completed", &counters.completed_shards),
        ("shards_reused", &counters.reused_shards),
        ("retries", &counters.retries),
        ("hedges", &counters.hedges),
        ("fragments_cached", &counters.fragments_cached),
        ("fragments_run", &counters.fragments_run),
        ("bytes_cached", &counters.bytes_cached),
    ] {
        row.insert(name, integer(Counters::get(counter)));
    }
    row.extend(query.plan_hash.map(|hash| ("plan_hash", text(hash))));
    row.extend(
        query
            .table_versions
            .map(|versions| ("table_versions", text(versions))),
    );
    row.extend(query.cache.map(|from| ("cache", text(from))));
    row.extend(query.cache_reason.map(|why| ("cache_reason", text(why))));
    row.extend(query.path.map(|path| ("execution", text(path))));
    row.extend(query.path_reason.map(|why| ("reason", text(why))));
    row.extend(query.ended_at.map(|at| ("finished_at", instant(at))));
    if let QueryState::Failed { code, message } = query.state {
        row.insert("error_code", text(code.as_str()));
        row.insert("error_message", text(message));
    }
    row
}
