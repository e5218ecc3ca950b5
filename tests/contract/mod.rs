//! The contract of Flight SQL, command by command and action by action: what is served has exactly the
//! schema that the specification gives it, wherever it is told; what the engine has nothing for is refused
//! as UNIMPLEMENTED.
//!
//! `spec` is the specification as data, `commands` the list that is walked, `calls` walks it; `metadata`,
//! `info`, `statements` and `actions` look at the answers.

mod actions;
mod calls;
mod commands;
mod info;
mod metadata;
mod spec;
mod statements;

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow_flight::sql::Command;

use crate::harness::{Cluster, Options, Wire, frames, packed, query, ticket};

/// Statements of debug builds on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A column of every type that DDL has.
const EVERY_TYPE: &str = "CREATE TABLE t (
    id BIGINT NOT NULL, a BOOLEAN, b TINYINT, c SMALLINT, d INT, e FLOAT, f DOUBLE, g DECIMAL(10, 2),
    h STRING, i VARCHAR, j JSON, k BINARY, l DATE, m TIMESTAMP, n ARRAY<STRING>, o STRUCT<x INT, y STRING>,
    PRIMARY KEY (id))";

/// A cluster with the table `t`, which has a row, and the view `v`.
fn cluster() -> (Cluster, Wire) {
    let cluster = Cluster::start(&Options::executors(1));
    let wire = Wire::open(cluster.flight(), "tester").patient(LIMIT);
    for sql in [
        EVERY_TYPE,
        "INSERT INTO t (id, d, g, h) VALUES (1, 2, 3.25, 'four')",
        "CREATE VIEW v AS SELECT id, h FROM t",
    ] {
        wire.info(&query(sql))
            .unwrap_or_else(|status| panic!("{sql}\n{status}"));
    }
    (cluster, wire)
}

/// The rows of a command, which has to have one schema wherever it is asked for.
#[track_caller]
fn fetched(wire: &Wire, command: &[u8]) -> RecordBatch {
    let told = wire.schema(command).unwrap();
    let info = wire.info(command).unwrap();
    assert_eq!(
        info.clone().try_decode_schema().unwrap(),
        told,
        "GetFlightInfo and GetSchema"
    );
    let polled = wire.poll(command).unwrap();
    let polled = polled.info.expect("a poll gives what is known");
    assert_eq!(
        polled.try_decode_schema().unwrap(),
        told,
        "PollFlightInfo and GetSchema"
    );
    let rows = wire.get(&ticket(&info)).unwrap();
    assert_eq!(*rows.schema, told, "DoGet and GetSchema");
    concat_batches(&rows.schema, &rows.batches).unwrap()
}

fn fetched_command(wire: &Wire, command: Command) -> RecordBatch {
    fetched(wire, &packed(command))
}

/// Runs a statement for its effect.
#[track_caller]
fn run(wire: &Wire, sql: &str) {
    let command = packed(Command::CommandStatementUpdate(
        arrow_flight::sql::CommandStatementUpdate {
            query: sql.to_owned(),
            transaction_id: None,
        },
    ));
    wire.put(frames(&command, None))
        .unwrap_or_else(|status| panic!("{sql}\n{status}"));
}
