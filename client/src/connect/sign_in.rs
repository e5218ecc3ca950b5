//! The handshake: a password for a token, and a new one when the server knows the old one no longer.

use arrow_flight::HandshakeRequest;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::stream;
use tokio::sync::Mutex;
use tonic::codegen::http::HeaderValue;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use watershed_core::{Error, Result, SqlState};

use super::credentials::{Credentials, Secret, basic, bearer};
use super::session::Session;
use crate::error;

/// Who a client is, and its turn to say so.
#[derive(Debug)]
pub(super) struct SignIn {
    credentials: Credentials,
    /// Calls that are refused at the same time shake hands once.
    turn: Mutex<()>,
}

impl SignIn {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            turn: Mutex::new(()),
        }
    }

    /// Whether a call that was refused is worth another handshake: tokens of handshakes are forgotten
    /// when the server starts anew.
    pub(super) fn helps(&self, status: &Status) -> bool {
        status.code() == Code::Unauthenticated && matches!(self.credentials, Credentials::Password { .. })
    }

    /// Gives the session what its calls prove with who asks. `refused` is what they had last.
    pub(super) async fn sign_in(
        &self,
        url: &str,
        flight: FlightServiceClient<Session>,
        session: &Session,
        refused: Option<&HeaderValue>,
    ) -> Result<()> {
        let authorization = match &self.credentials {
            Credentials::Anonymous => return Ok(()),
            Credentials::Token(token) => bearer(token)?,
            Credentials::Password { user, password } => {
                let _turn = self.turn.lock().await;
                if session.authorization().as_ref() != refused {
                    return Ok(());
                }
                let authorization = shake_hands(url, flight, basic(user, password)?).await?;
                session.authorize(authorization);
                return Ok(());
            }
        };
        session.authorize(authorization);
        Ok(())
    }

    /// The error, with what may help where the server does not say it.
    pub(super) fn explained(&self, error: Error) -> Error {
        if error.code() != SqlState::InvalidAuthorization || error.hint().is_some() {
            return error;
        }
        error.with_hint(match &self.credentials {
            Credentials::Anonymous => "Say who you are: --user with a password, or --token-file.",
            Credentials::Password { .. } => "Check the name of the user and the password.",
            Credentials::Token(_) => "Check the token: it may have expired, or be another server's.",
        })
    }
}

/// Gives what later calls are sent with.
async fn shake_hands(
    url: &str,
    mut flight: FlightServiceClient<Session>,
    authorization: HeaderValue,
) -> Result<HeaderValue> {
    let failed = |status: Status| error::from_status(url, &status);
    let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
    let mut value = MetadataValue::try_from(authorization.as_bytes())
        .map_err(|error| Error::internal("no header").with_detail(error.to_string()))?;
    value.set_sensitive(true);
    request.metadata_mut().insert(AUTHORIZATION.as_str(), value);
    let response = flight.handshake(request).await.map_err(failed)?;
    let header = response.metadata().get(AUTHORIZATION.as_str()).cloned();
    let payload = response.into_inner().message().await.map_err(failed)?;
    let token = match header.as_ref().map(|header| header.to_str()) {
        Some(Ok(header)) => header.strip_prefix("Bearer ").map(str::to_owned),
        Some(Err(_)) => None,
        None => payload.and_then(|payload| String::from_utf8(payload.payload.to_vec()).ok()),
    };
    match token {
        Some(token) if !token.is_empty() => bearer(&Secret::new(token)),
        _ => Err(error::protocol(url, "a handshake gave no token")),
    }
}
