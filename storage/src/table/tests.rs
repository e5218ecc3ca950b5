use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use watershed_core::shard::shard_of_i64;

use super::*;
use crate::fixture::{Fixture, batch, events, statement, texts};
use crate::layout::{Column, ColumnType};

fn config(plan: &Arc<dyn ExecutionPlan>) -> &FileScanConfig {
    let source = plan.downcast_ref::<DataSourceExec>().unwrap();
    source.data_source().downcast_ref::<FileScanConfig>().unwrap()
}

async fn filled() -> (Fixture, TableLayout) {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    for day in 0..3 {
        fixture
            .insert(&layout, batch(i64::from(day) * 100, 100, day))
            .await;
    }
    (fixture, layout)
}

#[tokio::test]
async fn what_was_written_is_read() {
    let (fixture, layout) = filled().await;
    let mut expected = Vec::new();
    for day in 0..3 {
        expected.extend(texts(&[batch(i64::from(day) * 100, 100, day)]));
    }
    expected.sort();
    let (rows, log) = fixture.query(&layout, "SELECT * FROM t").await;
    assert_eq!(rows, expected);
    let [report] = &log.reports()[..] else {
        panic!("one scan")
    };
    assert_eq!(report.files_total, 12);
    assert_eq!(report.files_scanned, 12);
    assert_eq!(report.shards_total, Some(4));
    assert_eq!(report.shards_scanned, [0, 1, 2, 3]);
    assert_eq!(report.rows_estimated, Some(300));
    assert_eq!(report.version, Some(3));
    assert!(report.pruned_by.is_empty());
}

/// Checks rows against the same predicate over all rows, and what was left out.
#[track_caller]
fn check_report(log: &ScanLog, files: usize, by: &[&str]) {
    let report = log.reports().pop().unwrap();
    assert_eq!(report.files_scanned, files, "{report:?}");
    assert_eq!(report.pruned_by, by, "{report:?}");
}

#[tokio::test]
async fn a_fixed_key_reads_one_shard() {
    let (fixture, layout) = filled().await;
    let (rows, log) = fixture
        .query(&layout, "SELECT count(*) FROM t WHERE user_id = 7")
        .await;
    assert_eq!(rows, ["15"]);
    check_report(&log, 3, &["shard"]);
    assert_eq!(log.reports()[0].shards_scanned, [shard_of_i64(7, 4)]);
    let (rows, log) = fixture
        .query(
            &layout,
            "SELECT count(*) FROM t WHERE user_id IN (7) AND dt = DATE '2024-01-02'",
        )
        .await;
    assert_eq!(rows, ["5"]);
    check_report(&log, 1, &["partition", "shard"]);
    let (rows, _) = fixture
        .query(
            &layout,
            "SELECT count(*) FROM t WHERE user_id = 7 OR user_id = 8 OR user_id = 9",
        )
        .await;
    assert_eq!(rows, ["45"]);
}

#[tokio::test]
async fn statistics_leave_files_out() {
    let (fixture, layout) = filled().await;
    // `at` has microseconds that Delta's statistics do not: the last row of day 1 is found.
    let (rows, log) = fixture
        .query(
            &layout,
            "SELECT count(*) FROM t WHERE at >= TIMESTAMP '2024-01-03T04:59:00.000001Z'",
        )
        .await;
    assert_eq!(rows, ["1"]);
    check_report(&log, 1, &["statistics"]);
    // The source of a generated partition prunes it.
    let (rows, log) = fixture
        .query(
            &layout,
            "SELECT count(*) FROM t WHERE at < TIMESTAMP '2024-01-02T00:00:00Z'",
        )
        .await;
    assert_eq!(rows, ["100"]);
    check_report(&log, 4, &["statistics"]);
}

#[tokio::test]
async fn extremes_are_right_where_statistics_are_not() {
    let (fixture, layout) = filled().await;
    let long = "z".repeat(200);
    let mut rows = batch(0, 1, 0);
    let mut columns = rows.columns().to_vec();
    columns[2] = Arc::new(StringArray::from(vec![format!("{long}b")]));
    rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
    fixture.insert(&layout, rows).await;
    let (rows, _) = fixture
        .query(
            &layout,
            "SELECT max(at), min(at), max(title), min(user_id), count(*) FROM t",
        )
        .await;
    assert_eq!(
        rows,
        [format!(
            "2024-01-03T04:59:00.000001Z|2024-01-01T00:00:00.000001Z|{long}b|0|301"
        )]
    );
    let (rows, _) = fixture
        .query(
            &layout,
            &format!("SELECT count(*) FROM t WHERE title > '{long}a'"),
        )
        .await;
    assert_eq!(rows, ["1"]);
}

