//! Calls on the scheduler's cluster port: Flight actions with JSON bodies.

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use watershed_core::cluster::{HEARTBEAT_ACTION, Heartbeat, HeartbeatReply, LEAVE_ACTION};
use watershed_core::id::NodeId;
use watershed_core::net::{ClusterSecret, MemberChannel, dial};
use watershed_core::{Error, Result, SqlState};

/// A connection to a scheduler's cluster port.
#[derive(Debug)]
pub struct Control {
    client: FlightServiceClient<MemberChannel>,
}

impl Control {
    pub async fn connect(url: &str, secret: &ClusterSecret) -> Result<Self> {
        Ok(Self {
            client: FlightServiceClient::new(dial(url, secret).await?),
        })
    }

    /// Says that an executor lives.
    pub async fn heartbeat(&mut self, heartbeat: &Heartbeat) -> Result<HeartbeatReply> {
        let body = encode(heartbeat)?;
        let reply = self.act(HEARTBEAT_ACTION, body).await?;
        serde_json::from_slice(&reply).map_err(|error| {
            Error::internal("the scheduler's answer is no heartbeat's").with_detail(error.to_string())
        })
    }

    /// Says that an executor ends by its own will.
    pub async fn leave(&mut self, node: &NodeId) -> Result<()> {
        let body = encode(node)?;
        self.act(LEAVE_ACTION, body).await.map(drop)
    }

    async fn act(&mut self, kind: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let failed = |status: tonic::Status| {
            let detail = format!("{:?}: {}", status.code(), status.message());
            match status.code() {
                tonic::Code::Unauthenticated => Error::new(
                    SqlState::InvalidAuthorization,
                    "the scheduler does not take this process for a member",
                )
                .with_hint("Give it the secret that the scheduler has."),
                _ => Error::new(SqlState::CannotConnectNow, "the scheduler refused or lost a call"),
            }
            .with_detail(detail)
        };
        let action = Action {
            r#type: kind.to_owned(),
            body: body.into(),
        };
        let mut results = self.client.do_action(action).await.map_err(failed)?.into_inner();
        let first = results.message().await.map_err(failed)?;
        Ok(first.map(|result| result.body.to_vec()).unwrap_or_default())
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::internal("a message cannot be encoded").with_detail(error.to_string()))
}
