//! The rows of an answer, as they come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightEndpoint, FlightInfo, Ticket};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use watershed_core::net::{Closing, Notices};
use watershed_core::{Error, Result};

use super::prepared::Handle;
use crate::connect::Client;
use crate::error;

/// Batches of rows, all of one schema. Dropping the stream cancels the query.
pub struct RowStream {
    schema: SchemaRef,
    notices: Notices,
    rows_expected: Option<u64>,
    closing: Arc<Mutex<Closing>>,
    batches: BoxStream<'static, Result<RecordBatch>>,
}

impl RowStream {
    /// The statement, if there is one to close, is closed when the rows have ended.
    pub(super) fn new(client: Client, info: FlightInfo, statement: Option<Handle>) -> Result<Self> {
        let rows_expected = u64::try_from(info.total_records).ok();
        let notices = Notices::from_json(&info.app_metadata);
        let endpoints = info.endpoint.clone();
        let schema = if info.schema.is_empty() {
            Schema::empty()
        } else {
            info.try_decode_schema()
                .map_err(|error| error::protocol(client.url(), error))?
        };
        let told = Arc::<Mutex<Closing>>::default();
        let batches = fetch(client, endpoints, Arc::clone(&told)).boxed();
        Ok(Self {
            schema: Arc::new(schema),
            notices,
            rows_expected,
            closing: told,
            batches: closing(batches, statement).boxed(),
        })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the server tells beside the rows.
    pub fn notices(&self) -> &Notices {
        &self.notices
    }

    /// What the server has told in the course of the rows; when they have ended, whether any is missing.
    pub fn closing(&self) -> Closing {
        self.closing.lock().clone()
    }

    /// How many rows will come, if the server knows.
    pub fn rows_expected(&self) -> Option<u64> {
        self.rows_expected
    }
}

impl Stream for RowStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for RowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStream")
            .field("schema", &self.schema)
            .field("notices", &self.notices)
            .finish_non_exhaustive()
    }
}

/// One endpoint after the other, all from the server we are connected to: it alone holds our session.
fn fetch(
    client: Client,
    endpoints: Vec<FlightEndpoint>,
    told: Arc<Mutex<Closing>>,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    stream::iter(endpoints)
        .then(move |endpoint| fetch_endpoint(client.clone(), endpoint.ticket, Arc::clone(&told)))
        .try_flatten()
}

async fn fetch_endpoint(
    client: Client,
    ticket: Option<Ticket>,
    told: Arc<Mutex<Closing>>,
) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + 'static> {
    let ticket = ticket.ok_or_else(|| error::protocol(client.url(), "an endpoint has no ticket"))?;
    let frames = client
        .flight()
        .do_get(ticket)
        .await
        .map_err(|status| client.error(&status))?
        .into_inner()
        .inspect_ok(move |frame| {
            if !frame.app_metadata.is_empty() {
                // Streams of one answer tell the same.
                *told.lock() = Closing::from_json(&frame.app_metadata);
            }
        })
        .map_err(FlightError::from);
    Ok(FlightRecordBatchStream::new_from_flight_data(frames)
        .map_err(move |error| error::from_flight(client.url(), error)))
}

fn closing(
    batches: BoxStream<'static, Result<RecordBatch>>,
    statement: Option<Handle>,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    stream::unfold(Some((batches, statement)), |state| async move {
        let (mut batches, statement) = state?;
        match batches.next().await {
            Some(Ok(batch)) => Some((Ok(batch), Some((batches, statement)))),
            ended => {
                if let Some(statement) = statement {
                    statement.close().await;
                }
                ended.map(|failed: Result<RecordBatch, Error>| (failed, None))
            }
        }
    })
}
