//! What a client asks for.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::scalar::ScalarValue;
use watershed_sql::plan::Ingest;

use super::place::Place;

/// See the module.
pub(super) enum Request {
    /// Without values for its parameters it can be planned, not run.
    Statement {
        sql: String,
        parameters: Option<Vec<ScalarValue>>,
    },
    Ingest {
        into: Ingest,
        rows: Arc<dyn TableProvider>,
        /// Its place, which it gives back while it waits for rows.
        place: Place,
    },
}

impl Request {
    /// Whether it waits for its turn and for threads. What ends other statements does not wait for them.
    pub(super) fn waits(&self) -> bool {
        match self {
            Self::Statement { sql, .. } => {
                let word = sql.split_whitespace().next().unwrap_or_default();
                !word.eq_ignore_ascii_case("kill")
            }
            Self::Ingest { .. } => true,
        }
    }
}
