//! `watershed bench fetch`: how fast a client gets very many rows, what that takes of the scheduler, and
//! whether a client that reads slowly is in anybody's way.

use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use clap::Args;
use futures::TryStreamExt;
use serde_json::{Value, json};
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use super::{Common, conditions, logs, median, temporary};
use crate::processes::{Cluster, SCHEDULER, Session, forget_peak_memory, memory, peak_memory};
use crate::show;

/// What the slow client reads in a second.
const SLOW_BYTES: usize = 1_000_000;
const MEGABYTE: f64 = 1e6;

#[derive(Debug, Clone, Args)]
pub struct FetchOptions {
    #[command(flatten)]
    common: Common,

    /// Rows that are fetched
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    rows: u64,

    /// How often each is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    runs: u64,
}

/// What is fetched, and where it comes from.
struct Source {
    name: &'static str,
    execution: &'static str,
    sql: String,
}

/// One fetch.
struct Fetched {
    rows: u64,
    bytes: usize,
    took: Duration,
}

impl Fetched {
    fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / MEGABYTE / self.took.as_secs_f64()
    }
}

pub(super) async fn run(options: FetchOptions) -> Result<bool> {
    let (common, rows) = (&options.common, options.rows);
    conditions::warn_of_debug_build();
    let folder = temporary()?;
    let (_, files) = logs::generate(rows, folder.path()).await?;
    let cluster = Cluster::start(common.processes(folder.path())).await?;
    let session = cluster.session().await?;
    logs::declare(&session, &files).await?;
    logs::load(&session, "logs").await?;
    let scheduler = cluster
        .pids()
        .into_iter()
        .find_map(|(name, pid)| (name == SCHEDULER).then_some(pid))
        .ok_or_else(|| Error::internal("the scheduler is not there"))?;

    let sources = [
        Source {
            name: "computed in the scheduler",
            execution: "local",
            sql: format!(
                "SELECT value, value * 2 AS twice, value * 0.5 AS half, value % 97 AS rest \
                 FROM generate_series(1, {rows}) AS s(value)"
            ),
        },
        Source {
            name: "a table read by the scheduler",
            execution: "local",
            sql: "SELECT * FROM logs".to_owned(),
        },
        Source {
            name: "a table read by executors",
            execution: "pipelined",
            sql: "SELECT * FROM logs".to_owned(),
        },
    ];
    let mut all_right = true;
    let mut report = Vec::new();
    for source in &sources {
        let measured = measure(&cluster, source, scheduler, &options).await?;
        all_right &= measured["wrong"] == json!(0);
        report.push(measured);
    }
    cluster.end().await;
    common.write_json(&json!({
        "benchmark": "fetch",
        "conditions": conditions::conditions(common, common.threads()),
        "rows": rows,
        "sources": report,
    }))?;
    Ok(all_right)
}

async fn measure(
    cluster: &Cluster,
    source: &Source,
    scheduler: u32,
    options: &FetchOptions,
) -> Result<Value> {
    let session = opened(cluster, source).await?;
    let idle = memory(scheduler).unwrap_or_default();
    forget_peak_memory(scheduler);
    let alone = fetches(&session, source, options.runs).await?;
    let peak = peak_memory(scheduler).unwrap_or_default();

    let slow = opened(cluster, source).await?;
    let sql = source.sql.clone();
    let slowly = tokio::spawn(async move { read_slowly(&slow, &sql).await });
    let beside = fetches(&session, source, options.runs).await;
    let failed_early = slowly.is_finished();
    slowly.abort();
    let beside = beside?;

    let rates = |fetched: &[Fetched]| median(fetched.iter().map(Fetched::megabytes_per_second).collect());
    let (rate, rate_beside) = (rates(&alone), rates(&beside));
    let wrong = alone
        .iter()
        .chain(&beside)
        .filter(|fetched| fetched.rows != options.rows)
        .count()
        + usize::from(failed_early);
    let bytes = alone.first().map_or(0, |fetched| fetched.bytes);
    let above = peak.saturating_sub(idle);
    show::line(format_args!(
        "{}: {} rows, {}: {rate:.0} MB/s; beside a client that reads 1 MB/s {rate_beside:.0} MB/s; scheduler {} \
         above idle{}",
        source.name,
        show::grouped(options.rows),
        show::bytes(bytes as u64),
        show::bytes(above),
        if wrong > 0 { "; WRONG" } else { "" },
    ));
    Ok(json!({
        "source": source.name,
        "execution": source.execution,
        "arrow_bytes": bytes,
        "megabytes_per_second": rate,
        "megabytes_per_second_beside_a_slow_client": rate_beside,
        "scheduler_idle_bytes": idle,
        "scheduler_above_idle_bytes": above,
        "wrong": wrong,
    }))
}

async fn opened(cluster: &Cluster, source: &Source) -> Result<Session> {
    let session = cluster.session().await?;
    session.without_caches().await?;
    let set = format!("SET watershed.execution = '{}'", source.execution);
    session.update(&set).await?;
    Ok(session)
}

async fn fetches(session: &Session, source: &Source, runs: u64) -> Result<Vec<Fetched>> {
    let mut fetched = Vec::new();
    for _ in 0..runs {
        let clock = SystemClock::shared();
        let (mut rows, mut bytes) = (0, 0);
        let mut stream = session.stream(&source.sql).await?;
        while let Some(batch) = stream.try_next().await? {
            rows += batch.num_rows() as u64;
            bytes += batch_bytes(&batch)?;
        }
        fetched.push(Fetched {
            rows,
            bytes,
            took: clock.elapsed(),
        });
    }
    Ok(fetched)
}

async fn read_slowly(session: &Session, sql: &str) -> Result<()> {
    let mut stream = session.stream(sql).await?;
    while let Some(batch) = stream.try_next().await? {
        let seconds = batch_bytes(&batch)? as f64 / SLOW_BYTES as f64;
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }
    Ok(())
}

/// What the rows themselves take, without what their buffers hold besides.
fn batch_bytes(batch: &RecordBatch) -> Result<usize> {
    batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size())
        .sum::<std::result::Result<usize, _>>()
        .map_err(|error| Error::internal("the size of a batch is not known").with_detail(error.to_string()))
}
