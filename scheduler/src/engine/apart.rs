//! Statements run on threads of their own: what computes for long, and cannot be interrupted, keeps no thread that
//! serves ports, and its client does not wait for it.

use std::panic::AssertUnwindSafe;

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
use super::admission::Permit;
use super::limits::panicked;

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

/// The same rows, read on the threads of statements. The statement has its place until these are done with it.
pub(super) fn read_apart(
    threads: &Handle,
    mut rows: SendableRecordBatchStream,
    permit: Option<Permit>,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let (sender, receiver) = mpsc::channel::<Option<DataFusionResult<RecordBatch>>>(AHEAD);
    threads.spawn(async move {
        let _permit = permit;
        loop {
            let next = AssertUnwindSafe(rows.next()).catch_unwind();
            let next = tokio::select! {
                biased;
                () = sender.closed() => return,
                next = next => next.unwrap_or_else(|panic| Some(panicked(panic).map_err(into_datafusion))),
            };
            let ended = !matches!(next, Some(Ok(_)));
            if sender.send(next).await.is_err() || ended {
                return;
            }
        }
    });
    // Rows end well if the end itself has come, and not because nobody sends any more.
    let batches = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(Ok(batch))) => Some((Ok(batch), Some(receiver))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => {
                let error = Error::internal("the threads of statements have ended");
                Some((Err(into_datafusion(error)), None))
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}
