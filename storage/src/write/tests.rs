use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use watershed_core::error::{Error, SqlState};
use watershed_core::shard::shard_of_i64;

use super::*;
use crate::fixture::{Fixture, batch, events, reversed};
use crate::layout::{Column, ColumnType, TableLayout};

fn path(fixture: &Fixture, layout: &TableLayout, file: &WrittenFile) -> std::path::PathBuf {
    fixture
        .folder
        .path()
        .join("store")
        .join(layout.folder())
        .join(&file.path)
}

#[tokio::test]
async fn files_hold_one_shard_in_order() {
    let fixture = Fixture::new();
    let layout = events();
    let input = vec![reversed(&batch(0, 500, 0)), batch(500, 500, 1)];
    let (files, rows) = fixture.write(&layout, input).await.unwrap();
    assert_eq!(rows, 1000);
    assert_eq!(files.len(), 8, "two days of four shards");
    for file in &files {
        let shard: u32 = file.partition_values["_shard"].as_ref().unwrap().parse().unwrap();
        assert!(file.path.starts_with(&format!(
            "dt={}/_shard={shard}/",
            file.partition_values["dt"].as_ref().unwrap()
        )));
        assert_eq!(file.tags[SHARD_SPEC_TAG], "xxh3-1/4");
        let disk = std::fs::File::open(path(&fixture, &layout, file)).unwrap();
        assert_eq!(disk.metadata().unwrap().len(), file.size);
        let reader = ParquetRecordBatchReaderBuilder::try_new(disk).unwrap();
        assert_eq!(reader.schema().fields().len(), 3, "partitions are not in files");
        let metadata = Arc::clone(reader.metadata());
        assert!(metadata.row_group(0).column(0).bloom_filter_offset().is_some());
        assert!(metadata.row_group(0).column(0).column_index_offset().is_some());
        let mut last = (i64::MIN, i64::MIN);
        let mut count = 0;
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let users = batch.column(0).as_primitive::<Int64Type>();
            let at = batch
                .column(1)
                .as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
            for (user, at) in users.values().iter().zip(at.values()) {
                assert_eq!(shard_of_i64(*user, 4), shard);
                assert!(last <= (*user, *at));
                last = (*user, *at);
                count += 1;
            }
        }
        assert_eq!(count, file.rows);
    }
}

#[tokio::test]
async fn statistics_bound_what_is_in_the_file() {
    let fixture = Fixture::new();
    let mut layout = events();
    layout.sharding = None;
    let (files, _) = fixture.write(&layout, vec![batch(0, 3, 0)]).await.unwrap();
    let statistics: serde_json::Value = serde_json::from_str(&files[0].statistics).unwrap();
    assert_eq!(
        statistics,
        serde_json::json!({
            "numRecords": 3,
            "minValues": {"user_id": 0, "at": "2024-01-01T00:00:00.000Z", "title": "title 0"},
            "maxValues": {"user_id": 2, "at": "2024-01-01T00:02:00.001Z", "title": "title 2"},
            "nullCount": {"user_id": 0, "at": 0, "title": 0},
            "tightBounds": true,
        })
    );
}

#[tokio::test]
async fn little_memory_makes_more_row_groups_and_loses_nothing() {
    let fixture = Fixture::with_memory(600 << 10);
    let layout = events();
    let input: Vec<_> = (0..40).map(|n| batch(n * 1000, 1000, 0)).collect();
    let (files, rows) = fixture.write(&layout, input).await.unwrap();
    assert_eq!(rows, 40_000);
    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 40_000);
    let groups: usize = files
        .iter()
        .map(|file| {
            let disk = std::fs::File::open(path(&fixture, &layout, file)).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(disk).unwrap();
            reader.metadata().num_row_groups()
        })
        .sum();
    assert!(groups > 4, "{groups}");
}

#[tokio::test]
async fn many_partitions_are_written_with_few_files_open() {
    let fixture = Fixture::new();
    let mut layout = events();
    layout.partition_by = vec!["title".to_owned()];
    let (files, rows) = fixture
        .write(&layout, vec![batch(0, 200, 0), batch(0, 200, 0)])
        .await
        .unwrap();
    assert_eq!((files.len(), rows), (200, 400));
    assert!(
        files.iter().all(|file| file.path.starts_with("title=x")),
        "a space is in no folder's name"
    );
}

async fn refused(layout: &TableLayout, column: usize, values: Arc<dyn Array>) -> Error {
    let fixture = Fixture::new();
    let good = batch(0, 2, 0);
    let mut columns = good.columns().to_vec();
    let mut fields: Vec<_> = good.schema().fields().iter().cloned().collect();
    fields[column] = Arc::new(
        fields[column]
            .as_ref()
            .clone()
            .with_data_type(values.data_type().clone()),
    );
    columns[column] = values;
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let bad = RecordBatch::try_new(schema, columns).unwrap();
    fixture.write(layout, vec![bad]).await.unwrap_err()
}

#[tokio::test]
async fn bad_rows_are_refused() {
    let mut layout = events();
    layout.columns[0] = Column::new("user_id", ColumnType::BigInt).not_null();
    let error = refused(&layout, 0, Arc::new(Int64Array::from(vec![Some(1), None]))).await;
    assert_eq!(error.code(), SqlState::NotNullViolation);
    assert!(error.message().contains("user_id"), "{error}");

    layout.columns[2] = Column::new("title", ColumnType::Json);
    let texts = StringArray::from(vec![Some(r#"{"a": [1, null]}"#), Some("{a: 1}")]);
    let error = refused(&layout, 2, Arc::new(texts)).await;
    assert_eq!(error.code(), SqlState::InvalidTextRepresentation);
    assert!(error.message().contains("title"), "{error}");

    let texts = StringArray::from(vec!["1", "many"]);
    let error = refused(&layout, 0, Arc::new(texts)).await;
    assert_eq!(error.code(), SqlState::InvalidTextRepresentation, "{error:?}");

    let mut layout = events();
    layout.partition_by = vec!["title".to_owned()];
    let error = refused(&layout, 2, Arc::new(StringArray::from(vec!["a", ""]))).await;
    assert_eq!(error.code(), SqlState::DataException);
}

#[test]
fn garbled_answers_are_errors() {
    let schema = file::output_schema();
    let batch = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(StringArray::from(vec!["{}"])),
            Arc::new(arrow::array::UInt64Array::from(vec![1])),
        ],
    )
    .unwrap();
    assert_eq!(
        written_files(&[batch]).unwrap_err().code(),
        SqlState::InternalError
    );
}
