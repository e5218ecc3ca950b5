//! Prepared statements.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, IpcMessage};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use prost::Message;
use watershed_core::Result;

use super::{Done, RowStream, descriptor};
use crate::connect::Client;
use crate::error;

/// The names of Flight SQL's actions.
const CREATE_PREPARED_STATEMENT: &str = "CreatePreparedStatement";
const CLOSE_PREPARED_STATEMENT: &str = "ClosePreparedStatement";

/// A statement the server knows. Dropping it closes it.
#[derive(Debug)]
pub struct Prepared {
    client: Client,
    handle: Handle,
    schema: SchemaRef,
    parameters: SchemaRef,
}

impl Prepared {
    pub(super) async fn create(
        client: &Client,
        request: &ActionCreatePreparedStatementRequest,
    ) -> Result<Self> {
        let action = Action::new(CREATE_PREPARED_STATEMENT, request.as_any().encode_to_vec());
        let failed = |status| client.error(&status);
        let misread = |error: &dyn std::fmt::Display| error::protocol(client.url(), error);
        let mut results = client
            .call(|mut flight| {
                let action = action.clone();
                async move { flight.do_action(action).await }
            })
            .await?
            .into_inner();
        let result = results
            .message()
            .await
            .map_err(failed)?
            .ok_or_else(|| misread(&"a statement was prepared without result"))?;
        let result: ActionCreatePreparedStatementResult = Any::decode(&*result.body)
            .map_err(|error| misread(&error))?
            .unpack()
            .map_err(|error| misread(&error))?
            .ok_or_else(|| misread(&"a statement was prepared with a result of another kind"))?;
        let schema = |message: Bytes| {
            if message.is_empty() {
                return Ok(Arc::new(Schema::empty()));
            }
            Schema::try_from(IpcMessage(message))
                .map(Arc::new)
                .map_err(|error| misread(&error))
        };
        Ok(Self {
            client: client.clone(),
            handle: Handle::new(client.clone(), result.prepared_statement_handle),
            schema: schema(result.dataset_schema)?,
            parameters: schema(result.parameter_schema)?,
        })
    }

    /// The columns it returns; none if it returns no rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its parameters in order.
    pub fn parameters(&self) -> &SchemaRef {
        &self.parameters
    }

    /// Whether it returns rows.
    pub fn is_query(&self) -> bool {
        !self.schema.fields().is_empty()
    }

    /// Gives the parameters their values, a column each. A statement that changes rows runs once for
    /// each row of the batch.
    pub async fn bind(&mut self, parameters: RecordBatch) -> Result<()> {
        let client = &self.client;
        let frames: Vec<FlightData> = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(descriptor(&self.as_query())))
            .with_schema(parameters.schema())
            .build(stream::iter([Ok(parameters)]))
            .try_collect()
            .await
            .map_err(|error| error::from_flight(client.url(), error))?;
        let failed = |status| client.error(&status);
        let mut results = client
            .flight()
            .do_put(stream::iter(frames))
            .await
            .map_err(failed)?
            .into_inner();
        let mut renamed = None;
        while let Some(result) = results.message().await.map_err(failed)? {
            renamed = DoPutPreparedStatementResult::decode(&*result.app_metadata)
                .map_err(|error| error::protocol(client.url(), error))?
                .prepared_statement_handle;
        }
        // A server may keep the values in the handle itself.
        if let Some(renamed) = renamed {
            self.handle.id = renamed;
        }
        Ok(())
    }

    /// Asks it, a query, with the values bound last.
    pub async fn query(&self) -> Result<RowStream> {
        self.client.rows(&self.as_query(), None).await
    }

    /// Runs it, a statement that returns no rows, and gives the number of rows it changed.
    pub async fn update(&self) -> Result<Option<i64>> {
        Ok(self.done().await?.count)
    }

    /// Closes it, so that the server forgets it now and not some time later.
    pub async fn close(self) {
        self.handle.close().await;
    }

    /// Asks it and closes it when the rows have ended.
    pub(super) async fn into_rows(self) -> Result<RowStream> {
        let command = self.as_query();
        self.client.rows(&command, Some(self.handle)).await
    }

    pub(super) async fn done(&self) -> Result<Done> {
        let command = CommandPreparedStatementUpdate {
            prepared_statement_handle: self.handle.id.clone(),
        };
        self.client.done(&command).await
    }

    fn as_query(&self) -> CommandPreparedStatementQuery {
        CommandPreparedStatementQuery {
            prepared_statement_handle: self.handle.id.clone(),
        }
    }
}

/// The server's handle of a statement, closed once.
#[derive(Debug)]
pub(super) struct Handle {
    client: Option<Client>,
    id: Bytes,
}

impl Handle {
    fn new(client: Client, id: Bytes) -> Self {
        Self {
            client: Some(client),
            id,
        }
    }

    pub(super) async fn close(mut self) {
        if let Some(client) = self.client.take() {
            close(client, std::mem::take(&mut self.id)).await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let (Some(client), Ok(runtime)) = (self.client.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(close(client, std::mem::take(&mut self.id)));
        }
    }
}

/// The server forgets handles by itself in time, so a failure here is nobody's concern.
async fn close(client: Client, handle: Bytes) {
    let request = ActionClosePreparedStatementRequest {
        prepared_statement_handle: handle,
    };
    let action = Action::new(CLOSE_PREPARED_STATEMENT, request.as_any().encode_to_vec());
    let closed = async {
        let mut results = client.flight().do_action(action).await?.into_inner();
        while results.message().await?.is_some() {}
        Ok::<(), tonic::Status>(())
    };
    if let Err(status) = closed.await {
        tracing::debug!(%status, "a prepared statement was not closed");
    }
}
