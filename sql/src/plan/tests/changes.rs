//! DELETE and UPDATE: what they give to live tables, and what they are refused on.

use super::*;

const LAYERS: &str = "INSERT INTO cache_layers VALUES ('a', 'x', 1, 10, 0.5), ('b', 'x', 2, NULL, NULL)";

#[tokio::test]
async fn the_rows_that_go() {
    let mut fixture = Fixture::new().await;
    fixture.all(&[LAYERS]).await;
    fixture
        .check(
            "DELETE FROM cache_layers AS l WHERE l.ttl_seconds > 1 OR max_size_mb > (SELECT 100)",
            &["b|x|2|NULL|NULL"],
        )
        .await;
    fixture
        .check(
            "DELETE FROM public.cache_layers",
            &["a|x|1|10|0.5", "b|x|2|NULL|NULL"],
        )
        .await;
    let sql = "DELETE FROM cache_layers WHERE layer_name = ?";
    assert!(!fixture.plan(sql).await.unwrap().is_query());
    assert_eq!(
        fixture.run_with(sql, &[ScalarValue::from("a")]).await.unwrap(),
        ["a|x|1|10|0.5"]
    );
}

#[tokio::test]
async fn rows_as_they_are_and_as_they_will_be() {
    let mut fixture = Fixture::new().await;
    fixture.all(&[LAYERS]).await;
    fixture
        .check(
            "UPDATE cache_layers SET ttl_seconds = ttl_seconds * 10, max_size_mb = '7', cache_type = NULL
             WHERE layer_name = 'a'",
            &["a|x|1|10|0.5|a|NULL|10|7|0.5"],
        )
        .await;
    // Columns are read as they were before.
    fixture
        .check(
            "UPDATE cache_layers AS l SET layer_name = l.cache_type, cache_type = l.layer_name WHERE max_size_mb IS NULL",
            &["b|x|2|NULL|NULL|x|b|2|NULL|NULL"],
        )
        .await;
    let sql = "UPDATE cache_layers SET ttl_seconds = ?, hit_rate_target = ? / 2 WHERE layer_name = ?";
    assert_eq!(fixture.types(sql).await, ["Int32", "Int64", "Utf8"]);
    let sql = "UPDATE cache_layers SET ttl_seconds = ?, hit_rate_target = ? WHERE layer_name = ?";
    let params = [
        ScalarValue::from("9"),
        ScalarValue::Float64(Some(0.25)),
        ScalarValue::from("b"),
    ];
    assert_eq!(
        fixture.run_with(sql, &params).await.unwrap(),
        ["b|x|2|NULL|NULL|b|x|9|NULL|0.25"]
    );
    // An instant in the session's zone.
    fixture
        .all(&[
            "SET TIME ZONE 'Europe/Berlin'",
            "INSERT INTO cache_invalidation_events (cache_key) VALUES ('t')",
        ])
        .await;
    fixture
        .check(
            "UPDATE cache_invalidation_events SET event_id = 'e', processed_at = '2026-01-01 01:00:00'",
            &["NULL|t|NULL|NULL|NULL|e|t|NULL|NULL|2026-01-01T00:00:00Z"],
        )
        .await;
}

#[tokio::test]
async fn what_is_refused() {
    let mut fixture = Fixture::new().await;
    fixture.all(&["CREATE TABLE t (a INT)"]).await;
    for (sql, code) in [
        ("DELETE FROM t", "0A000"),
        ("UPDATE t SET a = 1", "0A000"),
        ("DELETE FROM cdn_logs WHERE user_id = 1", "0A000"),
        ("DELETE FROM unified_metrics", "42809"),
        ("UPDATE nothing SET a = 1", "42P01"),
        ("DELETE FROM cache_layers WHERE ttl = 1", "42703"),
        ("UPDATE cache_layers SET ttl = 1", "42703"),
        (
            "UPDATE cache_layers SET ttl_seconds = 1, ttl_seconds = 2",
            "42701",
        ),
        ("UPDATE cache_layers SET ttl_seconds = true", "42804"),
        ("UPDATE cache_layers SET ttl_seconds = other.a FROM t", "0A000"),
    ] {
        fixture.refused(sql, code).await;
    }
    let error = fixture.refused("DELETE FROM t WHERE a = 1", "0A000").await;
    assert_eq!(error.position().unwrap().column, 13);
    assert!(error.hint().unwrap().contains("DROP TABLE"), "{error:?}");
}

#[tokio::test]
async fn what_they_need() {
    let mut fixture = Fixture::new().await;
    // She knows of the table.
    fixture
        .all(&["CREATE USER ada", "GRANT INSERT ON cache_layers TO ada"])
        .await;
    fixture.user = Some("ada".to_owned());
    let statements = [
        ("DELETE", "DELETE FROM cache_layers"),
        ("UPDATE", "UPDATE cache_layers SET ttl = 1"),
    ];
    for (privilege, sql) in statements {
        let error = fixture.refused(sql, "42501").await;
        assert_eq!(
            error.message(),
            format!("permission denied: {privilege} on \"public.cache_layers\"")
        );
    }
    fixture.user = None;
    fixture
        .all(&["GRANT DELETE, UPDATE ON cache_layers TO ada"])
        .await;
    fixture.user = Some("ada".to_owned());
    // They read what they change, and may read more.
    for (_, sql) in statements {
        let error = fixture.refused(sql, "42501").await;
        assert!(error.message().contains("SELECT"), "{error:?}");
    }
    fixture.user = None;
    fixture.all(&["GRANT SELECT ON cache_layers TO ada"]).await;
    fixture.user = Some("ada".to_owned());
    fixture.check("DELETE FROM cache_layers", &[]).await;
    fixture
        .refused(
            "DELETE FROM cache_layers WHERE ttl_seconds = (SELECT count(*) FROM cdn_logs)",
            "42P01",
        )
        .await;
}
