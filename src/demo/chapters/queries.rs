//! What the system says of the queries it ran.

use std::fmt;

use arrow::array::{AsArray, RecordBatch};
use watershed_core::Result;

use crate::answer::{Cell, cells};
use crate::processes::Session;
use crate::show::bytes;

/// What `system.queries` tells of one query.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) execution: String,
    pub(super) files: (i128, i128),
    pub(super) shards: (i128, i128),
    pub(super) bytes: i128,
    pub(super) retries: i128,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, files, .. } = self;
        write!(
            f,
            "read {} of {} shards, {} of {} files",
            shards.0, shards.1, files.0, files.1
        )?;
        // An executor that is too busy to tell what it read is not waited for.
        match u64::try_from(self.bytes) {
            Ok(0) | Err(_) => Ok(()),
            Ok(count) => write!(f, ", {}", bytes(count)),
        }
    }
}

/// The latest run of a statement.
pub(super) async fn ran(session: &Session, sql: &str) -> Result<Ran> {
    let question = format!(
        "SELECT execution, files_scanned, files_total, shards_scanned, shards_total, bytes_scanned, retries
         FROM system.queries
         WHERE statement = '{}' AND state = 'finished'
         ORDER BY started_at DESC
         LIMIT 1",
        sql.replace('\'', "''")
    );
    let rows = cells(&session.rows(&question).await?)?;
    let Some(row) = rows.first() else {
        return Ok(Ran::default());
    };
    let number = |at: usize| match row.get(at) {
        Some(Cell::Number { digits, .. }) => *digits,
        _ => 0,
    };
    Ok(Ran {
        execution: match &row[0] {
            Cell::Text(text) => text.clone(),
            _ => String::new(),
        },
        files: (number(1), number(2)),
        shards: (number(3), number(4)),
        bytes: number(5),
        retries: number(6),
    })
}

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
