//! Statements: one schema from the first announcement to the last row, and counts that are true.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Command, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate,
    DoPutPreparedStatementResult, DoPutUpdateResult, TableDefinitionOptions, TableExistsOption,
    TableNotExistOption,
};
use prost::Message;
use tonic::Code;

use super::{cluster, fetched, run};
use crate::harness::{Answer, Wire, frames, packed, query, ticket, unpacked};

fn prepare(wire: &Wire, sql: &str) -> ActionCreatePreparedStatementResult {
    let request = ActionCreatePreparedStatementRequest {
        query: sql.to_owned(),
        transaction_id: None,
    };
    let body = packed(Command::ActionCreatePreparedStatementRequest(request));
    let answers = wire
        .act("CreatePreparedStatement", &body)
        .unwrap_or_else(|status| panic!("{sql}\n{status}"));
    match unpacked(&answers[0]) {
        Command::ActionCreatePreparedStatementResult(result) => result,
        other => panic!("{other:?}"),
    }
}

fn schema(message: impl AsRef<[u8]>) -> Schema {
    Schema::try_from(IpcMessage(message.as_ref().to_vec().into())).expect("an encapsulated message")
}

fn executed(handle: &[u8]) -> Vec<u8> {
    packed(Command::CommandPreparedStatementQuery(
        CommandPreparedStatementQuery {
            prepared_statement_handle: handle.to_vec().into(),
        },
    ))
}

fn updated(handle: &[u8]) -> Vec<u8> {
    packed(Command::CommandPreparedStatementUpdate(
        CommandPreparedStatementUpdate {
            prepared_statement_handle: handle.to_vec().into(),
        },
    ))
}

fn count(answer: Answer<Vec<Vec<u8>>>) -> i64 {
    let answers = answer.unwrap();
    assert_eq!(answers.len(), 1, "one answer");
    DoPutUpdateResult::decode(answers[0].as_slice())
        .unwrap()
        .record_count
}

#[test]
fn a_result_has_one_schema_everywhere() {
    let (_cluster, wire) = cluster();
    for sql in [
        "SELECT * FROM t",
        "SELECT * FROM t WHERE false",
        "SELECT id, count(*), sum(g), avg(f), min(m), max(h) FROM t GROUP BY id",
        "SELECT NULL AS nothing, 1 AS one, 'x' AS text, now() AS time, [1, 2] AS list",
        "SELECT * FROM v",
        "SELECT * FROM system.queries",
        "SHOW ALL",
        "SHOW SESSIONS",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM t",
        "DESCRIBE t",
    ] {
        let rows = fetched(&wire, &query(sql));
        let prepared = prepare(&wire, sql);
        assert_eq!(schema(&prepared.dataset_schema), *rows.schema(), "{sql}");
        let again = fetched(&wire, &executed(&prepared.prepared_statement_handle));
        assert_eq!(again.schema(), rows.schema(), "{sql}");
        for field in rows.schema().fields() {
            let name = field.metadata().get("ARROW:FLIGHT:SQL:TYPE_NAME");
            assert!(name.is_some_and(|name| !name.is_empty()), "{sql}: {field}");
            assert!(
                !matches!(
                    field.data_type(),
                    DataType::Utf8View | DataType::BinaryView | DataType::Dictionary(..)
                ),
                "{sql}: {field}"
            );
        }
    }
}

#[test]
fn what_gives_no_rows_has_a_schema_without_columns_and_runs_once() {
    let (_cluster, wire) = cluster();
    for (sql, records) in [
        ("CREATE TABLE made (n BIGINT)", -1),
        ("INSERT INTO made VALUES (1), (2)", 2),
        ("SET timezone = 'UTC'", -1),
        ("DROP TABLE IF EXISTS nothing", -1),
    ] {
        assert!(wire.schema(&query(sql)).unwrap().fields().is_empty(), "{sql}");
        assert!(
            schema(prepare(&wire, sql).dataset_schema).fields().is_empty(),
            "{sql}"
        );
        let info = wire
            .info(&query(sql))
            .unwrap_or_else(|status| panic!("{sql}\n{status}"));
        assert_eq!(info.total_records, records, "{sql}");
        assert!(
            info.clone().try_decode_schema().unwrap().fields().is_empty(),
            "{sql}"
        );
        for _ in 0..2 {
            let rows = wire.get(&ticket(&info)).unwrap();
            assert!(
                rows.schema.fields().is_empty() && rows.batches.is_empty(),
                "{sql}"
            );
        }
    }
    let rows = fetched(&wire, &query("SELECT count(*) AS n FROM made"));
    assert_eq!(
        rows.column(0)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .value(0),
        2
    );
}

#[test]
fn counts_of_updates() {
    let (_cluster, wire) = cluster();
    let update = |sql: &str| {
        let command = CommandStatementUpdate {
            query: sql.to_owned(),
            transaction_id: None,
        };
        count(wire.put(frames(&packed(Command::CommandStatementUpdate(command)), None)))
    };
    assert_eq!(update("CREATE TABLE counted (n BIGINT)"), 0);
    assert_eq!(update("INSERT INTO counted VALUES (1), (2), (3)"), 3);
    assert_eq!(update("INSERT INTO counted SELECT n FROM counted WHERE n > 1"), 2);
    assert_eq!(update("SELECT * FROM counted"), -1, "a query changes nothing");
}

