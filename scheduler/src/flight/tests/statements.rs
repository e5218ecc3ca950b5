//! Statements as text: queries, updates, tickets, cancelling.

use arrow::array::RecordBatch;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightEndpoint,
    RenewFlightEndpointRequest, Ticket,
};
use futures::StreamExt;
use prost::Message;
use tonic::Code;
use watershed_core::net::Notices;

use super::{Server, fetch, query, status, text, ticket};

use std::time::Duration;

#[tokio::test]
async fn a_query_runs_when_it_is_fetched_and_as_often() {
    let server = Server::start().await;
    let mut client = server.client();
    let sql = "SELECT 1 AS a, 'x' AS b, CAST(NULL AS BIGINT) AS c";
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    assert!(server.executed().is_empty());
    assert_eq!(info.total_records, -1);
    for _ in 0..2 {
        assert_eq!(text(&fetch(&mut client, &info).await), "a b c; 1 x");
    }
    assert_eq!(server.executed().len(), 2);
    let schema = info.try_decode_schema().unwrap();
    assert_eq!(
        schema
            .field(0)
            .metadata()
            .get("ARROW:FLIGHT:SQL:TYPE_NAME")
            .map(String::as_str),
        Some("BIGINT")
    );
}

#[tokio::test]
async fn an_empty_result_has_a_schema() {
    let server = Server::start().await;
    let batch = query(&mut server.client(), "SELECT 1 AS a WHERE false").await;
    assert_eq!((batch.num_rows(), batch.num_columns()), (0, 1));
}

#[tokio::test]
async fn ddl_and_dml_sent_as_queries_run_once_and_at_once() {
    let server = Server::start().await;
    let mut client = server.client();
    let create = "CREATE TABLE t (id BIGINT, name VARCHAR)";
    let info = client.execute(create.to_owned(), None).await.unwrap();
    assert_eq!(server.executed(), [create]);
    assert_eq!(Notices::from_json(&info.app_metadata).notices, ["done"]);

    let insert = "INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    let info = client.execute(insert.to_owned(), None).await.unwrap();
    assert_eq!(info.total_records, 2);
    for _ in 0..2 {
        assert_eq!(fetch(&mut client, &info).await.num_columns(), 0);
    }
    assert_eq!(server.executed(), [create, insert]);
    assert_eq!(
        text(&query(&mut client, "SELECT * FROM t ORDER BY id").await),
        "id name; 1 a; 2 b"
    );
}

#[tokio::test]
async fn updates_say_their_counts() {
    let server = Server::start().await;
    let mut client = server.client();
    let mut update = async |sql: &str| client.execute_update(sql.to_owned(), None).await.unwrap();
    assert_eq!(update("CREATE TABLE t (id BIGINT)").await, 0);
    assert_eq!(update("INSERT INTO t VALUES (1), (2), (3)").await, 3);
    assert_eq!(update("SELECT * FROM t").await, -1);
}

#[tokio::test]
async fn errors_have_the_codes_that_drivers_map() {
    let server = Server::start().await;
    let mut client = server.client();
    for (sql, code) in [
        ("SELEC 1", Code::InvalidArgument),
        ("SELECT nothing FROM (SELECT 1 AS a)", Code::InvalidArgument),
        ("SELECT * FROM nothing", Code::NotFound),
    ] {
        let error = client.execute(sql.to_owned(), None).await.unwrap_err();
        assert_eq!(status(error).code(), code, "{sql}");
        let error = client.execute_update(sql.to_owned(), None).await.unwrap_err();
        assert_eq!(status(error).code(), code, "{sql}");
    }
    let transaction = Some("some".into());
    let error = client
        .execute("SELECT 1".to_owned(), transaction)
        .await
        .unwrap_err();
    assert_eq!(status(error).code(), Code::Unimplemented);
    assert_eq!(
        status(client.begin_transaction().await.unwrap_err()).code(),
        Code::Unimplemented
    );
}

