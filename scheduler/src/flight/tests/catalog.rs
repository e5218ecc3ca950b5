//! Metadata commands.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Schema};
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use arrow_flight::{Empty, IpcMessage};
use futures::TryStreamExt;

use super::{Client, Server, fetch, text};

async fn prepared() -> (Server, Client) {
    let server = Server::start().await;
    let mut client = server.client();
    for sql in [
        "CREATE TABLE t (id BIGINT NOT NULL, price DECIMAL(10, 2))",
        "CREATE TABLE other (id BIGINT)",
        "CREATE VIEW some_view AS SELECT 1 AS a",
    ] {
        client.execute_update(sql.to_owned(), None).await.unwrap();
    }
    (server, client)
}

#[tokio::test]
async fn catalogs_schemas_and_types() {
    let (_server, mut client) = prepared().await;
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(text(&fetch(&mut client, &info).await), "catalog_name; watershed");
    let info = client.get_table_types().await.unwrap();
    assert_eq!(
        text(&fetch(&mut client, &info).await),
        "table_type; SYSTEM TABLE; TABLE; VIEW"
    );
    let mut schemas = async |catalog: Option<&str>, pattern: Option<&str>| {
        let command = CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: pattern.map(str::to_owned),
        };
        let info = client.get_db_schemas(command).await.unwrap();
        text(&fetch(&mut client, &info).await)
    };
    let header = "catalog_name db_schema_name";
    let all = format!("{header}; watershed public; watershed system");
    assert_eq!(schemas(None, None).await, all);
    assert_eq!(schemas(Some("watershed"), Some("%")).await, all);
    assert_eq!(
        schemas(None, Some("p_b%")).await,
        format!("{header}; watershed public")
    );
    assert_eq!(schemas(Some(""), None).await, header);
}

#[tokio::test]
async fn tables() {
    let (_server, mut client) = prepared().await;
    let mut names = async |command: CommandGetTables| {
        let info = client.get_tables(command).await.unwrap();
        let batch = fetch(&mut client, &info).await;
        let names = batch.column(2).as_string::<i32>();
        names.iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let types = |types: &[&str]| CommandGetTables {
        table_types: types.iter().map(|&name| name.to_owned()).collect(),
        ..CommandGetTables::default()
    };
    assert_eq!(names(types(&["BASE TABLE", "table"])).await, "other t");
    assert_eq!(names(types(&["VIEW"])).await, "some_view");
    let like = |pattern: &str| CommandGetTables {
        table_name_filter_pattern: Some(pattern.to_owned()),
        db_schema_filter_pattern: Some("public".to_owned()),
        ..CommandGetTables::default()
    };
    assert_eq!(names(like("%")).await, "other some_view t");
    assert_eq!(names(like("_")).await, "t");
    assert_eq!(names(like("select * from t")).await, "");
}

#[tokio::test]
async fn tables_with_their_columns() {
    let (_server, mut client) = prepared().await;
    let command = CommandGetTables {
        table_name_filter_pattern: Some("t".to_owned()),
        include_schema: true,
        ..CommandGetTables::default()
    };
    let info = client.get_tables(command).await.unwrap();
    let batch = fetch(&mut client, &info).await;
    let message = batch.column(4).as_binary::<i32>().value(0).to_vec();
    let schema = Schema::try_from(IpcMessage(message.into())).unwrap();
    assert_eq!(
        (schema.field(0).is_nullable(), schema.field(1).data_type()),
        (false, &DataType::Decimal128(10, 2))
    );
    let metadata = schema.field(1).metadata();
    for (key, value) in [
        ("TYPE_NAME", "DECIMAL"),
        ("PRECISION", "10"),
        ("SCALE", "2"),
        ("TABLE_NAME", "t"),
    ] {
        assert_eq!(
            metadata
                .get(&format!("ARROW:FLIGHT:SQL:{key}"))
                .map(String::as_str),
            Some(value)
        );
    }
}

#[tokio::test]
async fn keys() {
    let (_server, mut client) = prepared().await;
    let command = CommandGetPrimaryKeys {
        table: "t".to_owned(),
        ..CommandGetPrimaryKeys::default()
    };
    let info = client.get_primary_keys(command).await.unwrap();
    assert_eq!(
        text(&fetch(&mut client, &info).await),
        "catalog_name db_schema_name table_name column_name key_name key_sequence; watershed public t id t_pkey 1"
    );
    let foreign = [
        client
            .get_exported_keys(CommandGetExportedKeys::default())
            .await
            .unwrap(),
        client
            .get_imported_keys(CommandGetImportedKeys::default())
            .await
            .unwrap(),
        client
            .get_cross_reference(CommandGetCrossReference::default())
            .await
            .unwrap(),
    ];
    for info in foreign {
        let batch = fetch(&mut client, &info).await;
        assert_eq!((batch.num_rows(), batch.num_columns()), (0, 13));
    }
}

#[tokio::test]
async fn what_the_server_can_do() {
    let (_server, mut client) = prepared().await;
    let wanted = vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerTransaction];
    let info = client.get_sql_info(wanted).await.unwrap();
    let batch = fetch(&mut client, &info).await;
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(
        batch.column(1).as_union().value(0).as_string::<i32>().value(0),
        "Watershed"
    );
    let info = client.get_sql_info(Vec::new()).await.unwrap();
    assert!(fetch(&mut client, &info).await.num_rows() > 80);
    let info = client
        .get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None })
        .await
        .unwrap();
    assert!(fetch(&mut client, &info).await.num_rows() > 10);

    let actions = client
        .inner_mut()
        .list_actions(Empty {})
        .await
        .unwrap()
        .into_inner();
    let actions: Vec<_> = actions
        .map_ok(|action| action.r#type)
        .try_collect()
        .await
        .unwrap();
    assert!(actions.contains(&"CancelFlightInfo".to_owned()));
    assert!(!actions.contains(&"BeginTransaction".to_owned()));
}
