//! A table of CDN logs in 16 shards, filled from Parquet files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use crate::demo::{LogFacts, World, generate_logs};
use crate::processes::Session;

pub(super) const SHARDS: u32 = 16;
const SEED: u64 = 42;
const COLUMNS: &str = "request_id STRING, user_id BIGINT, title_id BIGINT, cdn_edge_location STRING, \
                       response_time_ms INT, bytes_transferred BIGINT, http_status INT, request_ts TIMESTAMP, \
                       user_country STRING";

/// Makes the files, and counts what is in them.
pub(super) async fn generate(rows: u64, folder: &Path) -> Result<(LogFacts, PathBuf)> {
    let folder = folder.join("incoming");
    let target = folder.clone();
    let now = SystemClock::shared().now();
    let facts =
        tokio::task::spawn_blocking(move || generate_logs(&World::new(SEED, rows, now), rows, &target))
            .await
            .map_err(|error| Error::internal("making logs failed").with_detail(error.to_string()))??;
    Ok((facts, folder.join("cdn_logs")))
}

/// Names the files as `incoming`.
pub(super) async fn declare(session: &Session, files: &Path) -> Result<()> {
    let sql = format!(
        "CREATE EXTERNAL TABLE incoming STORED AS PARQUET LOCATION '{}/'",
        files.display()
    );
    session.update(&sql).await.map(drop)
}

/// Fills a new table from `incoming`: rows, and how long that took.
pub(super) async fn load(session: &Session, table: &str) -> Result<(Option<i64>, Duration)> {
    session
        .update(&format!(
            "CREATE TABLE {table} ({COLUMNS}) CLUSTERED BY (user_id) INTO {SHARDS} BUCKETS"
        ))
        .await?;
    let clock = SystemClock::shared();
    let count = session
        .update(&format!("INSERT INTO {table} SELECT * FROM incoming"))
        .await?;
    Ok((count, clock.elapsed()))
}