#[tokio::test]
async fn tickets_are_the_servers_own_and_expire() {
    let server = Server::start().await;
    let mut client = server.client();
    let info = client.execute("SELECT 1 AS a".to_owned(), None).await.unwrap();
    let good = ticket(&info);
    let mut refused = async |ticket: Ticket| match client.do_get(ticket).await {
        Ok(_) => panic!("the ticket was taken"),
        Err(error) => status(error).code(),
    };
    let mut forged = good.ticket.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(refused(Ticket::new(forged)).await, Code::PermissionDenied);
    assert_eq!(refused(Ticket::new("nonsense")).await, Code::InvalidArgument);

    server.clock.advance(Duration::from_secs(599));
    let request = RenewFlightEndpointRequest::new(info.endpoint[0].clone());
    let action = Action::new("RenewFlightEndpoint", request.encode_to_vec());
    let mut client = server.client();
    let mut results = client.do_action(action).await.unwrap();
    let renewed = results.message().await.unwrap().unwrap().body;
    let renewed = FlightEndpoint::decode(renewed).unwrap().ticket.unwrap();
    server.clock.advance(Duration::from_secs(2));
    let mut refused = async |ticket: Ticket| {
        client
            .do_get(ticket)
            .await
            .map_err(|error| status(error).code())
            .err()
    };
    assert_eq!(refused(good).await, Some(Code::NotFound));
    assert_eq!(refused(renewed).await, None);
}

#[tokio::test]
async fn a_dropped_stream_ends_the_query() {
    let server = Server::start().await;
    let mut client = server.client();
    let info = client.execute("SELECT endless".to_owned(), None).await.unwrap();
    let mut rows = client.do_get(ticket(&info)).await.unwrap();
    rows.next().await.unwrap().unwrap();
    assert_eq!(server.streams(), 1);
    drop(rows);
    server.wait_for_streams(0).await;
}

#[tokio::test]
async fn cancelling_ends_a_stream_that_nobody_reads() {
    let server = Server::start().await;
    let mut client = server.client();
    let info = client.execute("SELECT endless".to_owned(), None).await.unwrap();
    let mut rows = client.do_get(ticket(&info)).await.unwrap();
    rows.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.streams(), 1);

    let mut cancel = async || {
        let request = CancelFlightInfoRequest::new(info.clone());
        let action = Action::new("CancelFlightInfo", request.encode_to_vec());
        let mut results = client.do_action(action).await.unwrap();
        let result = results.message().await.unwrap().unwrap();
        CancelFlightInfoResult::decode(result.body).unwrap().status()
    };
    assert_eq!(cancel().await, CancelStatus::Cancelled);
    assert_eq!(server.streams(), 0);
    assert_eq!(cancel().await, CancelStatus::NotCancellable);
    let error = loop {
        match rows.next().await {
            Some(Ok(_)) => (),
            Some(Err(error)) => break error,
            None => panic!("the stream ended as if it were complete"),
        }
    };
    assert_eq!(status(error).code(), Code::Cancelled);
}

#[tokio::test]
async fn wide_rows_come_in_small_frames() {
    let server = Server::start().await;
    let mut client = server.client();
    // The client's own limit of 4 MiB is in force.
    let batch: RecordBatch = query(
        &mut client,
        "SELECT repeat(CAST(value % 10 AS VARCHAR), 200000) AS t FROM generate_series(1, 100)",
    )
    .await;
    assert_eq!(batch.num_rows(), 100);
}

#[tokio::test]
async fn schema_and_poll_agree_with_the_answer() {
    let server = Server::start().await;
    let mut client = server.client();
    let command = CommandStatementQuery {
        query: "SELECT 1 AS a".to_owned(),
        transaction_id: None,
    };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let expected = query(&mut client, "SELECT 1 AS a").await.schema();
    let executed = server.executed().len();
    let inner = client.inner_mut();
    let schema = inner.get_schema(descriptor.clone()).await.unwrap().into_inner();
    assert_eq!(arrow::datatypes::Schema::try_from(schema).unwrap(), *expected);
    assert_eq!(server.executed().len(), executed);

    let poll = inner.poll_flight_info(descriptor).await.unwrap().into_inner();
    assert_eq!((poll.flight_descriptor, poll.progress), (None, Some(1.0)));
    assert_eq!(text(&fetch(&mut client, &poll.info.unwrap()).await), "a; 1");
}

#[tokio::test]
async fn nonsense_is_refused() {
    let server = Server::start().await;
    let mut client = server.client();
    for command in [&b""[..], b"\xff\xff", b"\x0a\x01x"] {
        let descriptor = FlightDescriptor::new_cmd(command.to_vec());
        let error = client.inner_mut().get_flight_info(descriptor).await.unwrap_err();
        assert!(
            matches!(error.code(), Code::InvalidArgument | Code::Unimplemented),
            "{error:?}"
        );
    }
    let mut any = CommandStatementQuery::default().as_any();
    any.value = "\x0a\x7f".into();
    let descriptor = FlightDescriptor::new_cmd(any.encode_to_vec());
    let error = client.inner_mut().get_flight_info(descriptor).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let error = client.do_action(Action::new("Nonsense", "")).await.unwrap_err();
    assert_eq!(status(error).code(), Code::Unimplemented);
}
