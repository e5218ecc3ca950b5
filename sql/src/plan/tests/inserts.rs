//! INSERT and CREATE TABLE … AS: rows become exactly the table's columns.

use super::*;

#[tokio::test]
async fn columns_are_completed_and_generated() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "INSERT INTO cdn_logs (request_id, user_id, request_ts) VALUES ('a', 7, '2026-03-01 23:59:59.123456')",
            "INSERT INTO cdn_logs (request_ts, user_id, dt) VALUES (TIMESTAMP '2026-03-02 00:00:00', 8, NULL), (NULL, 9, '2026-01-01')",
            "INSERT INTO cdn_logs SELECT request_id, user_id + 10, title_id, cdn_edge_location, response_time_ms, bytes_transferred, http_status, request_ts, user_country, dt FROM cdn_logs WHERE user_id = 7",
        ])
        .await;
    fixture
        .check(
            "SELECT request_id, user_id, request_ts, dt FROM cdn_logs ORDER BY user_id",
            &[
                "a|7|2026-03-01T23:59:59.123456Z|2026-03-01",
                "NULL|8|2026-03-02T00:00:00Z|2026-03-02",
                "NULL|9|NULL|2026-01-01",
                "a|17|2026-03-01T23:59:59.123456Z|2026-03-01",
            ],
        )
        .await;
}

#[tokio::test]
async fn values_become_what_the_column_is() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE TABLE t (b BOOLEAN, i TINYINT, n BIGINT, f FLOAT, d DECIMAL(6, 2), s STRING, j JSON, x BINARY,
               day DATE, at TIMESTAMP, tags ARRAY<STRING>, nested ARRAY<ARRAY<INT>>)",
            "INSERT INTO t VALUES (true, 127, '9000000000', 1, 1.239, 5, '{\"a\": 1}', 'x', '2026-01-02', '2026-01-02T03:04:05+02:00', ARRAY['a', NULL], [[1], []])",
            "INSERT INTO t (tags, nested) VALUES ('[\"a\", \"b c\"]', '[[1, 2], [3]]'), ('{a,b}', NULL), ('[]', '{}')",
            "INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        ])
        .await;
    fixture
        .check(
            "SELECT b, i, n, f, s, j, day, at, tags, nested FROM t",
            &[
                "true|127|9000000000|1.0|5|{\"a\": 1}|2026-01-02|2026-01-02T01:04:05Z|[a, NULL]|[[1], []]",
                "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|[a, b c]|[[1, 2], [3]]",
                "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|[a, b]|NULL",
                "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|[]|[]",
                "NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL",
            ],
        )
        .await;
    for (sql, code) in [
        ("INSERT INTO t (i) VALUES (128)", "22003"),
        ("INSERT INTO t (i) VALUES ('many')", "22P02"),
        ("INSERT INTO t (i) SELECT 1000", "22003"),
        ("INSERT INTO t (i) VALUES (1e3)", "22003"),
        ("INSERT INTO t (day) VALUES ('soon')", "22007"),
        ("INSERT INTO t (at) VALUES ('soon')", "22007"),
        ("INSERT INTO t (tags) VALUES ('a')", "22P02"),
        ("INSERT INTO t (tags) SELECT 'a'", "42804"),
        ("INSERT INTO t (day) SELECT 5", "42804"),
        ("INSERT INTO t (b) SELECT 5", "42804"),
        ("INSERT INTO t (n) SELECT now()", "42804"),
        ("INSERT INTO t (i, i) VALUES (1, 2)", "42701"),
        ("INSERT INTO t (j, ii) VALUES (1, 2)", "42703"),
        ("INSERT INTO t (b, i) VALUES (true)", "42601"),
        ("INSERT INTO t VALUES (true)", "42601"),
        ("INSERT INTO t (b, i) SELECT true", "42601"),
        ("INSERT INTO realtime_metrics (metric_name) VALUES ('m')", "23502"),
        ("INSERT INTO unified_metrics VALUES (1)", "42809"),
        ("INSERT INTO nothing VALUES (1)", "42P01"),
    ] {
        fixture.refused(sql, code).await;
    }
}

#[tokio::test]
async fn tables_from_queries() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE TABLE t CLUSTERED BY (k) INTO 4 BUCKETS AS
             SELECT x AS k, CAST(x AS DECIMAL(10, 2)) AS d, now() AS at, [x] AS list, '{}' AS s, NULL AS nothing
             FROM generate_series(1, 3) AS g(x)",
            "CREATE TABLE events AS SELECT event_data, ingestion_ts FROM raw_events",
        ])
        .await;
    fixture
        .check("SELECT count(*), sum(k), max(list) FROM t", &["3|6|[3]"])
        .await;
    fixture
        .check(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name IN ('t', 'events') ORDER BY table_name, ordinal_position",
            &[
                "event_data|JSON",
                "ingestion_ts|TIMESTAMP",
                "k|BIGINT",
                "d|DECIMAL(10, 2)",
                "at|TIMESTAMP",
                "list|ARRAY<BIGINT>",
                "s|STRING",
                "nothing|STRING",
            ],
        )
        .await;
    fixture.refused("CREATE TABLE t AS SELECT 1 AS a", "42P07").await;
    fixture
        .refused("CREATE TABLE u AS SELECT 1 AS a, 2 AS a", "42701")
        .await;
    assert_eq!(
        fixture
            .run("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a")
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn parameters_of_inserts() {
    let mut fixture = Fixture::new().await;
    let sql = "INSERT INTO batch_metrics VALUES (?, ?, ?, ?), ('b', '2026-01-02', ? * 2, now())";
    assert_eq!(
        fixture.types(sql).await,
        ["Utf8", "Date32", "Float64", "Timestamp(µs, \"UTC\")", "Int64"]
    );
    let params = [
        ScalarValue::from("a"),
        ScalarValue::from("2026-01-01"),
        ScalarValue::Int64(Some(5)),
        ScalarValue::Null,
        ScalarValue::Float64(Some(2.0)),
    ];
    fixture.run_with(sql, &params).await.unwrap();
    fixture
        .check(
            "SELECT metric_name, date_partition, metric_value, computed_at IS NULL FROM batch_metrics",
            &["a|2026-01-01|5.0|true", "b|2026-01-02|4.0|false"],
        )
        .await;
    let error = fixture.run_with(sql, &params[..3]).await.unwrap_err();
    assert_eq!(error.code().as_str(), "42P02");
    let mut wrong = params.clone();
    wrong[1] = ScalarValue::from("soon");
    let error = fixture.run_with(sql, &wrong).await.unwrap_err();
    assert_eq!(error.code().as_str(), "22007", "{error:?}");
    assert!(error.message().contains("$2"), "{error:?}");
}
