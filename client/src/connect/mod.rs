//! A connection to a server.

mod address;
mod credentials;
mod session;
mod sign_in;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandGetSqlInfo, ProstMessageExt, SqlInfo};
use prost::Message;
use tonic::{Code, Status};
use watershed_core::net;
use watershed_core::{Error, Result, SqlState};

use crate::error;
pub use credentials::{Credentials, Secret};
pub(crate) use session::Session;
use sign_in::SignIn;

/// A connection, and with it a session: what `SET` sets holds for all statements of one client and
/// its clones. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    session: Session,
    flight: FlightServiceClient<Session>,
    sign_in: Arc<SignIn>,
}

/// How to connect where an address alone does not do.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// A PEM file with the authorities whose certificates are trusted, instead of those that this
    /// machine trusts.
    pub authorities: Option<PathBuf>,
    pub credentials: Credentials,
}

impl Client {
    /// Connects to the server at `url`: `http://host:port`, `grpc://host:port` or `host:port`, or with
    /// TLS `https://host:port`, `grpc+tls://host:port` or `grpcs://host:port`. If nobody answers there,
    /// that is an error at once (57P03).
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, ConnectOptions::default()).await
    }

    /// The same as somebody, or trusting others. Who is not let in gets 28000 at once.
    pub async fn connect_with(url: &str, options: ConnectOptions) -> Result<Self> {
        let url = address::normalize(url)?;
        let channel = match &options.authorities {
            Some(file) => net::dial_client_trusting(&url, file)?,
            None => net::dial_client(&url)?,
        };
        let session = Session::new(channel);
        let flight = FlightServiceClient::new(session.clone())
            .max_decoding_message_size(net::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(net::MAX_MESSAGE_BYTES);
        let client = Self {
            url,
            session,
            flight,
            sign_in: Arc::new(SignIn::new(options.credentials)),
        };
        match client.greet().await {
            Err(error) if client.is_plain_to_tls(&error).await => Err(client.needs_tls()),
            greeted => greeted.map(|()| client),
        }
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Says who asks, and asks something small, so that a wrong address or password shows here and not
    /// at the first statement.
    async fn greet(&self) -> Result<()> {
        self.sign_in
            .sign_in(&self.url, self.flight(), &self.session, None)
            .await
            .map_err(|error| self.sign_in.explained(error))?;
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

    /// Whether a connection failed because the port has TLS and the address says nothing of it.
    async fn is_plain_to_tls(&self, error: &Error) -> bool {
        error.code() == SqlState::CannotConnectNow
            && self.url.starts_with("http://")
            && net::speaks_tls(&self.url).await
    }

    fn needs_tls(&self) -> Error {
        Error::new(
            SqlState::CannotConnectNow,
            format!("what listens at {} expects TLS", self.url),
        )
        .with_hint("Write the address as https://host:port.")
    }

    /// A stub for one call.
    pub(crate) fn flight(&self) -> FlightServiceClient<Session> {
        self.flight.clone()
    }

    /// Makes a call, and once more after another handshake if the server does not know us any longer.
    /// Who is not let in has changed nothing.
    pub(crate) async fn call<T, F>(&self, call: impl Fn(FlightServiceClient<Session>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let used = self.session.authorization();
        let answer = match call(self.flight()).await {
            Err(status) if self.sign_in.helps(&status) => {
                self.sign_in
                    .sign_in(&self.url, self.flight(), &self.session, used.as_ref())
                    .await
                    .map_err(|error| self.sign_in.explained(error))?;
                call(self.flight()).await
            }
            answer => answer,
        };
        answer.map_err(|status| self.error(&status))
    }

    pub(crate) fn error(&self, status: &Status) -> Error {
        self.sign_in.explained(error::from_status(&self.url, status))
    }
}

#[cfg(test)]
mod tests;
