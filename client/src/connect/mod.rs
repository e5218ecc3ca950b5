//! A connection to a server.

mod address;
mod session;

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandGetSqlInfo, ProstMessageExt, SqlInfo};
use prost::Message;
use tonic::{Code, Status};
use watershed_core::net;
use watershed_core::{Error, Result};

use crate::error;
pub(crate) use session::Session;

/// A connection, and with it a session: what `SET` sets holds for all statements of one client and
/// its clones. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    flight: FlightServiceClient<Session>,
}

impl Client {
    /// Connects to the server at `url`: `http://host:port`, `grpc://host:port` or `host:port`. If
    /// nobody answers there, that is an error at once (57P03).
    pub async fn connect(url: &str) -> Result<Self> {
        let url = address::normalize(url)?;
        let session = Session::new(net::dial_client(&url)?);
        let flight = FlightServiceClient::new(session)
            .max_decoding_message_size(net::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(net::MAX_MESSAGE_BYTES);
        let client = Self { url, flight };
        client.greet().await?;
        Ok(client)
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks something small, so that a wrong address shows here and not at the first statement.
    async fn greet(&self) -> Result<()> {
        let command = CommandGetSqlInfo {
            info: vec![SqlInfo::FlightSqlServerName as u32],
        };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        match self.flight().get_flight_info(descriptor).await {
            Ok(_) => Ok(()),
            // Somebody listens, but it may be an HTTP server: those say 404, which gRPC reads thus.
            Err(status) if status.code() == Code::Unimplemented && !status.message().contains("HTTP") => {
                Ok(())
            }
            Err(status) if status.code() == Code::Unimplemented => Err(error::unreachable(
                &self.url,
                format!(
                    "what listens there does not speak Flight SQL: {}",
                    status.message()
                ),
            )),
            Err(status) => Err(self.error(&status)),
        }
    }

    /// A stub for one call.
    pub(crate) fn flight(&self) -> FlightServiceClient<Session> {
        self.flight.clone()
    }

    pub(crate) fn error(&self, status: &Status) -> Error {
        error::from_status(&self.url, status)
    }
}
