//! Reading shuffle files of another process, over the cluster's own connections: Ballista's client
//! would dial by itself, and knows no secret.

use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use ballista_core::serde::protobuf;
use ballista_core::serde::scheduler::{Action, PartitionLocation, ShuffleFileKind};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use prost::Message;
use watershed_core::net::{MAX_MESSAGE_BYTES, MemberChannel};
use watershed_core::{Error, SqlState};
use watershed_storage::error::into_datafusion;

/// The rows of one shuffle partition. Whatever goes wrong is the executor's or the network's fault: the
/// file was there when its location was told.
pub async fn fetch(
    channel: MemberChannel,
    location: &PartitionLocation,
    schema: SchemaRef,
) -> Result<SendableRecordBatchStream> {
    let executor = location.executor_meta.id.clone();
    let ticket = Ticket {
        ticket: ticket(location)?.into(),
    };
    let mut client = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let response = client
        .do_get(ticket)
        .await
        .map_err(|status| lost(&executor, &status))?;
    let rows =
        FlightRecordBatchStream::new_from_flight_data(response.into_inner().map_err(FlightError::from))
            .map_err(move |error| lost(&executor, &error));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

fn ticket(location: &PartitionLocation) -> Result<Vec<u8>> {
    let id = &location.partition_id;
    let action = Action::FetchPartition {
        job_id: id.job_id.clone(),
        stage_id: id.stage_id,
        partition_id: id.partition_id,
        host: location.executor_meta.host.clone(),
        port: location.executor_meta.port,
        file_id: location.file_id,
        layout: location.layout(),
        file_kind: ShuffleFileKind::Data,
        byte_ranges: Vec::new(),
    };
    let action: protobuf::Action = action
        .try_into()
        .map_err(|error| DataFusionError::External(Box::new(error)))?;
    Ok(action.encode_to_vec())
}

fn lost(executor: &str, error: &impl std::fmt::Display) -> DataFusionError {
    into_datafusion(
        Error::new(
            SqlState::CannotConnectNow,
            format!("rows of a stage cannot be read from {executor}"),
        )
        .with_detail(error.to_string()),
    )
}