#[test]
fn prepared_statements_from_their_making_to_their_end() {
    let (_cluster, wire) = cluster();
    run(&wire, "CREATE TABLE p (n BIGINT, s STRING)");
    let insert = prepare(&wire, "INSERT INTO p VALUES (?, ?)");
    let parameters = schema(&insert.parameter_schema);
    let types: Vec<_> = parameters
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(types, [DataType::Int64, DataType::Utf8]);
    assert!(parameters.fields().iter().all(|field| field.is_nullable()));
    assert!(schema(&insert.dataset_schema).fields().is_empty());

    let values = |numbers: Vec<i64>| {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; numbers.len()]));
        RecordBatch::try_from_iter_with_nullable([
            ("0", Arc::new(Int64Array::from(numbers)) as ArrayRef, true),
            ("1", texts, true),
        ])
        .unwrap()
    };
    // With the update, and before it.
    let handle = &insert.prepared_statement_handle;
    assert_eq!(
        count(wire.put(frames(&updated(handle), Some(&values(vec![1, 2]))))),
        2
    );
    let bound = wire
        .put(frames(&executed(handle), Some(&values(vec![3]))))
        .unwrap();
    let bound = DoPutPreparedStatementResult::decode(bound[0].as_slice()).unwrap();
    assert_eq!(bound.prepared_statement_handle.as_ref(), Some(handle));
    assert_eq!(count(wire.put(frames(&updated(handle), None))), 1);

    let select = prepare(&wire, "SELECT n FROM p WHERE n >= $1 ORDER BY n");
    let handle = &select.prepared_statement_handle;
    let unbound = wire.info(&executed(handle)).expect_err("nothing is bound yet");
    assert_eq!(unbound.code(), Code::InvalidArgument, "{unbound}");
    let one = RecordBatch::try_from_iter([("0", Arc::new(Int64Array::from(vec![2])) as ArrayRef)]).unwrap();
    wire.put(frames(&executed(handle), Some(&one))).unwrap();
    let rows = fetched(&wire, &executed(handle));
    assert_eq!(
        rows.column(0)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .values(),
        &[2, 3]
    );

    let close = packed(Command::ActionClosePreparedStatementRequest(
        ActionClosePreparedStatementRequest {
            prepared_statement_handle: handle.clone(),
        },
    ));
    for _ in 0..2 {
        assert!(
            wire.act("ClosePreparedStatement", &close).unwrap().is_empty(),
            "closing twice is no error"
        );
    }
    for answer in [
        wire.info(&executed(handle)).map(drop),
        wire.schema(&executed(handle)).map(drop),
        wire.poll(&executed(handle)).map(drop),
        wire.put(frames(&executed(handle), Some(&one))).map(drop),
        wire.put(frames(&updated(handle), None)).map(drop),
    ] {
        assert_eq!(answer.expect_err("it is closed").code(), Code::NotFound);
    }
}

#[test]
fn ingest_in_every_mode() {
    use {TableExistsOption as E, TableNotExistOption as N};
    let (_cluster, wire) = cluster();
    let rows =
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    let ingest = |if_not_exist: N, if_exists: E| {
        let command = CommandStatementIngest {
            table: "fresh".to_owned(),
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist: if_not_exist as i32,
                if_exists: if_exists as i32,
            }),
            ..CommandStatementIngest::default()
        };
        let command = packed(Command::CommandStatementIngest(command));
        wire.put(frames(&command, Some(&rows)))
    };
    let refused = |answer: Answer<Vec<Vec<u8>>>, code: Code| {
        let status = answer.expect_err("it is refused");
        assert_eq!(status.code(), code, "{status}");
    };
    refused(ingest(N::Fail, E::Append), Code::NotFound);
    assert_eq!(count(ingest(N::Create, E::Fail)), 2);
    refused(ingest(N::Create, E::Fail), Code::AlreadyExists);
    assert_eq!(count(ingest(N::Fail, E::Append)), 2);
    assert_eq!(count(ingest(N::Create, E::Append)), 2);
    let total = || {
        let rows = fetched(&wire, &query("SELECT count(*) AS n FROM fresh"));
        rows.column(0)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .value(0)
    };
    assert_eq!(total(), 6);
    assert_eq!(count(ingest(N::Create, E::Replace)), 2);
    assert_eq!(total(), 2);
    // "Servers should error if this is specified by a client."
    refused(ingest(N::Unspecified, E::Append), Code::InvalidArgument);
    refused(ingest(N::Create, E::Unspecified), Code::InvalidArgument);
    assert_eq!(total(), 2);
}

#[test]
fn a_transaction_that_there_is_not_is_refused_with_every_command() {
    let (_cluster, wire) = cluster();
    let transaction_id = Some(b"some".to_vec().into());
    let update = packed(Command::CommandStatementUpdate(CommandStatementUpdate {
        query: "CREATE TABLE never (n INT)".to_owned(),
        transaction_id: transaction_id.clone(),
    }));
    let ingest = packed(Command::CommandStatementIngest(CommandStatementIngest {
        table: "never".to_owned(),
        transaction_id: transaction_id.clone(),
        ..CommandStatementIngest::default()
    }));
    let make = packed(Command::ActionCreatePreparedStatementRequest(
        ActionCreatePreparedStatementRequest {
            query: "SELECT 1".to_owned(),
            transaction_id: transaction_id.clone(),
        },
    ));
    let ask = packed(Command::CommandStatementQuery(CommandStatementQuery {
        query: "CREATE TABLE never (n INT)".to_owned(),
        transaction_id,
    }));
    for answer in [
        wire.put(frames(&update, None)).map(drop),
        wire.put(frames(&ingest, None)).map(drop),
        wire.act("CreatePreparedStatement", &make).map(drop),
        wire.info(&ask).map(drop),
        wire.schema(&ask).map(drop),
        wire.poll(&ask).map(drop),
    ] {
        let status = answer.expect_err("there are no transactions");
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
        assert!(status.message().contains("autocommit"), "{status}");
    }
    let status = wire
        .info(&query("SELECT * FROM never"))
        .expect_err("nothing was made");
    assert_eq!(status.code(), Code::NotFound);
}
