//! `system.executors`: the executors that live.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use watershed_core::Result;
use watershed_sql::catalog::LiveDef;

use super::rows::{Row, instant, integer, table, text};
use crate::engine::Parts;

pub(super) fn provider(parts: &Parts, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let members = parts.membership.current();
    let rows = members
        .executors
        .values()
        .map(|executor| {
            Row::from([
                ("node_id", text(executor.node.as_str())),
                ("url", text(&executor.url)),
                ("http_url", text(&executor.http)),
                ("threads", integer(executor.threads as u64)),
                ("memory_used_bytes", integer(executor.memory_used)),
                ("memory_limit_bytes", integer(executor.memory_limit)),
                ("breaker", text(parts.membership.breaker(&executor.node).name())),
                ("version", text(&executor.version)),
                ("process_id", integer(u64::from(executor.pid))),
                ("joined_at", instant(executor.joined_at)),
                ("last_heartbeat_at", instant(executor.heard_at)),
            ])
        })
        .collect();
    table(def, rows)
}
