//! What the system says of queries before it runs them.

use arrow::array::{AsArray, RecordBatch};
use watershed_core::Result;

use crate::processes::Session;

/// The lines of an `EXPLAIN` that say where a query runs and what it reads.
pub(super) async fn explained(session: &Session, sql: &str) -> Result<Vec<String>> {
    let batch = session.rows(&format!("EXPLAIN {sql}")).await?;
    Ok(["path", "scan"]
        .iter()
        .flat_map(|kind| lines(&batch, kind))
        .collect())
}

fn lines(batch: &RecordBatch, wanted: &str) -> Vec<String> {
    let (Some(kinds), Some(plans)) = (
        batch.column(0).as_string_opt::<i32>(),
        batch.column(1).as_string_opt::<i32>(),
    ) else {
        return Vec::new();
    };
    kinds
        .iter()
        .zip(plans)
        .filter(|(kind, _)| *kind == Some(wanted))
        .map(|(_, plan)| format!("{wanted}: {}", plan.unwrap_or_default()))
        .collect()
}
