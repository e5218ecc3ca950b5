//! What is made wrong: every kind of message that a client sends, right as it is.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Command, CommandGetCrossReference, CommandGetDbSchemas,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementUpdate, TableDefinitionOptions,
};
use arrow_flight::{CancelFlightInfoRequest, FlightData, RenewFlightEndpointRequest};
use prost::Message;

use crate::harness::{Wire, frames, packed, query, ticket, unpacked};

/// Statements, of which each kind is in some message.
pub const STATEMENTS: [&str; 14] = [
    "SELECT 1",
    "SELECT id, s FROM t WHERE id = 1 AND s LIKE 'a%' ORDER BY id LIMIT 10",
    "WITH x AS (SELECT id % 3 AS k, count(*) AS n FROM t GROUP BY 1) SELECT a.k, b.n FROM x a JOIN x b ON a.k = b.k",
    "SELECT value, md5(CAST(value AS STRING)) FROM generate_series(1, 20) AS v(value)",
    "SELECT CASE WHEN s IS NULL THEN [1, 2] ELSE [id] END AS l FROM t WHERE id IN (1, 2, NULL)",
    "INSERT INTO t VALUES (1, 'a'), (2, NULL)",
    "CREATE TEMPORARY VIEW mine AS SELECT id FROM t",
    "EXPLAIN SELECT * FROM t",
    "SHOW SESSIONS",
    "SET timezone = 'Europe/Paris'",
    "USE system",
    "KILL QUERY '01900000-0000-7000-8000-000000000000'",
    "SELECT '2026-07-01'::DATE + INTERVAL '1' DAY, CAST('1.5' AS DECIMAL(5, 2)), '{\"a\": 1}'->'a'",
    "DESCRIBE t",
];

/// A message and the call that it is for.
#[derive(Debug, Clone)]
pub enum Sample {
    Info(Vec<u8>),
    Schema(Vec<u8>),
    Poll(Vec<u8>),
    Get(Vec<u8>),
    Act(&'static str, Vec<u8>),
    Put(Vec<FlightData>),
}

impl Sample {
    /// What stands in the message's middle.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Info(bytes) | Self::Schema(bytes) | Self::Poll(bytes) | Self::Get(bytes) => bytes.clone(),
            Self::Act(_, bytes) => bytes.clone(),
            Self::Put(frames) => {
                let descriptor = frames.first().and_then(|frame| frame.flight_descriptor.as_ref());
                descriptor
                    .map(|descriptor| descriptor.cmd.to_vec())
                    .unwrap_or_default()
            }
        }
    }
}

pub fn prepare(wire: &Wire, sql: &str) -> Vec<u8> {
    let body = packed(Command::ActionCreatePreparedStatementRequest(creation(sql)));
    let answers = wire
        .act("CreatePreparedStatement", &body)
        .unwrap_or_else(|status| panic!("{sql}\n{status}"));
    match unpacked(&answers[0]) {
        Command::ActionCreatePreparedStatementResult(ActionCreatePreparedStatementResult {
            prepared_statement_handle,
            ..
        }) => prepared_statement_handle.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn creation(sql: &str) -> ActionCreatePreparedStatementRequest {
    ActionCreatePreparedStatementRequest {
        query: sql.to_owned(),
        transaction_id: None,
    }
}

pub fn execution(handle: &[u8]) -> Vec<u8> {
    packed(Command::CommandPreparedStatementQuery(
        CommandPreparedStatementQuery {
            prepared_statement_handle: handle.to_vec().into(),
        },
    ))
}

pub fn updating(handle: &[u8]) -> Vec<u8> {
    packed(Command::CommandPreparedStatementUpdate(
        CommandPreparedStatementUpdate {
            prepared_statement_handle: handle.to_vec().into(),
        },
    ))
}

pub fn closing(handle: &[u8]) -> Vec<u8> {
    packed(Command::ActionClosePreparedStatementRequest(
        ActionClosePreparedStatementRequest {
            prepared_statement_handle: handle.to_vec().into(),
        },
    ))
}

pub fn update(sql: &str) -> Vec<u8> {
    packed(Command::CommandStatementUpdate(CommandStatementUpdate {
        query: sql.to_owned(),
        transaction_id: None,
    }))
}

/// Names of tables that match a pattern.
pub fn tables(pattern: &str) -> Vec<u8> {
    packed(Command::CommandGetTables(CommandGetTables {
        catalog: Some("watershed".to_owned()),
        db_schema_filter_pattern: Some("%".to_owned()),
        table_name_filter_pattern: Some(pattern.to_owned()),
        table_types: vec!["TABLE".to_owned()],
        include_schema: pattern.len() < 4,
    }))
}

/// Values for two parameters.
pub fn values() -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("some longer text")]));
    RecordBatch::try_from_iter_with_nullable([
        ("0", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, true),
        ("1", texts, true),
    ])
    .unwrap()
}

