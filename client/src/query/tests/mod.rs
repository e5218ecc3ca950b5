pub(crate) mod server;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use server::Memory;
use tokio_util::sync::{CancellationToken, DropGuard};
use watershed_core::SqlState;
use watershed_core::error::Position;

use super::*;

async fn connect() -> (Client, Memory, DropGuard) {
    let shutdown = CancellationToken::new();
    let (url, memory) = server::start("127.0.0.1:0", shutdown.clone()).await;
    (
        Client::connect(&url).await.unwrap(),
        memory,
        shutdown.drop_guard(),
    )
}

async fn numbers(rows: RowStream) -> Vec<i64> {
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let columns = batches
        .iter()
        .map(|batch| batch.column(0).as_primitive::<Int64Type>());
    columns.flat_map(|column| column.values().to_vec()).collect()
}

async fn eventually(what: impl Fn() -> bool) -> bool {
    for _ in 0..100 {
        if what() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn queries() {
    let (client, memory, _server) = connect().await;
    let rows = client.query("NUMBERS 2500").await.unwrap();
    assert_eq!(rows.schema().field(0).name(), "n");
    assert_eq!(rows.notices().notices, ["counted by heart"]);
    assert_eq!(numbers(rows).await, (0..2_500).collect::<Vec<_>>());
    assert!(memory.cookies() > 0);
}

#[tokio::test]
async fn small_answers_do_not_wait_for_acknowledgements() {
    let (client, _memory, _server) = connect().await;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let started = std::time::Instant::now();
        let rows = client.query("NUMBERS 1").await.unwrap();
        assert_eq!(numbers(rows).await, [0]);
        fastest = fastest.min(started.elapsed());
    }
    assert!(fastest < Duration::from_millis(30), "{fastest:?}");
}

#[tokio::test]
async fn statements_of_any_kind_are_closed() {
    let (client, memory, _server) = connect().await;
    let Answer::Rows(rows) = client.run("NUMBERS 3").await.unwrap() else {
        panic!("no rows");
    };
    assert_eq!(memory.open_statements(), 1);
    assert_eq!(numbers(rows).await, [0, 1, 2]);
    assert_eq!(memory.open_statements(), 0);
    for (sql, count) in [("INSERT 3", Some(3)), ("CREATE x", None)] {
        let Answer::Done(done) = client.run(sql).await.unwrap() else {
            panic!("rows");
        };
        assert_eq!((done.count, memory.open_statements()), (count, 0), "{sql}");
    }
    assert_eq!(client.update("INSERT 7").await.unwrap(), Some(7));
}

#[tokio::test]
async fn errors_come_whole() {
    let (client, memory, _server) = connect().await;
    for error in [
        client.run("NONSENSE").await.unwrap_err(),
        client.query("NONSENSE").await.unwrap_err(),
        client.update("NONSENSE").await.unwrap_err(),
    ] {
        assert_eq!(error.code(), SqlState::SyntaxError);
        assert_eq!(error.position(), Some(Position { line: 1, column: 3 }));
        assert!(error.hint().is_some());
    }
    let mut rows = client.query("LATE").await.unwrap();
    assert_eq!(rows.try_next().await.unwrap().unwrap().num_rows(), 2);
    let error = rows.try_next().await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (SqlState::DivisionByZero, "division by zero")
    );
    assert_eq!(memory.open_statements(), 0);
}

#[tokio::test]
async fn dropping_cancels() {
    let (client, memory, _server) = connect().await;
    let Answer::Rows(mut rows) = client.run("SLOW").await.unwrap() else {
        panic!("no rows");
    };
    assert!(rows.try_next().await.unwrap().is_some());
    assert_eq!(memory.open_streams(), 1);
    drop(rows);
    assert!(eventually(|| memory.open_streams() == 0).await);
    assert!(eventually(|| memory.open_statements() == 0).await);

    let waiting = tokio::time::timeout(Duration::from_millis(300), client.run("HANG"));
    assert!(waiting.await.is_err());
    assert!(eventually(|| memory.open_streams() == 0).await);
    assert!(eventually(|| memory.open_statements() == 0).await);
}

#[tokio::test]
async fn parameters_are_bound() {
    let (client, memory, _server) = connect().await;
    let mut statement = client.prepare("PARAMETERS").await.unwrap();
    for value in [7, 8] {
        let column: arrow::array::ArrayRef = Arc::new(Int64Array::from(vec![value]));
        let values = RecordBatch::try_from_iter([("0", column)]).unwrap();
        statement.bind(values).await.unwrap();
        assert_eq!(numbers(statement.query().await.unwrap()).await, [value]);
    }
    statement.close().await;
    assert_eq!(memory.open_statements(), 0);
}

#[tokio::test]
async fn nobody_answers() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = Client::connect(&format!("http://{free}")).await.unwrap_err();
    assert_eq!(error.code(), SqlState::CannotConnectNow);
    assert!(error.message().contains(&free.to_string()), "{error:?}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_server_that_ends_is_an_error() {
    let (client, _memory, server) = connect().await;
    let mut rows = client.query("SLOW").await.unwrap();
    rows.try_next().await.unwrap();
    drop(server);
    // The server lets streams end for ten seconds; it is not waited for that long here.
    drop(rows);
    let failed = async {
        loop {
            if let Err(error) = client.query("NUMBERS 1").await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(5), failed)
        .await
        .unwrap();
    assert_eq!(error.code(), SqlState::CannotConnectNow, "{error:?}");
    assert!(error.message().contains(client.url()), "{error:?}");
}
