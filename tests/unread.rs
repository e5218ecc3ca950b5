//! Clients that neither read their rows nor send them keep no place from others, and are ended after a while.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::sql::{
    Command, CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::{FlightData, Ticket};
use futures::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::harness::{Cluster, Options, Session, Wire, frames, packed, query, ticket, wait_until};

/// What a busy machine may take to answer.
const LIMIT: Duration = Duration::from_secs(60);
/// More than fits into any buffer on the way, each row in a moment.
const LARGE: &str = "SELECT value, repeat('a', 1000) AS text FROM generate_series(1, 1000000) AS s(value)";

fn cluster(running: &'static str, stall: &'static str) -> Cluster {
    Cluster::start(&Options {
        arguments: vec!["--max-running", running, "--stall-timeout", stall],
        ..Options::executors(1)
    })
}

/// Fetches the rows of a query up to the first, and the others when it is notified.
fn unread(wire: &Wire, sql: &str) -> (Arc<Notify>, JoinHandle<Result<u64, Status>>) {
    let info = wire.info(&query(sql)).unwrap();
    let request = wire.request(Ticket::new(ticket(&info)));
    let mut client = wire.client();
    let go_on = Arc::new(Notify::new());
    let notified = Arc::clone(&go_on);
    let task = wire.spawn(async move {
        let mut rows = client.do_get(request).await?.into_inner();
        let mut messages = u64::from(rows.message().await?.is_some());
        notified.notified().await;
        while rows.message().await?.is_some() {
            messages += 1;
        }
        Ok(messages)
    });
    (go_on, task)
}

fn running(session: &mut Session, what: &str) -> usize {
    let sql = format!(
        "SELECT count(*) FROM system.queries WHERE state = 'running' AND statement LIKE '%{what}%' \
         AND statement NOT LIKE '%system.queries%'"
    );
    session.without_caches().value(&sql).parse().unwrap()
}

#[test]
fn unread_results_give_their_places_back_and_end() {
    let cluster = cluster("2", "25s");
    let wires: Vec<_> = (0..4)
        .map(|_| Wire::open(cluster.flight(), "idle").patient(LIMIT))
        .collect();
    let streams: Vec<_> = wires.iter().map(|wire| unread(wire, LARGE)).collect();
    // All four get a place, one after the other, and so does whoever comes then.
    let mut session = cluster.session();
    assert!(wait_until(LIMIT, || running(&mut session, "generate_series") == 4));
    assert_eq!(session.value("SELECT 1"), "1");
    // One that is read again goes on.
    let mut streams = streams.into_iter();
    let (go_on, task) = streams.next().unwrap();
    go_on.notify_one();
    assert!(wires[0].wait(task).unwrap().unwrap() > 100);
    // The others end by themselves, and say why.
    assert!(wait_until(LIMIT, || running(&mut session, "generate_series") == 0));
    let ended = "SELECT count(*) FROM system.queries WHERE state = 'cancelled' AND error_message LIKE '%takes no rows%'";
    assert_eq!(session.value(ended), "3");
    for ((go_on, task), wire) in streams.zip(&wires[1..]) {
        go_on.notify_one();
        let status = wire.wait(task).unwrap().unwrap_err();
        assert!(status.message().contains("SQLSTATE 57014"), "{status}");
        assert!(status.message().contains("--stall-timeout"), "{status}");
    }
}

#[test]
fn unread_results_can_be_killed() {
    let cluster = cluster("64", "10m");
    let wire = Wire::open(cluster.flight(), "idle").patient(LIMIT);
    let (go_on, task) = unread(&wire, LARGE);
    let mut session = cluster.session();
    assert!(wait_until(LIMIT, || running(&mut session, "generate_series") == 1));
    sleep(Duration::from_secs(1));
    let id = session.value(
        "SELECT statement_id FROM system.queries WHERE state = 'running' AND statement LIKE '%generate_series%' \
         AND statement NOT LIKE '%system.queries%'",
    );
    session.run(&format!("KILL QUERY '{id}'"));
    assert!(wait_until(LIMIT, || running(&mut session, "generate_series") == 0));
    go_on.notify_one();
    let status = wire.wait(task).unwrap().unwrap_err();
    assert!(status.message().contains("SQLSTATE 57014"), "{status}");
}

#[test]
fn stalled_ingests_give_their_places_back_and_end() {
    let cluster = cluster("1", "12s");
    let mut session = cluster.session();
    session.run("CREATE TABLE sink (id BIGINT)");
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    let rows = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
    let command = packed(Command::CommandStatementIngest(CommandStatementIngest {
        table: "sink".to_owned(),
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Fail as i32,
            if_exists: TableExistsOption::Append as i32,
        }),
        ..CommandStatementIngest::default()
    }));
    let sent: Vec<FlightData> = frames(&command, Some(&rows));
    let wire = Wire::open(cluster.flight(), "idle").patient(LIMIT);
    let request = wire.request(stream::iter(sent).chain(stream::pending()));
    let mut client = wire.client();
    let task = wire.spawn(async move {
        let mut answers = client.do_put(request).await?.into_inner();
        answers.message().await.map(drop)
    });
    assert!(wait_until(LIMIT, || running(&mut session, "INGEST") == 1));
    assert_eq!(session.value("SELECT count(*) FROM sink"), "0");
    let status = wire.wait(task).unwrap().unwrap_err();
    assert!(status.message().contains("SQLSTATE 57014"), "{status}");
    assert!(status.message().contains("sends no rows"), "{status}");
    assert_eq!(session.value("SELECT count(*) FROM sink"), "0");
    assert_eq!(running(&mut session, "INGEST"), 0);
}

#[test]
fn cached_results_need_no_place() {
    let cluster = cluster("1", "10m");
    let mut session = cluster.session();
    session.run("CREATE TABLE t (id BIGINT)");
    session.run("INSERT INTO t VALUES (1), (2), (3)");
    let known = "SELECT count(*) FROM t";
    for _ in 0..2 {
        assert_eq!(session.value(known), "3");
    }
    let mut other = cluster.session();
    other.without_caches().run("SET statement_timeout = '300ms'");
    let computing = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b";
    let wire = Wire::open(cluster.flight(), "busy").patient(LIMIT);
    let (_go_on, task) = unread(&wire, computing);
    // Nothing else finds a place by then, and what is known needs none.
    assert!(wait_until(LIMIT, || {
        other
            .query("SELECT 1")
            .is_err_and(|failure| failure.code.as_deref() == Some("57014"))
    }));
    assert!(!task.is_finished());
    assert_eq!(session.value(known), "3");
    assert!(!task.is_finished());
}
