//! Queries: types as promised, the session's zone, the documented view, parameters, depth.

use super::*;

#[tokio::test]
async fn times_are_micros_of_utc() {
    let mut fixture = Fixture::new().await;
    let plan = fixture
        .plan("SELECT now(), CURRENT_TIMESTAMP, TIMESTAMP '2026-01-01 00:00:00', CAST('2026-01-01' AS TIMESTAMP(3)),
                 current_date, DATE '2026-01-01', now() - INTERVAL '1' HOUR, 'a'::STRING, '{}'::JSON, 1::DECIMAL(5,1), ['a']::ARRAY<STRING>")
        .await
        .unwrap();
    let types: Vec<_> = plan
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    let instant = "Timestamp(µs, \"UTC\")";
    assert_eq!(types[..4], [instant; 4]);
    assert_eq!(types[4..6], ["Date32"; 2]);
    assert_eq!(types[6], instant);
    assert_eq!(types[7..9], ["Utf8"; 2]);
    fixture
        .all(&["CREATE TABLE t AS SELECT TIMESTAMP '2026-01-01 12:00:00' AS at, DATE '2026-01-02' AS day"])
        .await;
    for condition in [
        "at = '2026-01-01 12:00:00'",
        "at = '2026-01-01T12:00:00Z'",
        "at = TIMESTAMP '2026-01-01 13:00:00+01:00'",
        "at < day",
        "at > DATE '2026-01-01'",
        "at BETWEEN '2026-01-01' AND '2026-01-02'",
        "at IN ('2026-01-01 12:00:00', '2020-01-01')",
        "CAST(at AS DATE) = '2026-01-01'",
        "at < now() AND at < CURRENT_TIMESTAMP + INTERVAL '1' DAY",
        "EXTRACT(HOUR FROM at) = 12",
        "date_trunc('day', at) = '2026-01-01'",
        "day - INTERVAL '1' DAY = '2026-01-01'",
        "CAST(at AS STRING) LIKE '2026-01-01 12:00:00%'",
        "at - INTERVAL '12' HOUR = DATE '2026-01-01'",
    ] {
        fixture
            .check(&format!("SELECT count(*) FROM t WHERE {condition}"), &["1"])
            .await;
    }
}

#[tokio::test]
async fn the_sessions_zone_reads_texts_and_cuts_days() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE TABLE t AS SELECT TIMESTAMP '2026-06-30 22:30:00Z' AS at",
            "SET TIME ZONE 'Europe/Berlin'",
        ])
        .await;
    for condition in [
        "at = '2026-07-01 00:30:00'",
        "at = TIMESTAMP '2026-07-01 00:30:00'",
        "at > DATE '2026-07-01'",
        "CAST(at AS DATE) = DATE '2026-07-01'",
        "EXTRACT(HOUR FROM at) = 0",
        "date_trunc('day', at) = '2026-07-01'",
        "date_trunc('day', at) = TIMESTAMP '2026-06-30 22:00:00Z'",
    ] {
        fixture
            .check(&format!("SELECT count(*) FROM t WHERE {condition}"), &["1"])
            .await;
    }
    // What is generated and what is built in does not depend on the session.
    fixture
        .all(&[
            "INSERT INTO cdn_logs (user_id, request_ts) VALUES (1, '2026-07-01 00:30:00')",
            "INSERT INTO batch_metrics (metric_name, date_partition, metric_value) VALUES ('m', '2026-06-30', 1)",
            "INSERT INTO realtime_metrics (metric_name, window_start, metric_value) VALUES ('m', '2026-07-01 00:30:00', 2)",
        ])
        .await;
    fixture.check("SELECT dt FROM cdn_logs", &["2026-06-30"]).await;
    fixture
        .check(
            "SELECT source, window_start FROM unified_metrics_exact",
            &["batch|2026-06-30T00:00:00Z"],
        )
        .await;
}

