//! `system.settings`: every session setting, its value and what it does.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use watershed_core::Result;
use watershed_core::settings::SETTINGS;
use watershed_sql::catalog::LiveDef;

use super::rows::{Row, table, text};
use crate::engine::Session;

pub(super) fn provider(session: &Arc<Session>, def: &LiveDef) -> Result<Arc<dyn TableProvider>> {
    let settings = session.settings();
    let rows = SETTINGS
        .iter()
        .map(|setting| {
            Ok(Row::from([
                ("name", text(setting.name)),
                ("value", text(settings.get(setting.name)?)),
                ("default_value", text(setting.default)),
                ("description", text(setting.description)),
            ]))
        })
        .collect::<Result<Vec<_>>>()?;
    table(def, rows)
}
