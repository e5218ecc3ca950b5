//! Each call with each command: served, or refused in words that say why.

use arrow_flight::sql::{Command, CommandGetCatalogs};
use tonic::{Code, Status};

use super::commands::{Use, all, usage};
use super::{cluster, spec};
use crate::harness::{Answer, frames, packed};

/// The call, the command, and whether the command is for it.
fn check<T: std::fmt::Debug>(call: &str, command: &Command, answer: Answer<T>, taken: bool) {
    let name = command.type_url().rsplit('.').next().unwrap_or_default();
    match (answer, taken) {
        (Ok(_), true) => {}
        // What was sent names nothing that there is, or says nothing; that it was looked at is the point.
        (Err(status), true) => assert!(
            matches!(
                status.code(),
                Code::NotFound | Code::InvalidArgument | Code::PermissionDenied
            ),
            "{call} takes {name}: {status}"
        ),
        (Ok(answer), false) => panic!("{call} does not take {name}, and gave {answer:?}"),
        (Err(status), false) => assert_refused(call, name, &status),
    }
}

fn assert_refused(call: &str, name: &str, status: &Status) {
    assert_eq!(status.code(), Code::Unimplemented, "{call} with {name}: {status}");
    let text = status.message();
    assert!(
        text.contains("not supported") && text.contains("SQLSTATE 0A000"),
        "{call} with {name} says {text:?}"
    );
}

#[test]
fn every_call_with_every_command() {
    let (cluster, wire) = cluster();
    for command in all() {
        let usage = usage(&command);
        let bytes = packed(command.clone());
        let asks = matches!(usage, Use::Metadata(_) | Use::Query | Use::Prepared);
        check("GetFlightInfo", &command, wire.info(&bytes), asks);
        check("GetSchema", &command, wire.schema(&bytes), asks);
        let polls = asks || usage == Use::Ticket;
        check("PollFlightInfo", &command, wire.poll(&bytes), polls);
        let gets = matches!(usage, Use::Metadata(_) | Use::Ticket);
        check("DoGet", &command, wire.get(&bytes), gets);
        let puts = matches!(usage, Use::Update | Use::Prepared);
        check("DoPut", &command, wire.put(frames(&bytes, None)), puts);
    }
    wire.assert_answers();
    assert!(!cluster.log().contains("panicked"));
}

#[test]
fn every_metadata_command_has_the_schema_of_the_specification() {
    let (_cluster, wire) = cluster();
    let mut walked = 0;
    for command in all() {
        if let Use::Metadata(text) = usage(&command) {
            let rows = super::fetched_command(&wire, command.clone());
            let expected = spec::schema(text);
            // Field by field, field metadata included, which has to be empty: a driver refuses it.
            assert_eq!(*rows.schema(), expected, "{}", command.type_url());
            walked += 1;
        }
    }
    assert_eq!(walked, 10);
}

#[test]
fn every_action_with_its_body_and_with_anothers() {
    let (_cluster, wire) = cluster();
    let foreign = packed(Command::CommandGetCatalogs(CommandGetCatalogs {}));
    for command in all() {
        match usage(&command) {
            Use::Action(kind) => {
                check(kind, &command, wire.act(kind, &packed(command.clone())), true);
                for body in [&b""[..], b"\xff", &foreign] {
                    let status = wire.act(kind, body).expect_err(kind);
                    assert_eq!(status.code(), Code::InvalidArgument, "{kind}: {status}");
                }
            }
            Use::RefusedAction(kind) => {
                check(kind, &command, wire.act(kind, &packed(command.clone())), false);
            }
            _ => {}
        }
    }
    for kind in ["", "Nonsense", "createpreparedstatement"] {
        let status = wire.act(kind, b"").expect_err(kind);
        assert_refused("DoAction", kind, &status);
    }
}

#[test]
fn what_is_no_command_is_its_senders_mistake() {
    let (_cluster, wire) = cluster();
    for bytes in [&b"\xff\xff"[..], b"\x0a\x7f", b"\x0a\x02\xff\xff"] {
        for answer in [
            wire.info(bytes).map(drop),
            wire.schema(bytes).map(drop),
            wire.poll(bytes).map(drop),
            wire.get(bytes).map(drop),
            wire.put(frames(bytes, None)).map(drop),
        ] {
            let status = answer.expect_err("it is nonsense");
            assert_eq!(status.code(), Code::InvalidArgument, "{bytes:?}: {status}");
        }
    }
    // A stream without frames, and one whose first frame names no command.
    for frames in [vec![], vec![arrow_flight::FlightData::new()]] {
        let status = wire.put(frames).expect_err("there is no command");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}
