//! Prepared statements and bound values, in the orders that drivers use, and bulk ingest.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, NullArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow_flight::FlightDescriptor;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    CommandPreparedStatementUpdate, CommandStatementIngest, DoPutUpdateResult, ProstMessageExt,
};
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;
use watershed_core::net::Notices;

use super::{Client, Server, fetch, query, status, text};

fn row(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn ints(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

async fn table(client: &mut Client) {
    client
        .execute_update("CREATE TABLE t (id INT, name VARCHAR)".to_owned(), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_query_with_values() {
    let server = Server::start().await;
    let mut client = server.client();
    table(&mut client).await;
    let insert = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)";
    client.execute_update(insert.to_owned(), None).await.unwrap();
    let sql = "SELECT name FROM t WHERE id = $1 OR name = $2";
    let mut statement = client.prepare(sql.to_owned(), None).await.unwrap();

    let parameters = statement.parameter_schema().unwrap();
    assert!(parameters.fields().iter().all(|field| field.is_nullable()));
    let types: Vec<_> = parameters
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(types, [DataType::Int32, DataType::Utf8]);
    assert_eq!(statement.dataset_schema().unwrap().fields().len(), 1);

    let error = statement.execute().await.unwrap_err();
    assert_eq!(status(error).code(), Code::InvalidArgument);

    let null: ArrayRef = Arc::new(NullArray::new(1));
    statement
        .set_parameters(row(vec![("0", ints(vec![2])), ("1", null)]))
        .unwrap();
    let info = statement.execute().await.unwrap();
    assert_eq!(text(&fetch(&mut client, &info).await), "name; b");

    // Every row is an execution, and the rows come one after the other.
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "a"]));
    statement
        .set_parameters(row(vec![("x", ints(vec![2, 9])), ("y", names)]))
        .unwrap();
    let info = statement.execute().await.unwrap();
    assert_eq!(text(&fetch(&mut client, &info).await), "name; a; b; a");

    statement.set_parameters(row(vec![("0", ints(vec![1]))])).unwrap();
    let error = statement.execute().await.unwrap_err();
    assert!(status(error).message().contains("2 parameters, and 1 were bound"));
}

#[tokio::test]
async fn an_update_bound_before() {
    let server = Server::start().await;
    let mut client = server.client();
    table(&mut client).await;
    let mut statement = client
        .prepare("INSERT INTO t VALUES (?, ?)".to_owned(), None)
        .await
        .unwrap();
    assert!(statement.dataset_schema().unwrap().fields().is_empty());
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    statement
        .set_parameters(row(vec![("0", ints(vec![1, 2])), ("1", names)]))
        .unwrap();
    assert_eq!(statement.execute_update().await.unwrap(), 2);
    assert_eq!(
        text(&query(&mut client, "SELECT * FROM t ORDER BY id").await),
        "id name; 1 a; 2 b"
    );
    statement.close().await.unwrap();
}

#[tokio::test]
async fn an_update_with_its_values_inline() {
    let server = Server::start().await;
    let mut client = server.client();
    table(&mut client).await;
    let action = arrow_flight::sql::ActionCreatePreparedStatementRequest {
        query: "INSERT INTO t VALUES ($1, $2)".to_owned(),
        transaction_id: None,
    };
    let action = arrow_flight::Action::new("CreatePreparedStatement", action.as_any().encode_to_vec());
    let result = client
        .do_action(action)
        .await
        .unwrap()
        .message()
        .await
        .unwrap()
        .unwrap();
    let any = arrow_flight::sql::Any::decode(result.body).unwrap();
    let prepared: arrow_flight::sql::ActionCreatePreparedStatementResult = any.unpack().unwrap().unwrap();

    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let values = row(vec![("id", ints(vec![1, 2])), ("name", names)]);
    let command = CommandPreparedStatementUpdate {
        prepared_statement_handle: prepared.prepared_statement_handle,
    };
    let frames: Vec<_> = FlightDataEncoderBuilder::new()
        .with_schema(values.schema())
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec())))
        .build(futures::stream::iter([Ok(values)]))
        .try_collect()
        .await
        .unwrap();
    let response = client
        .inner_mut()
        .do_put(futures::stream::iter(frames))
        .await
        .unwrap();
    assert_eq!(
        Notices::from_metadata(response.metadata()).notices,
        ["done", "done"]
    );
    let result = response.into_inner().message().await.unwrap().unwrap();
    assert_eq!(
        DoPutUpdateResult::decode(result.app_metadata)
            .unwrap()
            .record_count,
        2
    );
    assert_eq!(
        text(&query(&mut client, "SELECT * FROM t ORDER BY id").await),
        "id name; 1 a; 2"
    );
}

