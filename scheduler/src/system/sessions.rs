//! `system.sessions`: who is connected.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use watershed_core::Result;
use watershed_core::id::SessionId;
use watershed_sql::authorize::Access;
use watershed_sql::catalog::LiveDef;

use super::rows::{Row, instant, integer, table, text};
use crate::engine::{Parts, QueryState};

/// Those of others are shown to whoever may do everything.
pub(super) fn provider(parts: &Parts, access: &Access, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let mut running: BTreeMap<SessionId, u64> = BTreeMap::new();
    for query in parts.queries.list() {
        if query.state == QueryState::Running {
            *running.entry(query.session).or_default() += 1;
        }
    }
    let sessions = parts.sessions.list().into_iter();
    let seen = sessions.filter(|(session, _)| access.owns(session.principal.name()));
    let rows = seen.map(|(session, idle)| {
        let settings = session.settings();
        let changed: Vec<_> = settings
            .changed()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Row::from([
            ("session_id", text(session.id.to_string())),
            ("principal", text(session.principal.name())),
            ("current_schema", text(session.schema())),
            ("started_at", instant(session.started_at)),
            ("idle_ms", integer(idle.as_millis())),
            (
                "statements_running",
                integer(running.get(&session.id).copied().unwrap_or_default()),
            ),
            ("settings", text(changed.join(", "))),
        ])
    });
    table(def, rows.collect())
}
