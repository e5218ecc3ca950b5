//! Errors of planning: code, place and hint.

use super::*;

#[tokio::test]
async fn unknown_names_have_a_place_and_a_hint() {
    async fn check(fixture: &mut Fixture, sql: &str, code: &str, column: Option<u64>, hint: Option<&str>) {
        let error = fixture.refused(sql, code).await;
        assert_eq!(
            error.position().map(|position| position.column),
            column,
            "{sql}: {error:?}"
        );
        match hint {
            Some(hint) => assert!(
                error.hint().unwrap_or_default().contains(hint),
                "{sql}: {error:?}"
            ),
            None => assert_eq!(error.hint(), None, "{sql}"),
        }
    }
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE TABLE \"Mixed\" (\"Case\" INT)",
            "CREATE SCHEMA s",
            "CREATE TABLE s.elsewhere (a INT)",
        ])
        .await;
    let f = &mut fixture;
    check(f, "SELECT * FROM cdn_log", "42P01", Some(15), Some("cdn_logs")).await;
    check(
        f,
        "SELECT * FROM public.cdn_log",
        "42P01",
        Some(15),
        Some("cdn_logs"),
    )
    .await;
    check(
        f,
        "SELECT * FROM Mixed",
        "42P01",
        Some(15),
        Some("\"Mixed\" in double quotes"),
    )
    .await;
    check(
        f,
        "SELECT * FROM elsewhere",
        "42P01",
        Some(15),
        Some("s.elsewhere"),
    )
    .await;
    check(
        f,
        "SELECT * FROM publik.cdn_logs",
        "3F000",
        Some(15),
        Some("public"),
    )
    .await;
    check(f, "SELECT * FROM other.public.cdn_logs", "3D000", None, None).await;
    check(
        f,
        "SELECT user_idd FROM cdn_logs",
        "42703",
        Some(8),
        Some("\"user_id\""),
    )
    .await;
    check(
        f,
        "SELECT 1 FROM cdn_logs c WHERE c.user_idd = 1",
        "42703",
        Some(32),
        Some("\"user_id\""),
    )
    .await;
    check(
        f,
        "SELECT 1 FROM cdn_logs c WHERE d.user_id = 1",
        "42703",
        Some(32),
        Some("reads c"),
    )
    .await;
    check(
        f,
        "SELECT Case FROM \"Mixed\"",
        "42703",
        Some(8),
        Some("\"Case\""),
    )
    .await;
    check(
        f,
        "SELECT \"case\" FROM \"Mixed\"",
        "42703",
        Some(8),
        Some("\"Case\""),
    )
    .await;
    check(
        f,
        "SELECT user_id FROM cdn_logs a JOIN cdn_logs b ON true",
        "42702",
        Some(8),
        Some("alias"),
    )
    .await;
    check(
        f,
        "SELECT 1,\n  summ(user_id) FROM cdn_logs",
        "42883",
        Some(3),
        Some("sum"),
    )
    .await;
    check(
        f,
        "SELECT * FROM generate_serie(1, 2)",
        "42883",
        None,
        Some("generate_series"),
    )
    .await;
    check(
        f,
        "SELECT * FROM information_schema.table",
        "42P01",
        Some(15),
        Some("tables"),
    )
    .await;
}

#[tokio::test]
async fn other_errors_have_their_codes() {
    let mut fixture = Fixture::new().await;
    for (sql, code) in [
        ("SELECT user_id, count(*) FROM cdn_logs", "42803"),
        ("SELECT abs('a', 'b', 'c')", "42883"),
        ("SELECT CAST('x' AS INT)", "22P02"),
        ("SELECT CAST(300 AS TINYINT)", "22003"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT CAST(1 AS NOTATYPE)", "42704"),
        ("SELECT 1 UNION SELECT 1, 2", "42601"),
        ("SET watershed.exection = 'local'", "42704"),
        ("SET watershed.execution = 'remote'", "22023"),
        ("SHOW nothing", "42704"),
        ("USE nowhere", "3F000"),
        ("DESCRIBE nothing", "42P01"),
    ] {
        let error = match fixture.run(sql).await {
            Err(error) => error,
            Ok(lines) => panic!("{sql}: {lines:?}"),
        };
        println!(
            "{sql}: {} {error} | {:?} | {:?}",
            error.code(),
            error.detail(),
            error.hint()
        );
        assert_eq!(error.code().as_str(), code, "{sql}: {error:?}");
    }
}
