//! Definitions: the documented ones, again and again, and that what is shown gives the same again.

use super::*;
use crate::dialect::show_create;

const DOCUMENTED: &str = include_str!("../../catalog/documented.sql");

#[tokio::test]
async fn the_documented_statements_run_again_and_again() {
    let mut fixture = Fixture::new().await;
    let statements = parse(DOCUMENTED).unwrap();
    assert_eq!(statements.len(), 18);
    for _ in 0..2 {
        for parsed in &statements {
            let notices = fixture
                .run(&parsed.text)
                .await
                .unwrap_or_else(|error| panic!("{}: {error:?}", parsed.text));
            assert!(notices[0].contains("built in"), "{}: {notices:?}", parsed.text);
        }
    }
    assert_eq!(fixture.store.current().version, 1);
}

#[tokio::test]
async fn documented_data_tables_are_dropped_and_made_anew() {
    let mut fixture = Fixture::new().await;
    for parsed in parse(DOCUMENTED).unwrap() {
        let name = match &parsed.statement {
            Statement::CreateTable(table) => table.name.name.clone(),
            Statement::CreateView(view) => {
                fixture
                    .all(&[&format!("DROP VIEW {}", view.name), &parsed.text])
                    .await;
                continue;
            }
            other => panic!("{other:?}"),
        };
        let before = fixture.store.current();
        let before = before.object(PUBLIC_SCHEMA, &name).unwrap();
        let Object::Table(before) = before else {
            fixture.refused(&format!("DROP TABLE {name}"), "42809").await;
            continue;
        };
        fixture.all(&[&format!("DROP TABLE {name}"), &parsed.text]).await;
        let after = fixture.store.current();
        let Some(Object::Table(after)) = after.object(PUBLIC_SCHEMA, &name) else {
            panic!("{name} is gone");
        };
        // The same layout under a new identity.
        assert_ne!(after.layout.id, before.layout.id);
        assert!(after.builtin);
        assert_eq!(after.layout.columns, before.layout.columns);
        assert_eq!(after.layout.sharding, before.layout.sharding);
        assert_eq!(after.layout.shard_map, before.layout.shard_map);
        assert_eq!(fixture.run(&parsed.text).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn other_definitions_of_documented_names_are_refused() {
    let mut fixture = Fixture::new().await;
    let error = fixture
        .refused("CREATE TABLE service_registry (a INT)", "42P07")
        .await;
    assert!(error.detail().unwrap().contains("\"service_name\""), "{error:?}");
    let error = fixture
        .refused("CREATE TABLE batch_metrics (metric_name STRING)", "42P07")
        .await;
    assert!(error.hint().unwrap().contains("DROP TABLE"), "{error:?}");
    fixture
        .refused("CREATE VIEW unified_metrics AS SELECT 1 AS a", "42P07")
        .await;
    fixture
        .all(&[
            "CREATE TABLE IF NOT EXISTS service_registry (a INT)",
            "CREATE OR REPLACE VIEW unified_metrics AS SELECT 1 AS a",
        ])
        .await;
    fixture.check("SELECT * FROM unified_metrics", &["1"]).await;
}

#[tokio::test]
async fn what_is_shown_gives_the_same_again() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE SCHEMA \"My Schema\"",
            "CREATE TABLE a (k BIGINT PRIMARY KEY, \"Order\" STRUCT<x INT, \"Y z\" ARRAY<STRING>>, \"from\" STRING NOT NULL)",
            "CREATE TABLE b (user_id BIGINT, at TIMESTAMP COMMENT 'it''s', p STRING,
               day DATE GENERATED ALWAYS AS (CAST(at AS DATE)))
             PARTITIONED BY (day, p) CLUSTERED BY (user_id) SORTED BY (at) INTO 8 BUCKETS",
            "CREATE TABLE c (title_id BIGINT, d DECIMAL(10, 3)) WITH (shard_key = 'title_id', shards = 4)",
            "CREATE TABLE d (x INT, y JSON) SORTED BY (x)",
            "CREATE EXTERNAL TABLE e (a INT, b STRING) STORED AS CSV PARTITIONED BY (b) LOCATION '/x/''y' OPTIONS (has_header true)",
            "CREATE EXTERNAL TABLE f STORED AS PARQUET LOCATION 's3://b/x'",
            "CREATE VIEW g (one, \"Two\") AS SELECT 1, 'it''s' -- said",
            "CREATE TABLE \"My Schema\".\"T\" (a INT)",
        ])
        .await;
    let catalog = fixture.store.current();
    for object in catalog
        .all_objects()
        .filter(|object| !matches!(object, Object::Live(_)))
    {
        let text = show_create(object);
        let drop = match object {
            Object::View(_) => "VIEW",
            _ => "TABLE",
        };
        let name = format!(
            "{}.{}",
            crate::dialect::identifier(object.schema()),
            crate::dialect::identifier(object.name())
        );
        fixture.all(&[&format!("DROP {drop} {name}"), &text]).await;
        let again = fixture.store.current();
        let again = again.object(object.schema(), object.name()).unwrap();
        assert_eq!(show_create(again), text);
        match (object, again) {
            (Object::Table(one), Object::Table(two)) => {
                let mut layout = TableLayout::clone(&two.layout);
                layout.id = one.layout.id;
                assert_eq!(layout, *one.layout, "{text}");
                assert_eq!(one.builtin, two.builtin, "{text}");
            }
            (Object::External(one), Object::External(two)) => assert_eq!(one, two),
            // Whoever runs the statement again owns the new one.
            (Object::View(one), Object::View(two)) => {
                assert_eq!((&one.sql, &one.columns), (&two.sql, &two.columns));
            }
            _ => panic!("{text}"),
        }
    }
    // Control tables too: running what is shown changes nothing.
    for object in catalog
        .objects(PUBLIC_SCHEMA)
        .filter(|object| matches!(object, Object::Live(_)))
    {
        let notices = fixture.run(&show_create(object)).await.unwrap();
        assert_eq!(notices.len(), 1);
    }
}

