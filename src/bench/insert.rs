//! `watershed bench insert`: how many rows a second INSERT … SELECT takes from Parquet into 16 shards.

use clap::Args;
use serde_json::json;
use watershed_core::Result;

use super::{Common, conditions, logs, median, temporary};
use crate::processes::Cluster;
use crate::show;

#[derive(Debug, Clone, Args)]
pub struct InsertOptions {
    #[command(flatten)]
    common: Common,

    /// Rows to insert
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    rows: u64,

    /// Times the same rows are inserted, each into a table of its own
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(super) async fn run(options: InsertOptions) -> Result<bool> {
    let (common, rows) = (&options.common, options.rows);
    conditions::warn_of_debug_build();
    let folder = temporary()?;
    let (facts, files) = logs::generate(rows, folder.path()).await?;
    let cluster = Cluster::start(common.processes(folder.path())).await?;
    let session = cluster.session().await?;
    logs::declare(&session, &files).await?;
    let mut rates = Vec::new();
    let mut wrong = Vec::new();
    for run in 1..=options.runs.max(1) {
        let table = format!("logs_{run}");
        let (count, took) = logs::load(&session, &table).await?;
        let rate = rows as f64 / took.as_secs_f64();
        show::line(format_args!(
            "run {run}: {} rows in {}, {} rows/s",
            show::grouped(rows),
            show::duration(took),
            show::grouped(rate as i64)
        ));
        rates.push(rate);
        let sum = session
            .number(&format!("SELECT sum(bytes_transferred) FROM {table}"))
            .await?;
        if count != i64::try_from(rows).ok() || sum != facts.all.bytes {
            wrong.push(format!(
                "run {run} said {count:?} rows instead of {rows}, and holds {sum} bytes instead of {}",
                facts.all.bytes
            ));
        }
    }
    let rate = median(rates.clone());
    show::line(format_args!(
        "\n{} rows/s into {} shards, the median of {} runs.",
        show::grouped(rate as i64),
        logs::SHARDS,
        rates.len()
    ));
    let memory = conditions::memory(&cluster);
    conditions::tell_memory(&memory);
    for wrong in &wrong {
        show::line(show::alarm(&format!("WRONG: {wrong}")));
    }
    cluster.end().await;
    common.write_json(&json!({
        "benchmark": "insert",
        "conditions": conditions::conditions(common, common.threads()),
        "rows": rows,
        "shards": logs::SHARDS,
        "rows_per_second": { "median": rate, "runs": rates },
        "memory_peak_bytes": conditions::memory_json(&memory),
        "wrong": wrong,
    }))?;
    Ok(wrong.is_empty())
}
