//! Queries that run before anybody fetches their rows, for clients that poll.
//!
//! Such a query holds its place among those that run, so it is given up when its client is not heard of
//! any more. Fetched after that it runs again, as any query does that is fetched twice.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use watershed_core::net::Notices;
use watershed_core::{Error, Result};

use super::encode::Switch;
use super::engine::{Progress, RowStream};
use super::query::Query;

/// A client that has neither polled nor fetched for so long has gone.
const LEASE: Duration = Duration::from_secs(60);
/// One that gave up a poll before it was answered has gone, too, unless it polls again at once.
const GRACE: Duration = Duration::from_millis(500);
/// A poll waits so long for rows. The first is answered soon, and short queries with it.
pub(super) const FIRST_POLL: Duration = Duration::from_millis(50);
pub(super) const NEXT_POLL: Duration = Duration::from_secs(1);

/// Rows that are no more than this, and that come within this, are taken before they are fetched.
const SHORT_BYTES: usize = 16 << 10;
const SOON: Duration = Duration::from_millis(50);

/// A query under way.
pub(super) struct Ahead {
    phase: watch::Receiver<Phase>,
    /// Until when the query is kept.
    lease: watch::Sender<Instant>,
}

/// A poll that waits for its answer.
struct Poll<'a>(Option<&'a watch::Sender<Instant>>);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        if let Some(lease) = self.0 {
            lease.send_replace(Instant::now() + GRACE);
        }
    }
}

#[derive(Clone)]
enum Phase {
    Planning,
    Running(Option<Arc<dyn Progress>>),
    Ready(Arc<Mutex<Option<(RowStream, Notices)>>>),
    Failed(Error),
}

impl Phase {
    fn has_ended(&self) -> bool {
        matches!(self, Self::Ready(_) | Self::Failed(_))
    }
}

/// What a poll tells.
pub(super) enum State {
    /// How far it is, between 0 and 1.
    Running(f64),
    Ready,
}

impl Ahead {
    /// Starts a query. It stops when it is switched off.
    pub(super) fn start(query: Query, switch: Arc<Switch>) -> Self {
        let (phase, seen) = watch::channel(Phase::Planning);
        let (lease, kept) = watch::channel(Instant::now() + LEASE);
        tokio::spawn(async move {
            let run = switch.run(run(&query, &phase));
            let last = tokio::select! {
                ended = run => ended.unwrap_or_else(Phase::Failed),
                () = left_alone(kept.clone()) => return,
            };
            // The rows are kept as long as the client is there to fetch them.
            phase.send_replace(last);
            left_alone(kept).await;
        });
        Self { phase: seen, lease }
    }

    /// How far it is. Waits a little for its rows.
    pub(super) async fn poll(&self, limit: Duration) -> Result<State> {
        self.lease.send_replace(Instant::now() + LEASE);
        let mut poll = Poll(Some(&self.lease));
        let mut phase = self.phase.clone();
        let ended = phase.wait_for(Phase::has_ended);
        let waited = tokio::time::timeout(limit, ended).await;
        poll.0 = None;
        if let Ok(Err(_)) = waited {
            // It was given up, and runs when its rows are fetched.
            return Ok(State::Ready);
        }
        match &*self.phase.borrow() {
            Phase::Planning => Ok(State::Running(0.0)),
            Phase::Running(progress) => {
                let fraction = progress.as_ref().and_then(|progress| progress.fraction());
                Ok(State::Running(fraction.unwrap_or_default()))
            }
            Phase::Ready(_) => Ok(State::Ready),
            Phase::Failed(error) => Err(error.clone()),
        }
    }

    /// Its rows, for the first to ask.
    pub(super) async fn take(&self) -> Result<Option<(RowStream, Notices)>> {
        self.lease.send_replace(Instant::now() + LEASE);
        let mut phase = self.phase.clone();
        match phase.wait_for(Phase::has_ended).await.as_deref() {
            Ok(Phase::Ready(rows)) => Ok(rows.lock().take()),
            Ok(Phase::Failed(error)) => Err(error.clone()),
            Ok(Phase::Planning | Phase::Running(_)) | Err(_) => Ok(None),
        }
    }
}

/// Runs the query until there are rows. What is short and comes soon is taken whole, and gives its place
/// among those that run back.
async fn run(query: &Query, phase: &watch::Sender<Phase>) -> Result<Phase> {
    let (mut rows, notices) = query.run().await?;
    phase.send_replace(Phase::Running(rows.progress.clone()));
    let mut taken = Vec::from_iter(rows.batches.next().await.transpose()?);
    let until = Instant::now() + SOON;
    while taken
        .iter()
        .map(RecordBatch::get_array_memory_size)
        .sum::<usize>()
        <= SHORT_BYTES
    {
        match tokio::time::timeout_at(until, rows.batches.next()).await {
            Ok(Some(batch)) => taken.push(batch?),
            Ok(None) => {
                rows.batches = stream::empty().boxed();
                break;
            }
            Err(_) => break,
        }
    }
    let batches = stream::iter(taken.into_iter().map(Ok)).chain(rows.batches);
    let rows = RowStream {
        schema: rows.schema,
        batches: batches.boxed(),
        progress: rows.progress,
        partial: rows.partial,
    };
    Ok(Phase::Ready(Arc::new(Mutex::new(Some((rows, notices))))))
}

/// Ends when nobody has been heard of for long, or can be any more.
async fn left_alone(mut kept: watch::Receiver<Instant>) {
    loop {
        let until = *kept.borrow_and_update();
        match tokio::time::timeout_at(until, kept.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
