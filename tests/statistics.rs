//! What the optimizer answers from statistics equals what the rows say.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::harness::{Cluster, Options, Session};

/// More than the size from which files are cut into byte ranges.
const ROWS: u32 = 60_000;
const COLUMNS: [&str; 5] = ["id", "x", "name", "at", "sparse"];

/// Makes a table of these columns with a file for each of `files` inserts.
fn fill(session: &mut Session, table: &str, clauses: &str, files: u32) {
    session.run(&format!(
        "CREATE TABLE {table} (id BIGINT, x DOUBLE, name STRING, at TIMESTAMP, sparse INT, part INT) {clauses}"
    ));
    let share = ROWS / files;
    for file in 0..files {
        session.run(&format!(
            "INSERT INTO {table} SELECT value, CASE WHEN value % 100 = 7 THEN CAST('NaN' AS DOUBLE) \
             WHEN value % 5 = 0 THEN NULL ELSE CAST(value AS DOUBLE) / 8 END, \
             md5(CAST(value AS STRING)) || md5(CAST(value + 1 AS STRING)), \
             to_timestamp_micros(value * 1000003), CASE WHEN {file} = 1 THEN value END, value % 3 \
             FROM generate_series({}, {}) AS s(value)",
            file * share + 1,
            (file + 1) * share
        ));
    }
}

/// A file of another writer, with several row groups.
fn foreign(path: &std::path::Path) {
    let column = |values: Vec<Option<f64>>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let rows = i64::from(ROWS);
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "id",
            Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef,
            true,
        ),
        (
            "x",
            column(
                (0..rows)
                    .map(|value| match value % 4 {
                        0 => None,
                        1 => Some(f64::NAN),
                        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                        _ => Some(value as f64 - 100.0),
                    })
                    .collect(),
            ),
            true,
        ),
        (
            "name",
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|value| format!("{:060}", value * 7919 % rows)),
            )) as ArrayRef,
            true,
        ),
        (
            "at",
            Arc::new(TimestampMillisecondArray::from_iter_values(
                (0..rows).map(|value| value * 1_000),
            )) as ArrayRef,
            true,
        ),
        (
            "sparse",
            Arc::new(Int64Array::from_iter(
                (0..rows).map(|value| (value > rows / 2).then_some(value)),
            )) as ArrayRef,
            true,
        ),
    ])
    .unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(7_000))
        .set_statistics_truncate_length(Some(8))
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Compares what statistics may answer with the same behind a predicate that is not known before it runs.
fn check(session: &mut Session, from: &str, each: bool, problems: &mut Vec<String>) {
    let mut aggregates = vec!["count(*)".to_owned(), "count(1)".to_owned()];
    for column in COLUMNS {
        for function in ["count", "min", "max"] {
            aggregates.push(format!("{function}({column})"));
        }
    }
    let together = aggregates.join(", ");
    match each {
        // Statistics answer all aggregates of a SELECT or none, so each has its turn.
        true => aggregates.push(together),
        false => aggregates = vec![together],
    }
    for list in aggregates {
        same(session, &list, from, problems);
    }
}

fn same(session: &mut Session, aggregates: &str, from: &str, problems: &mut Vec<String>) {
    let (source, condition) = from.split_once(" WHERE ").unwrap_or((from, "true"));
    let quick = format!("SELECT {aggregates} FROM {source} WHERE {condition}").replace(" WHERE true", "");
    let slow = format!("SELECT {aggregates} FROM {source} WHERE ({condition}) AND random() >= 0");
    let (quick_rows, slow_rows) = (session.rows(&quick), session.rows(&slow));
    if quick_rows != slow_rows {
        problems.push(format!("{quick}\n  {quick_rows:?}, by its rows {slow_rows:?}"));
    }
}

#[test]
fn they_answer_what_the_rows_say() {
    let cluster = Cluster::start(&Options::executors(2));
    let folder = tempfile::tempdir().unwrap();
    let mut session = cluster.session();
    fill(&mut session, "plain", "", 1);
    fill(&mut session, "several", "", 3);
    fill(&mut session, "sharded", "CLUSTERED BY (id) INTO 4 BUCKETS", 2);
    fill(&mut session, "partitioned", "PARTITIONED BY (part)", 2);
    fill(
        &mut session,
        "both",
        "PARTITIONED BY (part) CLUSTERED BY (id) INTO 4 BUCKETS",
        2,
    );
    let file = folder.path().join("foreign.parquet");
    foreign(&file);
    session.run(&format!(
        "CREATE EXTERNAL TABLE foreign STORED AS PARQUET LOCATION '{}'",
        file.display()
    ));
    let mut problems = Vec::new();
    for path in ["auto", "pipelined"] {
        session.run(&format!("SET watershed.execution = '{path}'"));
        let each = path == "auto";
        for table in ["plain", "several", "sharded", "partitioned", "both", "foreign"] {
            check(&mut session, table, each, &mut problems);
        }
        for filtered in [
            "plain WHERE id > 0",
            "several WHERE id <= 20000",
            "partitioned WHERE part = 1",
            "both WHERE part = 1",
            "foreign WHERE id >= 7000",
            "(SELECT id, x, name, at, sparse FROM plain UNION ALL SELECT id, x, name, at, sparse FROM several)",
        ] {
            check(&mut session, filtered, false, &mut problems);
            same(&mut session, "count(*)", filtered, &mut problems);
        }
        for limited in [
            "(SELECT * FROM plain LIMIT 100)",
            "(SELECT * FROM several OFFSET 59990)",
        ] {
            // Which rows these are is open, and how many is not.
            same(&mut session, "count(*)", limited, &mut problems);
        }
    }
    assert!(
        problems.is_empty(),
        "{} differ:\n{}",
        problems.len(),
        problems.join("\n")
    );
    assert_eq!(session.value("SELECT count(*) FROM plain"), ROWS.to_string());
}