#[tokio::test]
async fn definitions_that_contradict_themselves() {
    let mut fixture = Fixture::new().await;
    for (sql, code) in [
        ("CREATE TABLE t (a INT, A INT)", "42701"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (b))", "42703"),
        ("CREATE TABLE t (a INT PRIMARY KEY, b INT PRIMARY KEY)", "42P16"),
        ("CREATE TABLE t (a INT NULL NOT NULL)", "42P16"),
        ("CREATE TABLE t (a INT) PARTITIONED BY (a)", "42P16"),
        ("CREATE TABLE t (a INT, b DOUBLE) PARTITIONED BY (b)", "42P16"),
        ("CREATE TABLE t (a INT, b INT) PARTITIONED BY (c)", "42703"),
        ("CREATE TABLE t (a JSON) CLUSTERED BY (a) INTO 4 BUCKETS", "42P16"),
        ("CREATE TABLE t (a INT) CLUSTERED BY (a) INTO 0 BUCKETS", "42P16"),
        ("CREATE TABLE t (_shard INT)", "42P16"),
        ("CREATE TABLE t (a STRNG)", "42704"),
        ("CREATE TABLE t (a DECIMAL(40, 2))", "42P16"),
        (
            "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (c + 1))",
            "42703",
        ),
        (
            "CREATE TABLE t (a INT, b TIMESTAMP GENERATED ALWAYS AS (now()))",
            "42P16",
        ),
        ("CREATE TABLE nowhere.t (a INT)", "3F000"),
        ("CREATE TABLE system.t (a INT)", "42501"),
        ("CREATE TABLE other.public.t (a INT)", "3D000"),
        (
            "CREATE TABLE t (user_id BIGINT) CLUSTERED BY (user_id) INTO 8 BUCKETS WITH (shard_map = 'user_shard_map')",
            "42P16",
        ),
        ("CREATE SCHEMA public", "42P06"),
        ("DROP SCHEMA public", "0A000"),
        ("DROP TABLE nothing", "42P01"),
        ("DROP VIEW cdn_logs", "42809"),
        ("ALTER TABLE cdn_logs DROP COLUMN user_id", "2BP01"),
        ("ALTER TABLE cdn_logs DROP COLUMN request_ts", "2BP01"),
        ("ALTER TABLE cdn_logs ADD COLUMN dt DATE", "42701"),
        ("ALTER TABLE cdn_logs ADD COLUMN x INT NOT NULL", "0A000"),
        ("ALTER TABLE event_topics ADD COLUMN x INT", "42809"),
        ("ALTER TABLE cdn_logs RENAME TO raw_events", "42P07"),
        ("CREATE VIEW v AS SELECT $1", "42P02"),
        ("CREATE VIEW v AS SELECT 1 AS a, 2 AS a", "42701"),
        ("CREATE VIEW v AS SELECT * FROM nothing", "42P01"),
        ("CREATE TABLE t AS SELECT 1 AS a, INTERVAL '1' DAY AS b", "0A000"),
    ] {
        fixture.refused(sql, code).await;
    }
    assert_eq!(fixture.store.current().version, 1);
}

#[tokio::test]
async fn views_of_views() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE SCHEMA s",
            "CREATE TABLE s.t AS SELECT 1 AS a, 'x' AS b",
            "USE s",
            "CREATE VIEW public.v AS WITH c AS (SELECT * FROM t) SELECT a + 1 AS a2, b FROM c",
            "CREATE VIEW w (x) AS SELECT a2 FROM public.v",
            "USE public",
        ])
        .await;
    fixture.check("SELECT * FROM v", &["2|x"]).await;
    fixture.check("SELECT w.x FROM s.w", &["2"]).await;
    fixture
        .check("SELECT q.x FROM s.w AS q WHERE q.x = 2", &["2"])
        .await;
    let error = fixture
        .refused("CREATE OR REPLACE VIEW v AS SELECT * FROM s.w", "42P16")
        .await;
    assert!(error.message().contains("itself"), "{error:?}");
    fixture.all(&["DROP TABLE s.t"]).await;
    let error = fixture.refused("SELECT * FROM v", "42P01").await;
    assert!(error.message().starts_with("view \"v\""), "{error:?}");
    // A broken view does not hide the columns of the others.
    let columns = fixture
        .run("SELECT count(*) > 100 FROM information_schema.columns")
        .await
        .unwrap();
    assert_eq!(columns, ["true"]);
}