#[tokio::test]
async fn ddl_as_a_prepared_query_runs_once() {
    let server = Server::start().await;
    let mut client = server.client();
    let mut statement = client
        .prepare("CREATE TABLE t (id INT)".to_owned(), None)
        .await
        .unwrap();
    assert!(server.executed().is_empty());
    let info = statement.execute().await.unwrap();
    assert_eq!(server.executed().len(), 1);
    fetch(&mut client, &info).await;
    assert_eq!(server.executed().len(), 1);
}

#[tokio::test]
async fn handles_survive_a_connection_and_end_when_closed_or_idle() {
    let server = Server::start().await;
    let sql = "SELECT 1 AS a";
    let mut statement = server.client().prepare(sql.to_owned(), None).await.unwrap();
    let mut closed = statement.clone();
    statement.execute().await.unwrap();
    statement.close().await.unwrap();
    assert_eq!(status(closed.execute().await.unwrap_err()).code(), Code::NotFound);

    let mut idle = server.client().prepare(sql.to_owned(), None).await.unwrap();
    server.clock.advance(std::time::Duration::from_secs(3_601));
    assert_eq!(status(idle.execute().await.unwrap_err()).code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_abandoned_is_swept_away() {
    let server = Server::start().await;
    let mut client = server.client();
    for number in 0..50 {
        let mut statement = client
            .prepare(format!("SELECT {number} AS a"), None)
            .await
            .unwrap();
        statement.execute().await.unwrap();
        if number % 5 == 0 {
            statement.close().await.unwrap();
        }
    }
    assert_eq!(server.front.kept(), (40, 50));
    server.front.sweep();
    assert_eq!(server.front.kept(), (40, 50), "nothing is idle yet");
    server.clock.advance(std::time::Duration::from_secs(600));
    server.front.sweep();
    assert_eq!(server.front.kept(), (40, 0), "results go before statements");
    server.clock.advance(std::time::Duration::from_secs(3_000));
    server.front.sweep();
    assert_eq!(server.front.kept(), (0, 0));
}

#[tokio::test]
async fn values_that_do_not_fit_are_refused() {
    let server = Server::start().await;
    let mut client = server.client();
    table(&mut client).await;
    let mut statement = client
        .prepare("INSERT INTO t VALUES (?, ?)".to_owned(), None)
        .await
        .unwrap();
    let name: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    statement
        .set_parameters(row(vec![("0", ints(vec![1 << 40])), ("1", name)]))
        .unwrap();
    let error = status(statement.execute_update().await.unwrap_err());
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("22003"), "{error:?}");
    assert_eq!(query(&mut client, "SELECT * FROM t").await.num_rows(), 0);
}

#[tokio::test]
async fn rows_are_ingested() {
    let server = Server::start().await;
    let mut client = server.client();
    let command = CommandStatementIngest {
        table: "fresh".to_owned(),
        ..CommandStatementIngest::default()
    };
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let rows = futures::stream::iter([Ok(row(vec![("n", column)]))]);
    assert_eq!(client.execute_ingest(command, rows).await.unwrap(), 3);
    assert_eq!(
        text(&query(&mut client, "SELECT sum(n) AS s FROM fresh").await),
        "s; 6"
    );
}