#[tokio::test]
async fn parameters_are_read_in_the_sessions_zone_too() {
    let mut fixture = Fixture::new().await;
    fixture.all(&["SET TIME ZONE 'Europe/Berlin'"]).await;
    let micros = 1_782_858_600_000_000; // 2026-06-30 22:30:00
    let local = ScalarValue::TimestampMicrosecond(Some(micros + 7_200_000_000), None);
    let instant = ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    let days = ScalarValue::Date32(Some(20_635)); // 2026-07-01
    for (sql, value, expected) in [
        (
            "SELECT CAST(? AS TIMESTAMP)",
            "2026-07-01 00:30:00".into(),
            "2026-06-30T22:30:00Z",
        ),
        (
            "SELECT CAST(? AS TIMESTAMP)",
            "2026-07-01 00:30:00Z".into(),
            "2026-07-01T00:30:00Z",
        ),
        ("SELECT CAST(? AS TIMESTAMP)", local, "2026-06-30T22:30:00Z"),
        (
            "SELECT CAST(? AS TIMESTAMP)",
            instant.clone(),
            "2026-06-30T22:30:00Z",
        ),
        ("SELECT CAST(? AS TIMESTAMP)", days, "2026-06-30T22:00:00Z"),
        ("SELECT CAST(? AS DATE)", instant, "2026-07-01"),
        ("SELECT CAST(? AS TIMESTAMP)", ScalarValue::Null, "NULL"),
        (
            "SELECT make_timestamp(1000000) = CAST(? AS TIMESTAMP)",
            "1970-01-01 00:00:01Z".into(),
            "true",
        ),
    ] {
        assert_eq!(
            fixture.run_with(sql, &[value]).await.unwrap(),
            [expected],
            "{sql}"
        );
    }
}

#[tokio::test]
async fn the_documented_view_and_the_exact_one() {
    let mut fixture = Fixture::new().await;
    let plan = fixture.plan("SELECT * FROM unified_metrics").await.unwrap();
    let shown = |schema: SchemaRef| -> Vec<String> {
        schema
            .fields()
            .iter()
            .map(|field| format!("{} {}", field.name(), field.data_type()))
            .collect()
    };
    let documented = [
        "metric_name Utf8",
        "window_start Timestamp(µs, \"UTC\")",
        "metric_value Float64",
        "source Utf8",
    ];
    assert_eq!(shown(plan.schema()), documented);
    let plan = fixture.plan("SELECT * FROM unified_metrics_exact").await.unwrap();
    let mut exact = documented.to_vec();
    exact.extend(["window_end Timestamp(µs, \"UTC\")", "is_final Boolean"]);
    assert_eq!(shown(plan.schema()), exact);

    fixture
        .all(&[
            "INSERT INTO batch_metrics SELECT 'm', CAST(CURRENT_DATE - INTERVAL '3' DAY AS DATE), 30, now()",
            "INSERT INTO realtime_metrics SELECT 'm', 1, at, at + INTERVAL '5' MINUTE, now()
             FROM (VALUES (now() - INTERVAL '3' MINUTE), (now() - INTERVAL '26' HOUR), (now() - INTERVAL '3' DAY)) AS v(at)",
        ])
        .await;
    // The documented view has a hole where the second row is; the exact one counts the day of the
    // third once, from the batch layer.
    fixture
        .check(
            "SELECT source, count(*) FROM unified_metrics GROUP BY 1 ORDER BY 1",
            &["batch|1", "realtime|1"],
        )
        .await;
    fixture
        .check(
            "SELECT source, is_final, count(*) FROM unified_metrics_exact GROUP BY 1, 2 ORDER BY 1",
            &["batch|true|1", "realtime|false|2"],
        )
        .await;
    fixture
        .check(
            "SELECT window_end = window_start + INTERVAL '1' DAY FROM unified_metrics_exact WHERE is_final",
            &["true"],
        )
        .await;
}

#[tokio::test]
async fn filters_on_the_documented_view_reach_both_tables() {
    let fixture = Fixture::new().await;
    let Plan::Query(plan) = fixture
        .plan("SELECT * FROM unified_metrics WHERE window_start >= TIMESTAMP '2026-01-05 00:00:00'")
        .await
        .unwrap()
    else {
        panic!("no query");
    };
    let shown = fixture
        .state()
        .optimize(&plan)
        .unwrap()
        .display_indent()
        .to_string();
    let scans: Vec<_> = shown.lines().filter(|line| line.contains("TableScan")).collect();
    assert_eq!(scans.len(), 2, "{shown}");
    // MemTable takes no filters: each stands right above its scan.
    assert_eq!(shown.matches("Filter:").count(), 2, "{shown}");
    assert!(
        shown.contains("batch_metrics.date_partition >= Date32(\"2026-01-05\")")
            || shown.contains("CAST(m.date_partition AS Timestamp"),
        "{shown}"
    );
}

#[tokio::test]
async fn columns_may_be_called_the_same() {
    let mut fixture = Fixture::new().await;
    for (sql, expected) in [
        (
            "SELECT a, a::STRING, a, 'x' AS a FROM (VALUES (1)) AS t(a)",
            "1|1|1|x",
        ),
        ("SELECT 1, 1 UNION ALL SELECT 2, 3 ORDER BY 1 LIMIT 1", "1|1"),
        ("SELECT count(*), count(*) FROM (VALUES (1)) AS t(a)", "1|1"),
    ] {
        fixture.check(sql, &[expected]).await;
    }
    let plan = fixture
        .plan("SELECT a, a, t.a FROM (VALUES (1)) AS t(a)")
        .await
        .unwrap();
    let schema = plan.schema();
    let names: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["a", "a_1", "a_2"]);
}

