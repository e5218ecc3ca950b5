//! `watershed bench`: generates, loads, runs and verifies. What is wrong is shown, never left out.

mod cache;
mod conditions;
mod dashboard;
mod fetch;
mod insert;
mod logs;
mod point;
mod tpch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use watershed_core::{Error, Result, SqlState};

use crate::cli::asked_to_stop;
use crate::processes;

const INTERRUPTED: u8 = 130;

#[derive(Debug, Clone, Args)]
pub struct BenchOptions {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Clone, Subcommand)]
enum Benchmark {
    /// The 22 TPC-H queries on every path, verified against DataFusion in one process
    Tpch(tpch::TpchOptions),
    /// Queries that fix the shard key: how long half of them take, and all but one in a hundred
    Point(point::PointOptions),
    /// Very many rows, as fast as a client takes them
    Fetch(fetch::FetchOptions),
    /// Cached answers: after an append, at a rate, and asked for by many at once
    Cache(cache::CacheOptions),
    /// Dashboards of rolling windows, refreshed by many viewers while events come in
    Dashboard(dashboard::DashboardOptions),
    /// INSERT … SELECT from Parquet files into a table of 16 shards
    Insert(insert::InsertOptions),
}

/// What all benchmarks take.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Executors, each a process of its own
    #[arg(long, default_value_t = 3)]
    executors: usize,

    /// Threads of each process; 0 takes one per core
    #[arg(long, default_value_t = 0)]
    threads: usize,

    /// Memory that operators of each process may reserve
    #[arg(long, default_value = "2GiB")]
    memory_limit: String,

    /// Where generated data is kept for the next time; a folder for temporary files by default
    #[arg(long)]
    data: Option<PathBuf>,

    /// Write the numbers and their conditions as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Common {
    fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            chosen => chosen,
        }
    }

    fn data(&self) -> PathBuf {
        self.data
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join("watershed-bench"))
    }

    fn processes(&self, folder: &Path) -> processes::Options {
        processes::Options {
            folder: folder.to_owned(),
            executors: self.executors,
            threads: self.threads(),
            memory_limit: self.memory_limit.clone(),
        }
    }

    fn write_json(&self, content: &Value) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        std::fs::write(path, format!("{content:#}\n")).map_err(|error| io_error("write", path, &error))
    }
}

/// Runs a benchmark. It succeeds if every answer was right.
pub(crate) async fn run(options: BenchOptions) -> Result<ExitCode> {
    let benchmark = async {
        match options.benchmark {
            Benchmark::Tpch(options) => Box::pin(tpch::run(options)).await,
            Benchmark::Point(options) => Box::pin(point::run(options)).await,
            Benchmark::Fetch(options) => Box::pin(fetch::run(options)).await,
            Benchmark::Cache(options) => Box::pin(cache::run(options)).await,
            Benchmark::Dashboard(options) => Box::pin(dashboard::run(options)).await,
            Benchmark::Insert(options) => Box::pin(insert::run(options)).await,
        }
    };
    tokio::select! {
        outcome = benchmark => outcome.map(|all_right| {
            if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }),
        () = asked_to_stop() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

fn io_error(what: &str, path: &Path, error: &dyn std::error::Error) -> Error {
    Error::new(SqlState::IoError, format!("cannot {what} {}", path.display())).with_detail(error.to_string())
}

/// A folder for a cluster's processes, which goes with it.
fn temporary() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("watershed-bench-")
        .tempdir()
        .map_err(|error| {
            Error::new(SqlState::IoError, "cannot create a temporary folder").with_detail(error.to_string())
        })
}

/// The value below which a share of the sorted times lies.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(rank.clamp(1, sorted.len().max(1)) - 1)
        .copied()
        .unwrap_or(f64::NAN)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            (percentile(&hundred, 0.5), percentile(&hundred, 0.99)),
            (50.0, 99.0)
        );
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
