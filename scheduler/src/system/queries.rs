//! `system.queries`: what runs and what ran.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use watershed_core::Result;
use watershed_sql::authorize::Access;
use watershed_sql::catalog::LiveDef;

use super::rows::{Row, instant, integer, table, text};
use crate::engine::{Parts, QueryRecord, QueryState};

/// One's own, and all for an admin.
pub(super) fn provider(parts: &Parts, access: &Access, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let mut queries = parts.queries.list();
    queries.retain(|query| access.owns(&query.principal));
    table(def, queries.into_iter().map(row).collect())
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
        ("row_count", integer(query.rows)),
        ("rows_scanned", integer(query.rows_scanned)),
        ("bytes_scanned", integer(query.bytes_scanned)),
        ("data_bytes_cached", integer(query.data_bytes_cached)),
        ("files_total", sum(|scan| scan.files_total)),
        ("files_scanned", sum(|scan| scan.files_scanned)),
        ("shards_completed", integer(query.completed_shards)),
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
        ("shards_reused", integer(query.reused_shards)),
        ("retries", integer(query.retries)),
        ("hedges", integer(query.hedges)),
    ]);
    for (name, number) in [
        ("fragments_cached", query.fragments_cached),
        ("fragments_run", query.fragments_run),
        ("bytes_cached", query.bytes_cached),
    ] {
        row.insert(name, integer(number));
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
