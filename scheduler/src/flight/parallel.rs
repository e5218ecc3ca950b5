//! Rows that several streams share: each takes the next batch when it has sent the last one. Every row
//! comes over one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use watershed_core::net::Notices;
use watershed_core::partial::PartialNote;
use watershed_core::{Error, Result, SqlState};

use super::engine::RowStream;
use super::query::{Query, no_rows};
use super::statement::fetched;

type Batches = BoxStream<'static, Result<RecordBatch>>;

/// A query whose rows are fetched over several streams.
pub(super) struct Parallel {
    streams: u16,
    /// One who begins or joins at a time.
    state: tokio::sync::Mutex<State>,
}

struct State {
    /// Which streams were fetched: rows that one has sent are not there a second time.
    fetched: Vec<bool>,
    shared: Option<Shared>,
}

/// The rows while some stream of them is open.
struct Shared {
    rows: Weak<Rows>,
    schema: SchemaRef,
    /// Set when all rows were sent.
    complete: Arc<AtomicBool>,
    partial: PartialNote,
}

struct Rows {
    batches: tokio::sync::Mutex<Batches>,
    complete: Arc<AtomicBool>,
    failed: Mutex<Option<Error>>,
}

impl Parallel {
    pub(super) fn new(streams: u16) -> Self {
        Self {
            streams,
            state: tokio::sync::Mutex::new(State {
                fetched: vec![false; usize::from(streams)],
                shared: None,
            }),
        }
    }

    pub(super) fn streams(&self) -> u16 {
        self.streams
    }

    /// One of the streams. The first to be fetched runs the query.
    pub(super) async fn take(&self, stream: u16, query: &Query) -> Result<(RowStream, Notices)> {
        let mut state = self.state.lock().await;
        let stream = usize::from(stream);
        match state.fetched.get(stream) {
            Some(false) => {}
            Some(true) | None => return Err(fetched()),
        }
        let joined = state.shared.as_ref().map(|shared| {
            let complete = shared.complete.load(Ordering::Acquire);
            let (schema, partial) = (Arc::clone(&shared.schema), shared.partial.clone());
            (shared.rows.upgrade(), complete, schema, partial)
        });
        let taken = match joined {
            Some((Some(rows), _, schema, partial)) => (share(rows, schema, partial), Notices::default()),
            Some((None, true, schema, partial)) => {
                let rows = no_rows(&schema);
                (RowStream { partial, ..rows }, Notices::default())
            }
            Some((None, false, _, _)) => return Err(given_up()),
            None => {
                let (rows, notices) = query.run().await?;
                let complete = Arc::new(AtomicBool::new(false));
                let shared = Arc::new(Rows {
                    batches: tokio::sync::Mutex::new(rows.batches),
                    complete: Arc::clone(&complete),
                    failed: Mutex::default(),
                });
                state.shared = Some(Shared {
                    rows: Arc::downgrade(&shared),
                    schema: Arc::clone(&rows.schema),
                    complete,
                    partial: rows.partial.clone(),
                });
                (share(shared, rows.schema, rows.partial), notices)
            }
        };
        if let Some(fetched) = state.fetched.get_mut(stream) {
            *fetched = true;
        }
        Ok(taken)
    }
}

fn share(rows: Arc<Rows>, schema: SchemaRef, partial: PartialNote) -> RowStream {
    let batches = stream::unfold(Some(rows), |rows| async {
        let rows = rows?;
        let next = rows.next().await.transpose()?;
        let goes_on = next.is_ok().then_some(rows);
        Some((next, goes_on))
    });
    RowStream {
        partial,
        ..RowStream::new(schema, batches.boxed())
    }
}

impl Rows {
    /// The next batch of all streams. A failure is every stream's.
    async fn next(&self) -> Result<Option<RecordBatch>> {
        let mut batches = self.batches.lock().await;
        if let Some(error) = &*self.failed.lock() {
            return Err(error.clone());
        }
        if self.complete.load(Ordering::Acquire) {
            return Ok(None);
        }
        let next = batches.next().await.transpose();
        match &next {
            Ok(Some(_)) => {}
            Ok(None) => self.complete.store(true, Ordering::Release),
            Err(error) => *self.failed.lock() = Some(error.clone()),
        }
        next
    }
}

fn given_up() -> Error {
    Error::new(
        SqlState::QueryCanceled,
        "the streams of this statement that were open have been closed before their end",
    )
    .with_hint("Run the statement again, and fetch all its streams.")
}
