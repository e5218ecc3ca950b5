//! What the system says of the statements it ran.

use std::fmt;

use watershed_core::Result;

use super::Session;
use crate::answer::{Cell, cells};
use crate::show::bytes;

/// What `system.queries` tells of one run of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    pub(crate) id: String,
    pub(crate) execution: String,
    /// Read, and how many there are.
    pub(crate) files: (i128, i128),
    pub(crate) shards: (i128, i128),
    pub(crate) shards_completed: i128,
    pub(crate) bytes: i128,
    pub(crate) retries: i128,
    /// The layer that answered, or why none did: `local`, `distributed`, `shared`, `miss`, `bypass`.
    pub(crate) cache: String,
    pub(crate) cache_reason: String,
    pub(crate) fragments_cached: i128,
    pub(crate) fragments_run: i128,
    pub(crate) bytes_cached: i128,
    /// Of the completed, those that an earlier try had completed.
    pub(crate) shards_reused: i128,
}

const COLUMNS: &str = "statement_id, execution, files_scanned, files_total, shards_scanned, shards_total, \
                       shards_completed, bytes_scanned, retries, cache, cache_reason, fragments_cached, \
                       fragments_run, bytes_cached, shards_reused";

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

impl Ran {
    /// Whether a whole answer was there already, or came from another client's run.
    pub(crate) fn is_full_hit(&self) -> bool {
        matches!(self.cache.as_str(), "local" | "distributed" | "shared")
    }

    fn from_row(row: &[Cell]) -> Self {
        let number = |at: usize| match row.get(at) {
            Some(Cell::Number { digits, .. }) => *digits,
            _ => 0,
        };
        let text = |at: usize| match row.get(at) {
            Some(Cell::Text(text)) => text.clone(),
            _ => String::new(),
        };
        Self {
            id: text(0),
            execution: text(1),
            files: (number(2), number(3)),
            shards: (number(4), number(5)),
            shards_completed: number(6),
            bytes: number(7),
            retries: number(8),
            cache: text(9),
            cache_reason: text(10),
            fragments_cached: number(11),
            fragments_run: number(12),
            bytes_cached: number(13),
            shards_reused: number(14),
        }
    }
}

/// The latest run of a statement that ended well; nothing known, if it is not listed.
pub(crate) async fn ran(session: &Session, sql: &str) -> Result<Ran> {
    let condition = format!("statement = {} AND state = 'finished'", literal(sql));
    let rows = all_ran(session, &format!("{condition} ORDER BY started_at DESC LIMIT 1")).await?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// All listed runs that a condition on `system.queries` holds for.
pub(crate) async fn all_ran(session: &Session, condition: &str) -> Result<Vec<Ran>> {
    let question = format!("SELECT {COLUMNS} FROM system.queries WHERE {condition}");
    let rows = cells(&session.rows(&question).await?)?;
    Ok(rows.iter().map(|row| Ran::from_row(row)).collect())
}

/// A text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
