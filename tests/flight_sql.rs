//! Flight SQL as arrow-flight's own client speaks it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;
use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables, SqlInfo};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use crate::harness::{Cluster, Options};

type Client = FlightSqlServiceClient<Channel>;

#[expect(
    clippy::disallowed_methods,
    reason = "a driver, which knows nothing of the product's code"
)]
async fn connect(url: &str) -> Client {
    let channel = Endpoint::from_shared(url.to_owned())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = Client::new(channel);
    client.handshake("tester", "secret").await.unwrap();
    client
}

async fn fetch(client: &mut Client, info: FlightInfo) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let stream = client.do_get(endpoint.ticket.unwrap()).await.unwrap();
        batches.extend(stream.try_collect::<Vec<_>>().await.unwrap());
    }
    batches
}

/// The values of a column, by name.
fn column(batches: &[RecordBatch], name: &str) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| {
            let column = batch
                .column_by_name(name)
                .unwrap_or_else(|| panic!("no column {name}"));
            (0..batch.num_rows()).map(|row| array_value_to_string(column, row).unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements() {
    let cluster = Cluster::start(&Options::executors(1));
    let mut client = connect(cluster.flight()).await;
    client
        .execute_update("CREATE TABLE t (id BIGINT, name STRING)".to_owned(), None)
        .await
        .unwrap();

    let mut insert = client
        .prepare("INSERT INTO t VALUES ($1, $2)".to_owned(), None)
        .await
        .unwrap();
    assert!(
        insert.dataset_schema().unwrap().fields().is_empty(),
        "an INSERT gives no rows"
    );
    let parameters = insert.parameter_schema().unwrap();
    assert_eq!(parameters.fields().len(), 2);
    assert!(parameters.fields().iter().all(|field| field.is_nullable()));
    let rows = RecordBatch::try_from_iter([
        ("1", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        (
            "2",
            Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])) as ArrayRef,
        ),
    ])
    .unwrap();
    insert.set_parameters(rows).unwrap();
    assert_eq!(insert.execute_update().await.unwrap(), 3, "a row is an execution");
    insert.close().await.unwrap();

    let mut select = client
        .prepare("SELECT name FROM t WHERE id >= ? ORDER BY id".to_owned(), None)
        .await
        .unwrap();
    assert_eq!(select.dataset_schema().unwrap().fields().len(), 1);
    for (from, expected) in [(2, vec!["", "c"]), (3, vec!["c"]), (9, vec![])] {
        let value = RecordBatch::try_from_iter([("0", Arc::new(Int64Array::from(vec![from])) as ArrayRef)]);
        select.set_parameters(value.unwrap()).unwrap();
        let info = select.execute().await.unwrap();
        let batches = fetch(&mut client, info).await;
        assert_eq!(column(&batches, "name"), expected);
    }
    select.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata() {
    let cluster = Cluster::start(&Options::executors(1));
    let mut client = connect(cluster.flight()).await;

    let info = client.get_catalogs().await.unwrap();
    assert_eq!(
        column(&fetch(&mut client, info).await, "catalog_name"),
        ["watershed"]
    );

    let request = CommandGetDbSchemas {
        catalog: None,
        db_schema_filter_pattern: Some("pub%".to_owned()),
    };
    let info = client.get_db_schemas(request).await.unwrap();
    assert_eq!(
        column(&fetch(&mut client, info).await, "db_schema_name"),
        ["public"]
    );

    let tables = |pattern: &str, types: &[&str], include_schema| CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: Some("public".to_owned()),
        table_name_filter_pattern: Some(pattern.to_owned()),
        table_types: types.iter().map(|name| name.to_string()).collect(),
        include_schema,
    };
    let info = client.get_tables(tables("cdn\\_logs", &[], true)).await.unwrap();
    let found = fetch(&mut client, info).await;
    assert_eq!(column(&found, "table_name"), ["cdn_logs"]);
    assert_eq!(column(&found, "table_type"), ["TABLE"]);
    assert!(found[0].column_by_name("table_schema").is_some());

    let info = client.get_tables(tables("%", &["VIEW"], false)).await.unwrap();
    let views = column(&fetch(&mut client, info).await, "table_name");
    assert_eq!(views, ["unified_metrics", "unified_metrics_exact"]);

    let info = client.get_table_types().await.unwrap();
    let mut types = column(&fetch(&mut client, info).await, "table_type");
    types.sort();
    assert!(
        types.contains(&"TABLE".to_owned()) && types.contains(&"VIEW".to_owned()),
        "{types:?}"
    );

    let info = client
        .get_sql_info(vec![SqlInfo::FlightSqlServerName])
        .await
        .unwrap();
    let server = fetch(&mut client, info).await;
    assert_eq!(column(&server, "info_name"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_changes_runs_once() {
    let cluster = Cluster::start(&Options::executors(1));
    let mut client = connect(cluster.flight()).await;
    // Some drivers send everything as a query, and some of those never fetch.
    client
        .execute("CREATE TABLE t (id INT)".to_owned(), None)
        .await
        .unwrap();
    let info = client
        .execute("INSERT INTO t VALUES (1)".to_owned(), None)
        .await
        .unwrap();
    fetch(&mut client, info.clone()).await;
    fetch(&mut client, info).await;
    let info = client
        .execute("SELECT count(*) AS n FROM t".to_owned(), None)
        .await
        .unwrap();
    assert_eq!(column(&fetch(&mut client, info).await, "n"), ["1"]);
}
