use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use watershed_core::error::SqlState;

use super::*;
use crate::fixture::{Fixture, batch, events, statement, texts};
use crate::table::ScanLog;

fn definition(format: ExternalFormat, location: &Path) -> ExternalTable {
    ExternalTable {
        name: "x".to_owned(),
        format,
        location: location.to_str().unwrap().to_owned(),
        columns: Vec::new(),
        partition_by: Vec::new(),
        options: BTreeMap::new(),
    }
}

/// Checks as CREATE does, then opens as every query does.
async fn create(fixture: &Fixture, table: ExternalTable) -> Result<(ExternalTable, Arc<dyn TableProvider>)> {
    let state = fixture.context.state();
    check(&table, &state).await?;
    let provider = open(&table, &state, ScanLog::default()).await?;
    Ok((table, provider))
}

fn write_parquet(path: &Path, batch: &RecordBatch) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn columns(provider: &Arc<dyn TableProvider>) -> String {
    columns_of(&provider.schema())
        .unwrap()
        .iter()
        .map(|column| format!("{} {}", column.name, column.data_type.sql()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[tokio::test]
async fn files_folders_and_trees() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("in");
    let rows = batch(0, 10, 0);
    write_parquet(
        &folder.join("one/day=2024-01-01/hour=01/a.parquet"),
        &rows.project(&[0, 2]).unwrap(),
    );
    write_parquet(
        &folder.join("one/day=2024-01-02/hour=11/b.parquet"),
        &rows.project(&[0, 2]).unwrap(),
    );
    std::fs::write(folder.join("one/_SUCCESS"), "x").unwrap();
    let (_, provider) = create(&fixture, definition(ExternalFormat::Parquet, &folder.join("one")))
        .await
        .unwrap();
    assert_eq!(
        columns(&provider),
        "user_id BIGINT, title STRING, day DATE, hour BIGINT"
    );
    let sql = "SELECT count(*), min(day), max(hour) FROM t WHERE day > DATE '2024-01-01'";
    let answer = fixture.query_over(provider, sql).await.unwrap();
    assert_eq!(answer, ["10|2024-01-02|11"]);

    let file = folder.join("one/day=2024-01-01/hour=01/a.parquet");
    let (_, provider) = create(&fixture, definition(ExternalFormat::Parquet, &file))
        .await
        .unwrap();
    assert_eq!(columns(&provider), "user_id BIGINT, title STRING");
    let answer = fixture.query_over(provider, "SELECT * FROM t").await.unwrap();
    assert_eq!(answer, texts(&[rows.project(&[0, 2]).unwrap()]));
}

#[tokio::test]
async fn csv_and_json() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    std::fs::write(
        folder.join("a.csv"),
        "id;name;at\n1;x;2024-01-01T00:00:00Z\n2;;2024-01-02T00:00:00Z\n",
    )
    .unwrap();
    let mut table = definition(ExternalFormat::Csv, &folder.join("a.csv"));
    table.options.insert("delimiter".to_owned(), ";".to_owned());
    let (_, provider) = create(&fixture, table).await.unwrap();
    assert_eq!(columns(&provider), "id BIGINT, name STRING, at TIMESTAMP");
    let answer = fixture
        .query_over(provider, "SELECT id, at FROM t")
        .await
        .unwrap();
    assert_eq!(answer, ["1|2024-01-01T00:00:00Z", "2|2024-01-02T00:00:00Z"]);

    std::fs::write(
        folder.join("a.ndjson"),
        "{\"id\": 1, \"tags\": [\"a\"]}\n{\"id\": 2}\n",
    )
    .unwrap();
    let (_, provider) = create(
        &fixture,
        definition(ExternalFormat::Json, &folder.join("a.ndjson")),
    )
    .await
    .unwrap();
    assert_eq!(columns(&provider), "id BIGINT, tags ARRAY<STRING>");
    let answer = fixture
        .query_over(provider, "SELECT count(*), sum(id) FROM t")
        .await
        .unwrap();
    assert_eq!(answer, ["2|3"]);
}

#[tokio::test]
async fn delta_tables_of_others() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    fixture.insert(&layout, batch(0, 10, 0)).await;
    let location = fixture.folder.path().join("store").join(layout.folder());
    let (table, provider) = create(&fixture, definition(ExternalFormat::Delta, &location))
        .await
        .unwrap();
    assert_eq!(
        columns(&provider),
        "user_id BIGINT, at TIMESTAMP, title STRING, dt DATE, _shard INT"
    );
    let answer = fixture
        .query_over(
            provider,
            "SELECT count(*), count(DISTINCT _shard), min(dt) FROM t",
        )
        .await
        .unwrap();
    assert_eq!(answer, ["10|4|2024-01-01"]);
    // Its files are no rows by themselves.
    let error = refused(&fixture, definition(ExternalFormat::Parquet, &location)).await;
    assert_eq!(error.code(), SqlState::WrongObjectType, "{error:?}");
    // It is read as it is now.
    let (files, rows) = fixture.write(&layout, vec![batch(10, 5, 0)]).await.unwrap();
    fixture.commit(&layout, files, rows, statement()).await.unwrap();
    let provider = open(&table, &fixture.context.state(), ScanLog::default())
        .await
        .unwrap();
    let answer = fixture
        .query_over(provider, "SELECT count(*) FROM t")
        .await
        .unwrap();
    assert_eq!(answer, ["15"]);
}

async fn refused(fixture: &Fixture, table: ExternalTable) -> Error {
    match create(fixture, table).await {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_a_clear_error() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let missing = definition(ExternalFormat::Parquet, &folder.join("none"));
    assert_eq!(refused(&fixture, missing).await.code(), SqlState::IoError);
    std::fs::write(folder.join("bad.parquet"), "this is no Parquet file").unwrap();
    let bad = refused(
        &fixture,
        definition(ExternalFormat::Parquet, &folder.join("bad.parquet")),
    )
    .await;
    assert_eq!(bad.code(), SqlState::DataCorrupted, "{bad:?}");
    assert!(bad.message().contains("bad.parquet"), "{bad}");
    let mut gopher = definition(ExternalFormat::Csv, folder);
    gopher.location = "gopher://x/y".to_owned();
    assert_eq!(
        refused(&fixture, gopher).await.code(),
        SqlState::InvalidParameterValue
    );
    std::fs::write(folder.join("a.csv"), "a\n1\n").unwrap();
    let mut table = definition(ExternalFormat::Csv, &folder.join("a.csv"));
    table.options.insert("delimeter".to_owned(), ";".to_owned());
    let error = refused(&fixture, table).await;
    assert_eq!(error.hint(), Some("Did you mean \"delimiter\"?"));
}
