//! Actions: the list names what is served, and what is served does what it says.

use std::collections::BTreeSet;

use arrow_flight::sql::{ActionCancelQueryRequest, Command, CommandGetCatalogs, CommandStatementQuery};
use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo,
    RenewFlightEndpointRequest,
};
use prost::Message;
use tonic::Code;

use super::cluster;
use super::commands::{Use, all, usage};
use crate::harness::{Wire, packed, query, ticket, unpacked};

/// The actions of Flight itself. arrow-flight has no list of them.
const FLIGHT_ACTIONS: [&str; 5] = [
    "CancelFlightInfo",
    "CloseSession",
    "GetSessionOptions",
    "RenewFlightEndpoint",
    "SetSessionOptions",
];

#[test]
fn the_list_names_exactly_what_is_served() {
    let (_cluster, wire) = cluster();
    let listed = wire.actions();
    let named: BTreeSet<_> = listed.iter().map(String::as_str).collect();
    assert_eq!(named.len(), listed.len(), "each action once");
    let commands = all();
    let served = commands.iter().filter_map(|command| match usage(command) {
        Use::Action(kind) => Some(kind),
        _ => None,
    });
    assert_eq!(named, served.chain(FLIGHT_ACTIONS).collect());
    for kind in named {
        if let Err(status) = wire.act(kind, b"") {
            assert_ne!(status.code(), Code::Unimplemented, "{kind}: {status}");
        }
    }
}

fn cancel(wire: &Wire, info: &FlightInfo) -> CancelStatus {
    let request = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let answers = wire.act("CancelFlightInfo", &request).unwrap();
    CancelFlightInfoResult::decode(answers[0].as_slice())
        .unwrap()
        .status()
}

