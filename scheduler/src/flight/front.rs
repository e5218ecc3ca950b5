//! The service as it is served: arrow-flight dispatches most of it, and what it leaves out is here.

use std::sync::Arc;

use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaAsIpc, SchemaResult, Ticket,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tonic::{Code, Request, Response, Status, Streaming};
use watershed_core::{Error, SqlState, net};

use super::actions;
use super::encode::FlightStream;
use super::service::{Service, failed, no_transactions, not_taken};

/// What is told beside an answer that has no room for it, handed from the command to its reply.
#[derive(Clone, Default)]
pub(super) struct Notices(Arc<Mutex<net::Notices>>);

impl Notices {
    /// The reply's, as [`Front`] prepared it.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    pub(super) fn put(&self, notices: net::Notices) {
        *self.0.lock() = notices;
    }
}

/// Serves Flight SQL.
#[derive(Clone)]
pub struct Front(Arc<Service>);

impl Front {
    pub(super) fn new(service: Service) -> Self {
        Self(Arc::new(service))
    }

    /// Lets go of what clients have left behind. It is called every now and then.
    pub fn sweep(&self) {
        self.0.statements.sweep();
        self.0.prepared.sweep();
    }

    /// Prepared statements and results that are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.0.prepared.len(), self.0.statements.len())
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Front")
    }
}

/// What arrow-flight answers by itself, in our words: a command that cannot be decoded is its sender's
/// mistake, as is a stream without one, and a command without a method here is not served.
fn told(status: Status) -> Status {
    const UNSERVED: &str = " has no default implementation";
    const MISSING: &str = "Unhandled Error: ";
    let text = status.message();
    match (status.code(), text.strip_suffix(UNSERVED)) {
        (Code::Internal | Code::InvalidArgument | Code::Unknown, _) if is_undecodable(text) => {
            failed(unreadable())
        }
        (Code::Unimplemented, Some(method)) if method.ends_with("substrait_plan") => {
            failed(Error::unsupported("Substrait plans are not supported").with_hint("Send SQL."))
        }
        (Code::Unimplemented, Some("do_action_end_transaction" | "do_action_end_savepoint")) => {
            failed(no_transactions())
        }
        (Code::Unimplemented, Some(_)) => failed(Error::unsupported("the command is not supported")),
        (Code::Unimplemented, None) if text.starts_with(MISSING) => failed(no_command()),
        // "do_get: The defined request is invalid: URL"
        (Code::Unimplemented, None) => match text.split_once(": The defined request is invalid: ") {
            Some((_, url)) => failed(not_taken(url)),
            None => status,
        },
        _ => status,
    }
}

/// Whether arrow-flight says, in the words of its code, that a message cannot be decoded.
fn is_undecodable(text: &str) -> bool {
    !text.contains("SQLSTATE")
        && [
            "Unable to decode",
            "DecodeError",
            "ParseError",
            "failed to decode",
        ]
        .iter()
        .any(|words| text.contains(words))
}

fn unreadable() -> Error {
    Error::new(SqlState::InvalidParameterValue, "the command cannot be read")
        .with_detail("It is no message of Flight SQL, or it was cut off.")
}

fn no_command() -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        "rows were to come, but not even a command did",
    )
    .with_hint("Some drivers send nothing at all for a table without rows: make it with CREATE TABLE.")
}

#[tonic::async_trait]
impl FlightService for Front {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = FlightStream;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<ActionResult, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = FlightStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.0.handshake(request).await
    }

    /// Flight SQL finds everything by command, so there is nothing to list.
    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.0.caller(&request).await.map_err(failed)?;
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.0.get_flight_info(request).await.map_err(told)
    }

    /// A query runs from its first poll on. Everything else is done when that returns.
    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let caller = self.0.caller(&request).await.map_err(failed)?;
        if let Some(info) = self.0.poll(&caller, request.get_ref()).await.map_err(failed)? {
            return Ok(Response::new(info));
        }
        let response = self.0.get_flight_info(request).await.map_err(told)?;
        Ok(response.map(|info| PollInfo {
            info: Some(info),
            flight_descriptor: None,
            progress: Some(1.0),
            expiration_time: None,
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.0.caller(&request).await.map_err(failed)?;
        let schema = self
            .0
            .schema_of(&caller, &request.get_ref().cmd)
            .await
            .map_err(failed)?;
        let options = IpcWriteOptions::default();
        SchemaResult::try_from(SchemaAsIpc::new(&schema, &options))
            .map(Response::new)
            .map_err(|error| failed(Error::internal(error.to_string())))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.0.do_get(request).await.map_err(told)
    }

    async fn do_put(
        &self,
        mut request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let notices = Notices::default();
        request.extensions_mut().insert(notices.clone());
        let mut response = self.0.do_put(request).await.map_err(told)?;
        notices.0.lock().to_metadata(response.metadata_mut());
        Ok(response)
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(failed(Error::unsupported(
            "DoExchange is not supported: Flight SQL has no use for it",
        )))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.0.do_action(request).await.map_err(told)
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        self.0.caller(&request).await.map_err(failed)?;
        Ok(Response::new(stream::iter(actions::list().map(Ok)).boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrow_flight_says_is_told_in_our_words() {
        let check = |status: Status, code: Code, text: &str| {
            let told = told(status);
            assert_eq!(told.code(), code);
            assert!(told.message().contains(text), "{told}");
        };
        let unserved =
            |method: &str| Status::unimplemented(format!("{method} has no default implementation"));
        check(
            unserved("get_flight_info_substrait_plan"),
            Code::Unimplemented,
            "Substrait plans are not supported (SQLSTATE 0A000)",
        );
        check(
            unserved("do_action_end_savepoint"),
            Code::Unimplemented,
            "transactions",
        );
        check(
            unserved("do_get_prepared_statement"),
            Code::Unimplemented,
            "the command is not supported (SQLSTATE 0A000)",
        );
        check(
            Status::unimplemented("do_get: The defined request is invalid: type.googleapis.com/a.b.Command"),
            Code::Unimplemented,
            "the command \"Command\" is not supported in this call (SQLSTATE 0A000)",
        );
        check(
            Status::unimplemented("Unhandled Error: Command is missing."),
            Code::InvalidArgument,
            "not even a command did (SQLSTATE 22023)",
        );
        for undecodable in [
            Status::internal("Unable to decode Any value: delimited length exceeded"),
            Status::internal("ParseError(\"Unable to decode Any value: buffer underflow\")"),
            Status::invalid_argument(
                "DecodeError { description: BufferUnderflow, stack: [(\"Any\", \"value\")] }",
            ),
        ] {
            check(
                undecodable,
                Code::InvalidArgument,
                "the command cannot be read (SQLSTATE 22023)",
            );
        }
        check(Status::not_found("as it was"), Code::NotFound, "as it was");
    }
}