/// Rows with nested columns.
fn nested() -> RecordBatch {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let structs = RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![7, 8])) as ArrayRef)]);
    RecordBatch::try_from_iter_with_nullable([
        ("l", Arc::new(lists) as ArrayRef, true),
        (
            "o",
            Arc::new(arrow::array::StructArray::from(structs.unwrap())) as ArrayRef,
            true,
        ),
    ])
    .unwrap()
}

/// Messages of every kind, right for this client.
pub fn samples(wire: &Wire) -> Vec<Sample> {
    let mut samples = Vec::new();
    for sql in STATEMENTS {
        samples.push(Sample::Info(query(sql)));
        samples.push(Sample::Schema(query(sql)));
        samples.push(Sample::Act(
            "CreatePreparedStatement",
            packed(Command::ActionCreatePreparedStatementRequest(creation(sql))),
        ));
        samples.push(Sample::Put(frames(&update(sql), None)));
    }
    for command in [
        tables("%"),
        tables("a\\_b%"),
        packed(Command::CommandGetDbSchemas(CommandGetDbSchemas {
            catalog: None,
            db_schema_filter_pattern: Some("p_b%".to_owned()),
        })),
        packed(Command::CommandGetSqlInfo(CommandGetSqlInfo {
            info: vec![0, 8, 504, 562],
        })),
        packed(Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo {
            data_type: Some(12),
        })),
        packed(Command::CommandGetPrimaryKeys(CommandGetPrimaryKeys {
            catalog: Some(String::new()),
            db_schema: Some("public".to_owned()),
            table: "t".to_owned(),
        })),
        packed(Command::CommandGetCrossReference(
            CommandGetCrossReference::default(),
        )),
    ] {
        samples.push(Sample::Info(command.clone()));
        samples.push(Sample::Schema(command.clone()));
        samples.push(Sample::Get(command));
    }

    let select = wire.info(&query("SELECT 'mine' AS owner")).unwrap();
    samples.push(Sample::Get(ticket(&select)));
    let request = CancelFlightInfoRequest::new(select.clone());
    samples.push(Sample::Act("CancelFlightInfo", request.encode_to_vec()));
    let request = ActionCancelQueryRequest {
        info: select.encode_to_vec().into(),
    };
    samples.push(Sample::Act(
        "CancelQuery",
        packed(Command::ActionCancelQueryRequest(request)),
    ));
    let request = RenewFlightEndpointRequest::new(select.endpoint[0].clone());
    samples.push(Sample::Act("RenewFlightEndpoint", request.encode_to_vec()));

    let poll = query("SELECT count(*) FROM t a, t b");
    let polled = wire.poll(&poll).unwrap();
    samples.push(Sample::Poll(poll));
    samples.extend(
        polled
            .flight_descriptor
            .map(|next| Sample::Poll(next.cmd.to_vec())),
    );
    samples.extend(
        polled
            .info
            .iter()
            .flat_map(|info| &info.endpoint)
            .filter_map(|endpoint| Some(Sample::Poll(endpoint.ticket.as_ref()?.ticket.to_vec()))),
    );

    let insert = prepare(wire, "INSERT INTO t VALUES ($1, $2)");
    let find = prepare(wire, "SELECT * FROM t WHERE id = ? AND s = ?");
    for handle in [&insert, &find] {
        samples.push(Sample::Put(frames(&execution(handle), Some(&values()))));
        samples.push(Sample::Put(frames(&updating(handle), Some(&values()))));
        samples.push(Sample::Put(frames(&updating(handle), None)));
        samples.push(Sample::Info(execution(handle)));
        samples.push(Sample::Schema(execution(handle)));
        samples.push(Sample::Poll(execution(handle)));
        samples.push(Sample::Act("ClosePreparedStatement", closing(handle)));
    }
    for rows in [values(), nested()] {
        let command = CommandStatementIngest {
            table: format!("ingested_{}", rows.num_columns() + rows.num_rows()),
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist: 1,
                if_exists: 3,
            }),
            temporary: rows.num_rows() == 2,
            ..CommandStatementIngest::default()
        };
        samples.push(Sample::Put(frames(
            &packed(Command::CommandStatementIngest(command)),
            Some(&rows),
        )));
    }
    // {1: {1: "timezone", 2: {1: "UTC"}}} of the sessions' own messages.
    samples.push(Sample::Act(
        "SetSessionOptions",
        b"\x0a\x11\x0a\x08timezone\x12\x05\x0a\x03UTC".to_vec(),
    ));
    samples.push(Sample::Act("GetSessionOptions", Vec::new()));
    samples.push(Sample::Act("CloseSession", Vec::new()));
    samples
}
