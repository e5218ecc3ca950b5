//! The actions that arrow-flight leaves to the server: sessions, cancelling, renewing.

use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint,
    FlightInfo, RenewFlightEndpointRequest,
};
use bytes::Bytes;
use prost::Message;
use watershed_core::{Error, Result, SqlState};

use super::auth::Caller;
use super::engine::Engine;
use super::options::{self, CloseSessionResult, CloseSessionStatus, SetSessionOptionsRequest};
use super::statement::Statements;

pub(super) const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";
const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const RENEW_FLIGHT_ENDPOINT: &str = "RenewFlightEndpoint";

/// Every action that is served, with what it takes and gives.
const SERVED: &[(&str, &str)] = &[
    (
        "CreatePreparedStatement",
        "Prepares a statement. ActionCreatePreparedStatementRequest -> ActionCreatePreparedStatementResult",
    ),
    (
        "ClosePreparedStatement",
        "Closes a prepared statement. ActionClosePreparedStatementRequest -> nothing",
    ),
    (
        "CancelQuery",
        "Cancels a statement. ActionCancelQueryRequest -> ActionCancelQueryResult",
    ),
    (
        CANCEL_FLIGHT_INFO,
        "Cancels a statement. CancelFlightInfoRequest -> CancelFlightInfoResult",
    ),
    (
        RENEW_FLIGHT_ENDPOINT,
        "Lets a ticket live longer. RenewFlightEndpointRequest -> FlightEndpoint",
    ),
    (
        SET_SESSION_OPTIONS,
        "Sets the current schema and settings. SetSessionOptionsRequest -> SetSessionOptionsResult",
    ),
    (
        GET_SESSION_OPTIONS,
        "Gives the current schema and settings. GetSessionOptionsRequest -> GetSessionOptionsResult",
    ),
    (
        CLOSE_SESSION,
        "Ends the session. CloseSessionRequest -> CloseSessionResult",
    ),
];

pub(super) fn list() -> impl Iterator<Item = ActionType> {
    SERVED.iter().map(|&(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
}

/// Answers an action that is not one of Flight SQL's own.
pub(super) async fn answer(
    engine: &dyn Engine,
    statements: &Statements,
    caller: &Caller,
    action: &Action,
) -> Result<Bytes> {
    let body = match action.r#type.as_str() {
        SET_SESSION_OPTIONS => {
            let request: SetSessionOptionsRequest = decode(action)?;
            options::set(engine, caller.session, request)
                .await
                .encode_to_vec()
        }
        GET_SESSION_OPTIONS => options::get(engine, caller.session).await?.encode_to_vec(),
        CLOSE_SESSION => {
            engine.close_session(caller.session).await?;
            let status = CloseSessionStatus::Closed as i32;
            CloseSessionResult { status }.encode_to_vec()
        }
        CANCEL_FLIGHT_INFO => {
            let request: CancelFlightInfoRequest = decode(action)?;
            let info = request.info.unwrap_or_default();
            let status = if cancel(statements, caller, &info)? {
                CancelStatus::Cancelled
            } else {
                CancelStatus::NotCancellable
            };
            CancelFlightInfoResult::new(status).encode_to_vec()
        }
        RENEW_FLIGHT_ENDPOINT => {
            let request: RenewFlightEndpointRequest = decode(action)?;
            renew(statements, caller, request.endpoint.unwrap_or_default())?.encode_to_vec()
        }
        other => {
            return Err(Error::unsupported(format!(
                "the action {other:?} is not supported"
            )));
        }
    };
    Ok(body.into())
}

/// Cancels whatever an answer of `GetFlightInfo` stands for. `false` if nothing of it is left.
pub(super) fn cancel(statements: &Statements, caller: &Caller, info: &FlightInfo) -> Result<bool> {
    let mut cancelled = false;
    let tickets = info
        .endpoint
        .iter()
        .filter_map(|endpoint| endpoint.ticket.as_ref());
    for ticket in tickets.filter(|ticket| !is_metadata(&ticket.ticket)) {
        cancelled |= statements.cancel(caller, &ticket.ticket)?;
    }
    // A query that is polled has no endpoints yet.
    if info.endpoint.is_empty()
        && let Some(descriptor) = &info.flight_descriptor
    {
        cancelled = statements.cancel(caller, &descriptor.cmd)?;
    }
    Ok(cancelled)
}

fn renew(statements: &Statements, caller: &Caller, endpoint: FlightEndpoint) -> Result<FlightEndpoint> {
    match &endpoint.ticket {
        Some(ticket) if !is_metadata(&ticket.ticket) => statements.renew(caller, &ticket.ticket),
        Some(_) => Ok(endpoint),
        None => Err(Error::new(
            SqlState::InvalidParameterValue,
            "the endpoint has no ticket",
        )),
    }
}

/// Whether a ticket is a command that gives metadata. Such a one neither runs nor expires.
fn is_metadata(ticket: &[u8]) -> bool {
    let command = Any::decode(ticket).ok().map(Command::try_from);
    command.is_some_and(|command| {
        !matches!(
            command,
            Err(_) | Ok(Command::TicketStatementQuery(_) | Command::Unknown(_))
        )
    })
}

fn decode<M: Message + Default>(action: &Action) -> Result<M> {
    M::decode(action.body.as_ref()).map_err(|error| {
        Error::new(
            SqlState::InvalidParameterValue,
            format!("the body of the action {:?} cannot be read", action.r#type),
        )
        .with_detail(error.to_string())
    })
}
