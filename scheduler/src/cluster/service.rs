//! The cluster port: executors register and say that they live.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status, Streaming};
use watershed_core::cluster::{HEARTBEAT_ACTION, Heartbeat, HeartbeatReply, Invalidated, LEAVE_ACTION};

use super::Membership;

type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// Answers the two actions of `watershed_core::cluster`; Flight is only their envelope.
#[derive(Clone)]
pub struct ControlService {
    membership: Arc<Membership>,
    forgetting: Arc<dyn Forgetting>,
}

/// What executors' caches are to forget.
pub trait Forgetting: Send + Sync {
    /// What came after an invalidation; `None` is from an executor that has heard of none.
    fn since(&self, sequence: Option<u64>) -> Invalidated;
    /// How far an executor has come was heard.
    fn heard(&self);
}

impl ControlService {
    pub fn new(membership: Arc<Membership>, forgetting: Arc<dyn Forgetting>) -> Self {
        Self {
            membership,
            forgetting,
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(body)
        .map_err(|error| Status::invalid_argument(format!("malformed message: {error}")))
}

fn not_served<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the cluster port serves registration only"))
}

#[async_trait]
impl FlightService for ControlService {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoExchangeStream = Stream<FlightData>;
    type DoActionStream = Stream<ActionResult>;
    type ListActionsStream = Stream<ActionType>;

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let action = request.into_inner();
        let body = match action.r#type.as_str() {
            HEARTBEAT_ACTION => {
                let heartbeat: Heartbeat = decode(&action.body)?;
                let known = heartbeat.invalidated;
                let epoch = self
                    .membership
                    .heard(heartbeat)
                    .map_err(|error| Status::failed_precondition(error.to_string()))?;
                self.forgetting.heard();
                let invalidated = self.forgetting.since(known);
                serde_json::to_vec(&HeartbeatReply { epoch, invalidated })
                    .map_err(|error| Status::internal(error.to_string()))?
            }
            LEAVE_ACTION => {
                self.membership.left(&decode(&action.body)?);
                Vec::new()
            }
            other => return Err(Status::unimplemented(format!("unknown action {other:?}"))),
        };
        Ok(Response::new(Box::pin(stream::iter([Ok(ActionResult {
            body: body.into(),
        })]))))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        not_served()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        not_served()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        not_served()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        not_served()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        not_served()
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        not_served()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        not_served()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        not_served()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        not_served()
    }
}