fn cancel_the_old_way(wire: &Wire, info: &FlightInfo) -> i32 {
    let request = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let body = packed(Command::ActionCancelQueryRequest(request));
    match unpacked(&wire.act("CancelQuery", &body).unwrap()[0]) {
        Command::ActionCancelQueryResult(result) => result.result,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_cancelled_is_gone() {
    let (_cluster, wire) = cluster();
    let select = query("SELECT 1");
    let info = wire.info(&select).unwrap();
    assert_eq!(cancel(&wire, &info), CancelStatus::Cancelled);
    assert_eq!(wire.get(&ticket(&info)).unwrap_err().code(), Code::NotFound);
    assert_eq!(cancel(&wire, &info), CancelStatus::NotCancellable);
    let info = wire.info(&select).unwrap();
    assert_eq!(cancel_the_old_way(&wire, &info), CancelStatus::Cancelled as i32);
    assert_eq!(
        cancel_the_old_way(&wire, &info),
        CancelStatus::NotCancellable as i32
    );

    // What is done already, or never runs, cannot be cancelled; that is no error.
    let done = wire.info(&query("SET timezone = 'UTC'")).unwrap();
    assert_eq!(cancel(&wire, &done), CancelStatus::NotCancellable);
    let metadata = wire
        .info(&packed(Command::CommandGetCatalogs(CommandGetCatalogs {})))
        .unwrap();
    assert_eq!(cancel(&wire, &metadata), CancelStatus::NotCancellable);
    assert_eq!(
        cancel_the_old_way(&wire, &metadata),
        CancelStatus::NotCancellable as i32
    );
    assert_eq!(
        cancel(&wire, &FlightInfo::default()),
        CancelStatus::NotCancellable
    );
}

fn renew(wire: &Wire, endpoint: &FlightEndpoint) -> Result<FlightEndpoint, tonic::Status> {
    let request = RenewFlightEndpointRequest::new(endpoint.clone()).encode_to_vec();
    let answers = wire.act("RenewFlightEndpoint", &request)?;
    Ok(FlightEndpoint::decode(answers[0].as_slice()).unwrap())
}

#[test]
fn renewing_gives_a_later_ticket_to_the_same_rows() {
    let (_cluster, wire) = cluster();
    let info = wire.info(&query("SELECT 7 AS n")).unwrap();
    let first = &info.endpoint[0];
    assert!(
        first.location.is_empty(),
        "the rows come over the connection that asked"
    );
    let renewed = renew(&wire, first).unwrap();
    let seconds = |endpoint: &FlightEndpoint| endpoint.expiration_time.expect("tickets expire").seconds;
    assert!(seconds(&renewed) >= seconds(first));
    let ticket = renewed.ticket.expect("a renewed endpoint has a ticket").ticket;
    assert_eq!(wire.get(&ticket).unwrap().batches[0].num_rows(), 1);

    // Metadata never expires, and may be fetched on.
    let metadata = wire
        .info(&packed(Command::CommandGetCatalogs(CommandGetCatalogs {})))
        .unwrap();
    assert_eq!(renew(&wire, &metadata.endpoint[0]).unwrap(), metadata.endpoint[0]);
    let forged = FlightEndpoint::new().with_ticket(arrow_flight::Ticket::new("forged"));
    assert_eq!(renew(&wire, &forged).unwrap_err().code(), Code::PermissionDenied);
}

/// Options are told and set by sessions' own messages, which arrow-flight does not have: fields are read by
/// their numbers.
#[test]
fn session_options() {
    let (cluster, wire) = cluster();
    let options = |wire: &Wire| wire.act("GetSessionOptions", b"").unwrap().remove(0);
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let told = options(&wire);
    for name in [
        "catalog",
        "watershed",
        "schema",
        "public",
        "timezone",
        "statement_timeout",
    ] {
        assert!(has(&told, name), "{name}");
    }
    // {1: {1: name, 2: {1: value}}}: the schema becomes "system".
    let set = |name: &str, value: &str| {
        let value = field(1, value.as_bytes());
        let entry = [field(1, name.as_bytes()), field(2, &value)].concat();
        wire.act("SetSessionOptions", &field(1, &entry))
            .unwrap()
            .remove(0)
    };
    assert!(set("schema", "system").is_empty(), "no error");
    assert!(has(&options(&wire), "system"));
    assert!(wire.schema(&query("SELECT * FROM queries")).is_ok());
    // Errors come by option: {1: {1: name, 2: {1: kind}}}.
    let error =
        |name: &str, kind: u8| field(1, &[field(1, name.as_bytes()), field(2, &[0x08, kind])].concat());
    assert_eq!(set("schema", "nothing"), error("schema", 2));
    assert_eq!(set("catalog", "nothing"), error("catalog", 2));
    assert_eq!(set("nothing", "x"), error("nothing", 1));

    let other = Wire::open(cluster.flight(), "tester").patient(super::LIMIT);
    assert!(!has(&options(&other), "system"), "another session has its own");
    let status = other
        .schema(&query("SELECT * FROM queries"))
        .expect_err("that is no table of public");
    assert_eq!(status.code(), Code::NotFound);

    // {1: 1}: closed. The next call begins another session.
    assert_eq!(wire.act("CloseSession", b"").unwrap(), [vec![0x08, 1]]);
    assert!(!has(&options(&wire), "system"));
}

/// A field of bytes in protobuf's encoding.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len())
        .ok()
        .filter(|length| *length < 0x80)
        .expect("a short field");
    [&[number << 3 | 2, length][..], bytes].concat()
}

#[test]
fn polling_to_the_end() {
    let (_cluster, wire) = cluster();
    let command = CommandStatementQuery {
        query: "SELECT count(*) AS n FROM t a, t b".to_owned(),
        transaction_id: None,
    };
    let mut descriptor = packed(Command::CommandStatementQuery(command));
    let info = loop {
        let poll = wire.poll(&descriptor).unwrap();
        let info = poll.info.expect("a poll gives what is known");
        assert_eq!(info.clone().try_decode_schema().unwrap().fields().len(), 1);
        match poll.flight_descriptor {
            None => break info,
            Some(next) => descriptor = next.cmd.to_vec(),
        }
        let progress = poll.progress.expect("progress is told");
        assert!((0.0..=1.0).contains(&progress), "{progress}");
    };
    assert_eq!(wire.get(&ticket(&info)).unwrap().batches[0].num_rows(), 1);
}