#[tokio::test]
async fn nulls_are_rows_like_others() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    let some = batch(0, 20, 0);
    let mut columns = some.columns().to_vec();
    columns[0] = Arc::new(Int64Array::new_null(20));
    columns[1] = arrow::array::new_null_array(columns[1].data_type(), 20);
    columns[3] = arrow::array::new_null_array(columns[3].data_type(), 20);
    let none = RecordBatch::try_new(some.schema(), columns).unwrap();
    fixture.insert(&layout, some).await;
    fixture.insert(&layout, none).await;
    for (predicate, count) in [
        ("user_id IS NULL", "20"),
        ("user_id IS NOT NULL", "20"),
        ("dt IS NULL", "20"),
        ("dt IS NOT NULL", "20"),
        ("dt = DATE '2024-01-01'", "20"),
        ("dt <> DATE '2024-01-01'", "0"),
        ("dt IS NULL OR user_id = 3", "21"),
        ("at IS NULL", "20"),
        ("NOT (at IS NULL)", "20"),
        ("at > TIMESTAMP '2020-01-01T00:00:00Z'", "20"),
        ("coalesce(user_id, 3) = 3", "21"),
    ] {
        let (rows, _) = fixture
            .query(&layout, &format!("SELECT count(*) FROM t WHERE {predicate}"))
            .await;
        assert_eq!(rows, [count], "{predicate}");
    }
    let (rows, _) = fixture
        .query(&layout, "SELECT dt, count(*) FROM t GROUP BY dt")
        .await;
    assert_eq!(rows, ["2024-01-01|20", "NULL|20"]);
}

#[tokio::test]
async fn one_group_per_shard() {
    let (fixture, layout) = filled().await;
    // A file that says it is of another shard than its row's, and bears no tag of ours.
    let (mut files, rows) = fixture.write(&layout, vec![batch(0, 1, 0)]).await.unwrap();
    files[0].tags.clear();
    files[0].partition_values.insert(
        "_shard".to_owned(),
        Some(((shard_of_i64(0, 4) + 1) % 4).to_string()),
    );
    fixture.commit(&layout, files, rows, statement()).await.unwrap();
    let (table, _) = fixture.table(&layout).await;
    let plan = table
        .scan(&fixture.context.state(), Some(&vec![2, 0]), &[], None)
        .await
        .unwrap();
    assert_eq!(
        group_shards(config(&plan)),
        [Some(0), Some(1), Some(2), Some(3), None]
    );
    assert_eq!(plan.output_partitioning().partition_count(), 5);
    assert_eq!(plan.schema().field(0).name(), "title");
    assert_eq!(plan.schema().fields().len(), 2);
    for key in 0..20 {
        let (rows, log) = fixture
            .query(&layout, &format!("SELECT count(*) FROM t WHERE user_id = {key}"))
            .await;
        assert_eq!(rows, [if key == 0 { "16" } else { "15" }]);
        // Three of its shard; the one of any by its statistics alone.
        let files = if key == 0 { 4 } else { 3 };
        assert_eq!(log.reports()[0].files_scanned, files, "{key}");
    }
}

#[tokio::test]
async fn tables_without_shards_are_balanced() {
    let fixture = Fixture::new();
    let mut layout = events();
    layout.sharding = None;
    fixture.store.create(&layout).await.unwrap();
    for day in 0..5 {
        fixture.insert(&layout, batch(0, 50, day)).await;
    }
    let (table, log) = fixture.table(&layout).await;
    let plan = table
        .scan(&fixture.context.state(), None, &[], None)
        .await
        .unwrap();
    assert_eq!(group_shards(config(&plan)), [None, None]);
    assert_eq!(log.reports()[0].shards_total, None);
    let rows = fixture
        .query_over(table, "SELECT count(*), sum(user_id) FROM t")
        .await;
    assert_eq!(rows.unwrap(), ["250|2125"]);
}

#[tokio::test]
async fn empty_tables_and_limits() {
    let fixture = Fixture::new();
    let layout = events();
    fixture.store.create(&layout).await.unwrap();
    let (rows, _) = fixture.query(&layout, "SELECT count(*) FROM t").await;
    assert_eq!(rows, ["0"]);
    fixture.insert(&layout, batch(0, 100, 0)).await;
    let (rows, _) = fixture.query(&layout, "SELECT title FROM t LIMIT 7").await;
    assert_eq!(rows.len(), 7);
    let (rows, _) = fixture
        .query(&layout, "SELECT count(*) FROM t WHERE dt = DATE '1999-01-01'")
        .await;
    assert_eq!(rows, ["0"]);
}

#[tokio::test]
async fn added_columns_are_null_in_older_files() {
    let (fixture, layout) = filled().await;
    let mut wider = layout.clone();
    wider.columns.push(Column::new("country", ColumnType::String));
    let id = statement();
    fixture.store.alter(&layout, &wider, id).await.unwrap();
    fixture.store.alter(&layout, &wider, id).await.unwrap();
    let narrow = batch(300, 10, 3);
    let mut columns = narrow.columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec!["de"; 10])));
    let wide = RecordBatch::try_new(wider.arrow_schema(), columns).unwrap();
    fixture.insert(&wider, wide).await;
    let (rows, _) = fixture
        .query(&wider, "SELECT country, count(*) FROM t GROUP BY country")
        .await;
    assert_eq!(rows, ["NULL|300", "de|10"]);
    let (rows, _) = fixture
        .query(&wider, "SELECT count(*) FROM t WHERE country IS NULL")
        .await;
    assert_eq!(rows, ["300"]);
}