#[tokio::test]
async fn columns_are_named_by_the_text_of_their_expressions() {
    let fixture = Fixture::new().await;
    let plan = fixture
        .plan(
            "SELECT COUNT_IF(k > 1), max_by(k, t.v), 1.0/0, COALESCE(k, 0), (SELECT count(*) FROM (VALUES (1)) u(k) \
             WHERE u.k = 1), sum(k) OVER w FROM (VALUES (1, 2)) t(k, v) JOIN (VALUES (1)) s(k) USING (k) \
             GROUP BY k WINDOW w AS (ORDER BY k)",
        )
        .await
        .unwrap();
    let schema = plan.schema();
    let fields = schema.fields().iter();
    let names: Vec<_> = fields.map(|field| field.name().as_str()).collect();
    assert_eq!(
        names,
        [
            "count_if(k > 1)",
            "max_by(k, t.v)",
            "1.0 / 0",
            "coalesce(k, 0)",
            "(SELECT count(*) FROM (VALUES (1)) u (k) WHERE u.k = 1)",
            "sum(k) OVER w",
        ]
    );
}

#[tokio::test]
async fn json_arrays_and_functions() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&["INSERT INTO raw_events (event_id, event_data, ingestion_ts) VALUES ('e', '{\"a\": {\"b\": \"x\"}, \"n\": 5}', now())"])
        .await;
    for (expr, expected) in [
        ("event_data->'a'->>'b'", "x"),
        ("event_data->>'n' = '5'", "true"),
        ("event_data ? 'a'", "true"),
        ("event_data ? 'z'", "false"),
        ("(event_data->>'n')::INT + 1", "6"),
        ("[1, 2][2] + array_length(ARRAY['a', 'b'])", "4"),
        ("7 / 2", "3"),
        ("lower('ABC') || 'd'", "abcd"),
        ("sum(1) OVER ()", "1"),
    ] {
        fixture
            .check(&format!("SELECT {expr} FROM raw_events"), &[expected])
            .await;
    }
    fixture
        .check(
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n",
            &["6"],
        )
        .await;
    fixture
        .check(
            "SELECT x FROM (VALUES (1), (NULL), (0)) AS v(x) ORDER BY x",
            &["0", "1", "NULL"],
        )
        .await;
}

#[tokio::test]
async fn parameters_are_typed_by_their_places() {
    async fn check(fixture: &Fixture, sql: &str, expected: &[&str]) {
        let types = fixture.types(sql).await;
        assert_eq!(types, expected, "{sql}");
    }
    let mut fixture = Fixture::new().await;
    let instant = "Timestamp(µs, \"UTC\")";
    check(&fixture, "SELECT ?, ?", &["Utf8", "Utf8"]).await;
    check(
        &fixture,
        "SELECT * FROM cdn_logs WHERE user_id = ? AND request_ts > ?",
        &["Int64", instant],
    )
    .await;
    check(
        &fixture,
        "SELECT * FROM cdn_logs WHERE user_id IN (?, ?) LIMIT ?",
        &["Int64", "Int64", "Int64"],
    )
    .await;
    check(
        &fixture,
        "SELECT * FROM cdn_logs WHERE user_country LIKE ? AND dt BETWEEN ? AND ?",
        &["Utf8", "Date32", "Date32"],
    )
    .await;
    check(&fixture, "SELECT $1::INT + 1, $2", &["Int32", "Utf8"]).await;
    check(&fixture, "SELECT abs(?)", &["Float64"]).await;
    check(&fixture, "SELECT upper(?)", &["Utf8"]).await;
    check(&fixture, "SELECT $1 WHERE $3 = 1", &["Utf8", "Utf8", "Int64"]).await;
    check(
        &fixture,
        "SELECT * FROM cdn_logs WHERE http_status = $1 OR user_id = $1 OR user_id IN (SELECT user_id FROM cdn_logs WHERE title_id = $2)",
        &["Int64", "Int64"],
    )
    .await;
    check(
        &fixture,
        "SELECT $10, $9, $2, $1, $3, $4, $5, $6, $7, $8 WHERE 1 = $10",
        &[
            "Utf8", "Utf8", "Utf8", "Utf8", "Utf8", "Utf8", "Utf8", "Utf8", "Utf8", "Int64",
        ],
    )
    .await;
    check(
        &fixture,
        "EXPLAIN SELECT * FROM cdn_logs WHERE user_id = ?",
        &["Int64"],
    )
    .await;
    check(&fixture, "SHOW TABLES", &[]).await;

    fixture
        .all(&["INSERT INTO cdn_logs (user_id, request_ts, http_status) VALUES (1, '2026-01-01', 200), (2, '2026-01-02', 404)"])
        .await;
    let sql = "SELECT user_id, ? FROM cdn_logs WHERE request_ts >= ? AND http_status = ? LIMIT ?";
    let rows = fixture
        .run_with(
            sql,
            &[
                ScalarValue::from("x"),
                ScalarValue::from("2026-01-02"),
                ScalarValue::Int64(Some(404)),
                ScalarValue::Int32(Some(5)),
            ],
        )
        .await
        .unwrap();
    assert_eq!(rows, ["2|x"]);
    let rows = fixture
        .run_with(
            "SELECT ? IS NULL, ?",
            &[ScalarValue::Null, ScalarValue::Utf8(None)],
        )
        .await
        .unwrap();
    assert_eq!(rows, ["true|NULL"]);
    // A number that the column cannot hold equals none of its values.
    let rows = fixture
        .run_with(
            "SELECT * FROM cdn_logs WHERE http_status = ?",
            &[ScalarValue::Int64(Some(1 << 40))],
        )
        .await
        .unwrap();
    assert!(rows.is_empty(), "{rows:?}");
}

