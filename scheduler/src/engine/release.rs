//! Rows on their way to the client, and the statement that they are of.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt, stream};
use tokio::runtime::Handle;
use watershed_core::telemetry;
use watershed_storage::error::from_datafusion;

use super::apart::read_apart;
use super::limits::{Deadline, panicked, until};
use super::place::Place;
use super::queries::QueryGuard;
use crate::dispatch::context::{Counters, StatementContext};
use crate::flight::{Progress, RowStream};

/// The rows as the client gets them, read on the threads of statements. Dropped, the stream cancels the statement.
pub(super) fn release(
    rows: SendableRecordBatchStream,
    guard: QueryGuard,
    place: Option<Place>,
    context: Arc<StatementContext>,
    deadline: Option<Deadline>,
    threads: &Handle,
) -> RowStream {
    struct State {
        rows: SendableRecordBatchStream,
        context: Arc<StatementContext>,
        guard: QueryGuard,
    }
    let rows = read_apart(threads, rows, place, Arc::clone(&context), guard.notes().clone());
    let schema = rows.schema();
    let progress: Arc<dyn Progress> = Arc::<StatementContext>::clone(&context);
    let partial = context.note.clone();
    let state = State { rows, context, guard };
    let batches = stream::unfold(Some(state), move |state| async move {
        let mut state = state?;
        let next = std::panic::AssertUnwindSafe(state.rows.next())
            .catch_unwind()
            .map(|caught| caught.map_or_else(panicked, Ok));
        let next = match until(deadline, &Arc::clone(&state.context), next).await {
            Ok(None) => {
                state.guard.end(Ok(()));
                return None;
            }
            Ok(Some(batch)) => batch.map_err(from_datafusion),
            Err(error) => Err(error),
        };
        match next {
            Ok(batch) => {
                let count = batch.num_rows() as u64;
                Counters::add(&state.context.counters.rows, count);
                telemetry::ROWS_SENT.inc_by(count);
                Some((Ok(batch), Some(state)))
            }
            Err(error) => {
                state.guard.end(Err(&error));
                Some((Err(error), None))
            }
        }
    });
    RowStream {
        progress: Some(progress),
        partial,
        ..RowStream::new(schema, batches.boxed())
    }
}
