//! Clients that come and go, round after round: what they leave behind is let go, and so is its memory.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, Command,
    CommandPreparedStatementQuery,
};
use tonic::Code;

use crate::harness::{Cluster, Options, Wire, frames, memory, packed, steps, ticket, unpacked, wait_until};

/// Sessions per step and round: with `WATERSHED_TEST_STEPS=100` there are 500, and 10,000 statements.
const SESSIONS: u64 = 5;
const STEPS: u64 = 12;
const STATEMENTS: u64 = 20;
/// Sessions at the same time.
const CLIENTS: u64 = 4;
/// The first round fills what is kept for good, such as the history of statements.
const WARM_UP: usize = 1;
const ROUNDS: usize = 3;
/// What the scheduler's memory may grow by, over all rounds.
const GROWTH_KIB: u64 = 24 << 10;
/// What is idle for so long is let go, when it is looked for. Longer than a busy machine may stall in the
/// middle of a session.
const IDLE: &str = "10s";
const SWEPT: Duration = Duration::from_secs(60);
/// A call on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn prepare(wire: &Wire, sql: String) -> Vec<u8> {
    let request = ActionCreatePreparedStatementRequest {
        query: sql,
        transaction_id: None,
    };
    let body = packed(Command::ActionCreatePreparedStatementRequest(request));
    match unpacked(&wire.act("CreatePreparedStatement", &body).unwrap()[0]) {
        Command::ActionCreatePreparedStatementResult(result) => result.prepared_statement_handle.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn execution(handle: &[u8]) -> Vec<u8> {
    packed(Command::CommandPreparedStatementQuery(
        CommandPreparedStatementQuery {
            prepared_statement_handle: handle.to_vec().into(),
        },
    ))
}

/// One session: some statements are closed, some results fetched, and in the end it says goodbye or not.
/// Gives a handle that it has abandoned.
fn session(url: &str, number: u64) -> Vec<u8> {
    let wire = Wire::open(url, &format!("user {}", number % 10)).patient(LIMIT);
    let mut abandoned = Vec::new();
    for statement in 0..STATEMENTS {
        let sql = format!("SELECT id, s, {number} AS n FROM t WHERE id >= ? AND id <> {statement}");
        let handle = prepare(&wire, sql);
        let from = Arc::new(Int64Array::from(vec![2])) as ArrayRef;
        let value = RecordBatch::try_from_iter([("0", from)]).unwrap();
        wire.put(frames(&execution(&handle), Some(&value))).unwrap();
        let info = wire.info(&execution(&handle)).unwrap();
        if statement % 4 != 0 {
            let rows = wire.get(&ticket(&info)).unwrap();
            let count = rows.batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            assert_eq!(count, if statement == 2 || statement == 3 { 1 } else { 2 });
        }
        if statement % 3 == 0 {
            abandoned = handle;
        } else {
            let close = ActionClosePreparedStatementRequest {
                prepared_statement_handle: handle.into(),
            };
            let body = packed(Command::ActionClosePreparedStatementRequest(close));
            wire.act("ClosePreparedStatement", &body).unwrap();
        }
    }
    if number.is_multiple_of(2) {
        wire.act("CloseSession", b"").unwrap();
    }
    abandoned
}

/// All sessions of a round. Gives what each has abandoned.
fn round(cluster: &Cluster, sessions: u64) -> Vec<Vec<u8>> {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let url = cluster.flight().to_owned();
            let numbers = (client..sessions).step_by(CLIENTS as usize);
            thread::spawn(move || numbers.map(|number| session(&url, number)).collect::<Vec<_>>())
        })
        .collect();
    clients
        .into_iter()
        .flat_map(|client| client.join().unwrap())
        .collect()
}

#[test]
fn memory_returns_when_clients_have_gone() {
    let cluster = Cluster::start(&Options {
        arguments: vec!["--idle-timeout", IDLE],
        ..Options::executors(1)
    });
    let mut observer = cluster.session();
    observer.run("CREATE TABLE t (id BIGINT, s STRING)");
    observer.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    let sessions = SESSIONS * steps(STEPS);
    let mut held = Vec::new();
    for number in 0..WARM_UP + ROUNDS {
        let abandoned = round(&cluster, sessions);
        let count = "SELECT count(*) FROM system.sessions";
        assert!(
            wait_until(SWEPT, || observer.value(count) == "1"),
            "{} sessions are still there",
            observer.value(count)
        );
        for (client, handle) in abandoned.iter().enumerate().take(10) {
            let owner = Wire::open(cluster.flight(), &format!("user {}", client % 10)).patient(LIMIT);
            let status = owner
                .info(&execution(handle))
                .expect_err("nobody used it for long");
            assert_eq!(status.code(), Code::NotFound, "{status}");
        }
        let now = memory(cluster.pid());
        eprintln!(
            "round {number}: {sessions} sessions, the scheduler holds {} MiB",
            now >> 10
        );
        held.push(now);
    }
    let (before, after) = (held[WARM_UP - 1], held[WARM_UP + ROUNDS - 1]);
    assert!(
        after <= before + GROWTH_KIB,
        "the scheduler's memory, in KiB after each round: {held:?}"
    );
    cluster.assert_goes_on();
}