#[tokio::test]
async fn parameters_without_a_type_of_their_own_have_that_of_the_value() {
    async fn check(fixture: &mut Fixture, sql: &str, params: &[ScalarValue], expected: &[&str]) {
        // It can be prepared without values.
        assert_eq!(fixture.types(sql).await.len(), params.len(), "{sql}");
        match fixture.run_with(sql, params).await {
            Ok(rows) => assert_eq!(rows, expected, "{sql}"),
            Err(error) => panic!("{sql}: {error:?}"),
        }
    }
    let mut fixture = Fixture::new().await;
    let fixture = &mut fixture;
    let (one, two) = (|| ScalarValue::from(1_i64), || ScalarValue::from(2_i64));
    let text = |text: &str| ScalarValue::from(text);
    check(fixture, "SELECT ?", &[one()], &["1"]).await;
    check(fixture, "SELECT ? + ?, -?", &[one(), two(), one()], &["3|-1"]).await;
    check(
        fixture,
        "SELECT round(?, ?)",
        &[ScalarValue::from(1.256), two()],
        &["1.26"],
    )
    .await;
    check(fixture, "SELECT substr('abc', ?, ?)", &[two(), one()], &["b"]).await;
    check(
        fixture,
        "SELECT lpad(?, ?, ?)",
        &[text("a"), two(), text("x")],
        &["xa"],
    )
    .await;
    check(
        fixture,
        "SELECT sum(CASE WHEN v > ? THEN ? ELSE ? END) FROM (VALUES (1), (2)) t(v)",
        &[one(), ScalarValue::from(1.5), ScalarValue::from(0.25)],
        &["1.75"],
    )
    .await;
    check(
        fixture,
        "SELECT a + 1, b FROM (VALUES (?, ?), (?, ?)) t(a, b)",
        &[one(), text("x"), two(), text("y")],
        &["2|x", "3|y"],
    )
    .await;
    check(
        fixture,
        "SELECT ? AS v UNION ALL SELECT ? ORDER BY v",
        &[two(), one()],
        &["1", "2"],
    )
    .await;
    check(
        fixture,
        "SELECT v / ?, count(*) FROM (VALUES (10), (11)) t(v) GROUP BY v / ?",
        &[two(), two()],
        &["5|2"],
    )
    .await;
    check(
        fixture,
        "SELECT date_part(?, TIMESTAMP '2026-03-01 00:00:00')",
        &[text("month")],
        &["3"],
    )
    .await;
    check(
        fixture,
        "SELECT sum(value) FROM generate_series(?, ?)",
        &[one(), two()],
        &["3"],
    )
    .await;
    check(fixture, "SELECT 1 WHERE ?", &[ScalarValue::from(true)], &["1"]).await;
    check(fixture, "SELECT 1 WHERE 1 < ?", &[ScalarValue::from(1.5)], &["1"]).await;
    check(
        fixture,
        "SELECT coalesce(?, ?)",
        &[ScalarValue::Null, one()],
        &["1"],
    )
    .await;
}
