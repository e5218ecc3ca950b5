//! How rows come: polled for, over several streams, compressed, as view types.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, PollInfo,
};
use futures::TryStreamExt;
use prost::Message;
use tonic::Code;

use super::{Client, Server, fetch, query, status, text};

fn asked(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery {
        query: sql.to_owned(),
        transaction_id: None,
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

async fn poll(client: &mut Client, descriptor: FlightDescriptor) -> PollInfo {
    let answer = client.inner_mut().poll_flight_info(descriptor).await;
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn a_polled_query_runs_at_once_and_tells_how_far_it_is() {
    let server = Server::start().await;
    let mut client = server.client();
    let first = poll(&mut client, asked("SELECT late")).await;
    let descriptor = first.flight_descriptor.unwrap();
    assert!(first.info.unwrap().endpoint.is_empty());

    let second = poll(&mut client, descriptor.clone()).await;
    assert_eq!(second.progress, Some(0.5));
    assert_eq!(second.flight_descriptor, Some(descriptor.clone()));

    server.engine.said.notify_one();
    let last = poll(&mut client, descriptor).await;
    assert_eq!((last.flight_descriptor, last.progress), (None, Some(1.0)));
    let info = last.info.unwrap();
    assert_eq!(text(&fetch(&mut client, &info).await), "n; 7");
    assert_eq!(server.executed(), ["SELECT late"]);

    server.engine.said.notify_one();
    assert_eq!(text(&fetch(&mut client, &info).await), "n; 7");
    assert_eq!(server.executed().len(), 2, "fetched again it runs again");
}

#[tokio::test]
async fn a_short_answer_that_nobody_fetches_holds_nothing() {
    let server = Server::start().await;
    let mut client = server.client();
    let first = poll(&mut client, asked("SELECT late")).await;
    assert_eq!(server.streams(), 1);
    server.engine.said.notify_one();
    let last = poll(&mut client, first.flight_descriptor.unwrap()).await;
    server.wait_for_streams(0).await;
    assert_eq!(text(&fetch(&mut client, &last.info.unwrap()).await), "n; 7");
    assert_eq!(server.executed().len(), 1);
}

#[tokio::test]
async fn a_poll_that_is_given_up_ends_its_query() {
    let server = Server::start().await;
    let mut client = server.client();
    let first = poll(&mut client, asked("SELECT late")).await;
    assert_eq!(server.streams(), 1);
    let again = client
        .inner_mut()
        .poll_flight_info(first.flight_descriptor.unwrap());
    let answered = tokio::time::timeout(Duration::from_millis(100), again).await;
    assert!(answered.is_err());
    server.wait_for_streams(0).await;
}

#[tokio::test]
async fn a_polled_query_is_cancelled_before_it_has_rows() {
    let server = Server::start().await;
    let mut client = server.client();
    let first = poll(&mut client, asked("SELECT late")).await;
    let request = CancelFlightInfoRequest::new(first.info.unwrap());
    let action = Action::new("CancelFlightInfo", request.encode_to_vec());
    let mut answers = client.do_action(action).await.unwrap();
    let answer = answers.try_next().await.unwrap().unwrap();
    let result = CancelFlightInfoResult::decode(answer.body).unwrap();
    assert_eq!(result.status(), CancelStatus::Cancelled);
    let again = client
        .inner_mut()
        .poll_flight_info(first.flight_descriptor.unwrap())
        .await;
    assert_eq!(again.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn polling_for_what_fails_and_for_what_is_no_query() {
    let server = Server::start().await;
    let mut client = server.client();
    let failed = client.inner_mut().poll_flight_info(asked("SELEC 1")).await;
    assert_eq!(failed.unwrap_err().code(), Code::InvalidArgument);
    let done = poll(&mut client, asked("CREATE TABLE t (id BIGINT)")).await;
    assert_eq!(done.flight_descriptor, None);
    assert_eq!(server.executed().len(), 1);
}

#[tokio::test]
async fn several_streams_share_the_rows() {
    let server = Server::start().await;
    let mut client = server.client();
    set(&mut client, "watershed.flight_endpoints", "3").await;
    let many = "SELECT value FROM generate_series(1, 50000)";
    let info = client.execute(many.to_owned(), None).await.unwrap();
    assert_eq!(info.endpoint.len(), 3);
    let mut streams = Vec::new();
    for endpoint in &info.endpoint {
        streams.push(client.do_get(endpoint.ticket.clone().unwrap()).await.unwrap());
    }
    let mut rows = 0;
    for stream in streams {
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
    assert_eq!(rows, 50_000);
    assert_eq!(server.executed(), [many]);
    let again = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await;
    assert_eq!(status(again.err().unwrap()).code(), Code::NotFound);

    // One after the other: the first has it all.
    let info = client.execute(many.to_owned(), None).await.unwrap();
    let mut counts = Vec::new();
    for endpoint in info.endpoint {
        let stream = client.do_get(endpoint.ticket.unwrap()).await.unwrap();
        let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        counts.push(batches.iter().map(RecordBatch::num_rows).sum::<usize>());
    }
    assert_eq!(counts, [50_000, 0, 0]);

    let ordered = "SELECT value FROM generate_series(1, 9) ORDER BY value";
    let info = client.execute(ordered.to_owned(), None).await.unwrap();
    assert_eq!(info.endpoint.len(), 1, "an order has one stream");
}

#[tokio::test]
async fn streams_of_which_one_was_given_up_do_not_end_well() {
    let server = Server::start().await;
    let mut client = server.client();
    set(&mut client, "watershed.flight_endpoints", "2").await;
    let info = client.execute("SELECT endless".to_owned(), None).await.unwrap();
    let [first, second] = [0, 1].map(|at| info.endpoint[at].ticket.clone().unwrap());
    let mut stream = client.do_get(first).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    server.wait_for_streams(0).await;
    let late = client.do_get(second).await;
    assert_eq!(status(late.err().unwrap()).code(), Code::Cancelled);
}

#[tokio::test]
async fn view_types_and_compression_come_on_request() {
    let server = Server::start().await;
    let mut client = server.client();
    let sql = "SELECT 'some text' AS t FROM generate_series(1, 1000)";
    let plain = query(&mut client, sql).await;
    assert_eq!(plain.schema().field(0).data_type(), &DataType::Utf8);
    for compression in ["lz4", "zstd"] {
        set(&mut client, "watershed.flight_compression", compression).await;
        assert_eq!(query(&mut client, sql).await, plain, "{compression}");
    }
    set(&mut client, "watershed.flight_view_types", "on").await;
    let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
    assert_eq!(
        prepared.dataset_schema().unwrap().field(0).data_type(),
        &DataType::Utf8View
    );
    set(&mut client, "watershed.flight_view_types", "off").await;
    let info = prepared.execute().await.unwrap();
    let views = fetch(&mut client, &info).await;
    assert_eq!(
        views.schema().field(0).data_type(),
        &DataType::Utf8View,
        "as it was announced"
    );
    assert_eq!(views.num_rows(), 1_000);
}

async fn set(client: &mut Client, name: &str, value: &str) {
    use super::super::options::{OptionValue, SessionOptionValue, SetSessionOptionsRequest};
    let value = SessionOptionValue {
        value: Some(OptionValue::Text(value.to_owned())),
    };
    let request = SetSessionOptionsRequest {
        session_options: [(name.to_owned(), value)].into(),
    };
    let action = Action::new("SetSessionOptions", request.encode_to_vec());
    let answers = client.do_action(action).await.unwrap();
    let answers: Vec<_> = answers.try_collect().await.unwrap();
    assert!(answers[0].body.is_empty(), "{name}: {answers:?}");
}
