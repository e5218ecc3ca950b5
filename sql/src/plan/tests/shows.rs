//! SHOW, DESCRIBE and information_schema.

use super::*;

#[tokio::test]
async fn what_there_is() {
    let mut fixture = Fixture::new().await;
    fixture
        .check("SHOW SCHEMAS", &["information_schema", "public", "system"])
        .await;
    fixture
        .check(
            "SHOW TABLES LIKE 'unified%'",
            &["public|unified_metrics|VIEW", "public|unified_metrics_exact|VIEW"],
        )
        .await;
    fixture
        .check(
            "SHOW TABLES FROM system",
            &[
                "system|cache_stats|LIVE TABLE",
                "system|executors|LIVE TABLE",
                "system|queries|LIVE TABLE",
                "system|sessions|LIVE TABLE",
                "system|settings|LIVE TABLE",
                "system|shards|LIVE TABLE",
            ],
        )
        .await;
    assert_eq!(
        fixture
            .run("SHOW TABLES FROM information_schema")
            .await
            .unwrap()
            .len(),
        8
    );
    fixture
        .check(
            "DESCRIBE batch_metrics",
            &[
                "metric_name|STRING|NO|primary key|NULL|NULL",
                "date_partition|DATE|NO|primary key|NULL|NULL",
                "metric_value|DOUBLE|YES|NULL|NULL|NULL",
                "computed_at|TIMESTAMP|YES|NULL|NULL|NULL",
            ],
        )
        .await;
    let columns = fixture.run("SHOW COLUMNS FROM cdn_logs").await.unwrap();
    assert_eq!(columns[1], "user_id|BIGINT|YES|shard key|NULL|NULL");
    assert_eq!(columns[9], "dt|DATE|YES|partition|CAST(request_ts AS DATE)|NULL");
    let columns = fixture.run("DESCRIBE unified_metrics").await.unwrap();
    assert!(columns[1].starts_with("window_start|TIMESTAMP|"), "{columns:?}");
    assert_eq!(
        fixture.run("DESC information_schema.views").await.unwrap().len(),
        7
    );
    let shown = fixture.run("SHOW CREATE TABLE cdn_logs").await.unwrap();
    assert!(
        shown[0].ends_with("PARTITIONED BY (dt)\nCLUSTERED BY (user_id) INTO 16 BUCKETS"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn the_session() {
    let mut fixture = Fixture::new().await;
    fixture.check("SHOW TIME ZONE", &["UTC"]).await;
    fixture
        .all(&[
            "SET TIME ZONE 'Europe/Berlin'",
            "SET watershed.execution = LOCAL",
            "USE system",
        ])
        .await;
    fixture.check("SHOW timezone", &["Europe/Berlin"]).await;
    fixture.check("SHOW watershed.execution", &["local"]).await;
    fixture.check("SHOW search_path", &["system"]).await;
    fixture.check("SELECT count(*) FROM queries", &["0"]).await;
    fixture.all(&["RESET timezone", "RESET search_path"]).await;
    fixture.check("SHOW timezone", &["UTC"]).await;
    let all = fixture.run("SHOW ALL").await.unwrap();
    assert_eq!(all.len(), watershed_core::settings::SETTINGS.len());
}

#[tokio::test]
async fn the_standards_tables() {
    let mut fixture = Fixture::new().await;
    fixture
        .check(
            "SELECT table_type, count(*) FROM information_schema.tables WHERE table_schema = 'public' GROUP BY 1 ORDER BY 1",
            &["BASE TABLE|5", "CONTROL TABLE|7", "LIVE TABLE|5", "VIEW|2"],
        )
        .await;
    fixture
        .check(
            "SELECT column_name, ordinal_position, is_nullable, data_type FROM information_schema.columns
             WHERE table_name = 'data_residency_rules' ORDER BY ordinal_position",
            &[
                "data_type|1|NO|STRING",
                "allowed_regions|2|YES|ARRAY<STRING>",
                "retention_days|3|YES|INT",
                "encryption_required|4|YES|BOOLEAN",
            ],
        )
        .await;
    fixture
        .check(
            "SELECT count(*) FROM information_schema.columns WHERE table_name = 'unified_metrics_exact'",
            &["6"],
        )
        .await;
    fixture
        .check(
            "SELECT table_name FROM information_schema.views ORDER BY 1",
            &["unified_metrics", "unified_metrics_exact"],
        )
        .await;
    fixture
        .check("SELECT count(*) FROM information_schema.schemata", &["3"])
        .await;
}
