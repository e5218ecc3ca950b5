//! Statements run on threads of their own: what computes for long, and cannot be interrupted, keeps no thread that
//! serves ports, and its client does not wait for it.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use datafusion::common::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{FutureExt, StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use watershed_core::{Error, Result};
use watershed_storage::error::into_datafusion;

use super::Engine;
use super::limits::{cancelled, panicked};
use super::place::{Place, Wait};
use super::queries::QueryNotes;
use crate::dispatch::context::StatementContext;

/// Batches that are there before they are wanted.
const AHEAD: usize = 1;

impl Engine {
    /// Does `work` on the threads of statements. Dropped, it is cancelled where it next waits or yields.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let work = AssertUnwindSafe(work).catch_unwind();
        let working = AbortOnDropHandle::new(self.parts().statements.spawn(work));
        match working.await {
            Ok(done) => done.unwrap_or_else(panicked),
            Err(_) => Err(Error::internal("the threads of statements have ended")),
        }
    }

    /// Does `work` on the threads of statements, or here if it does not wait for them.
    pub(super) async fn run_there<T: Send + 'static>(
        &self,
        waits: bool,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match waits {
            true => self.apart(work).await,
            false => {
                let caught = AssertUnwindSafe(work).catch_unwind().await;
                caught.unwrap_or_else(panicked)
            }
        }
    }
}

/// The same rows, read on the threads of statements. The statement has its place until these are done with it, but for the
/// time that it waits for its client. Cancelled, it ends whether or not its client takes its rows.
pub(super) fn read_apart(
    threads: &Handle,
    rows: SendableRecordBatchStream,
    place: Option<Place>,
    context: Arc<StatementContext>,
    notes: QueryNotes,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let (sender, receiver) = mpsc::channel::<Sent>(AHEAD);
    let ended = Arc::new(OnceLock::<Error>::new());
    let told = Arc::clone(&ended);
    threads.spawn(async move {
        let outcome = tokio::select! {
            outcome = send(rows, &sender, place) => outcome,
            () = context.cancel.cancelled() => Err(cancelled()),
        };
        // The sender is there until the reason can be read.
        if let Err(error) = outcome {
            notes.fail(&error);
            told.get_or_init(|| error);
        }
        drop(sender);
    });
    // Rows end well if the end itself has come, and not because nobody sends any more.
    let batches = stream::unfold(Some((receiver, ended)), |state| async {
        let (mut receiver, ended) = state?;
        match receiver.recv().await {
            Some(Some(Ok(batch))) => Some((Ok(batch), Some((receiver, ended)))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => {
                let lost = || Error::internal("the threads of statements have ended");
                let error = ended.get().cloned().unwrap_or_else(lost);
                Some((Err(into_datafusion(error)), None))
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// A batch, an error, or the end of the rows.
type Sent = Option<DataFusionResult<RecordBatch>>;

async fn send(
    mut rows: SendableRecordBatchStream,
    sender: &mpsc::Sender<Sent>,
    place: Option<Place>,
) -> Result<()> {
    loop {
        let next = AssertUnwindSafe(rows.next()).catch_unwind();
        let next = tokio::select! {
            biased;
            () = sender.closed() => return Ok(()),
            next = next => next.unwrap_or_else(|panic| Some(panicked(panic).map_err(into_datafusion))),
        };
        let ended = !matches!(next, Some(Ok(_)));
        if ended && let Some(place) = &place {
            // Nothing is computed any more.
            place.leave();
        }
        let sent = match &place {
            // Without a client nothing waits for its place.
            Some(place) => tokio::select! {
                biased;
                () = sender.closed() => return Ok(()),
                sent = place.client(Wait::Taken, sender.send(next)) => sent?,
            },
            None => sender.send(next).await,
        };
        if sent.is_err() || ended {
            return Ok(());
        }
    }
}
