//! `watershed bench dashboard`: dashboards of rolling windows, each refreshed by many viewers again and again,
//! while events come in. Afterwards the answers are asked for once more without caches, and two other engines
//! replay the same over the same files.
//!
//! Reading order: `queries` (what is asked), `events` (about what), `replay` (when), `history` (what became of
//! it), `oracle` (whether it was right), `peers` (what others make of it).

mod events;
mod history;
mod oracle;
mod peers;
mod queries;
mod replay;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result, SqlState};

use super::{Common, conditions, temporary};
use crate::processes::{Cluster, processor_time};
use crate::show;
use events::{Events, Ingest};
use report::Measured;

#[derive(Debug, Clone, Args)]
pub struct DashboardOptions {
    #[command(flatten)]
    common: Common,

    /// Different queries of a dashboard
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=64))]
    queries: u64,

    /// People who look at it
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    viewers: u64,

    /// Seconds from one refresh of a viewer's dashboard to the next
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    refresh: u64,

    /// Seconds that this goes on
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,

    /// Events a second that are ingested meanwhile
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events_per_second: u64,

    /// Minutes of events that are there before; the longest window is an hour
    #[arg(long, default_value_t = 65, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    history: u64,

    /// Shards of the table
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=256))]
    shards: u64,

    /// Answers that are asked for once more without caches
    #[arg(long, default_value_t = 64)]
    checks: usize,

    /// Engines that replay the same over the same files
    #[arg(long, value_delimiter = ',', default_value = "duckdb,chdb")]
    peers: Vec<peers::Peer>,

    /// No other engines
    #[arg(long, conflicts_with = "peers")]
    alone: bool,

    /// Seconds that each of them gets
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    peer_duration: u64,

    /// The Python that runs them; by default an environment with both is made
    #[arg(long)]
    python: Option<PathBuf>,
}

pub(super) async fn run(options: DashboardOptions) -> Result<bool> {
    let common = &options.common;
    conditions::warn_of_debug_build();
    let folder = temporary()?;
    let cluster = Cluster::start(common.processes(folder.path())).await?;
    let session = cluster.session().await?;
    let events = Events::load(&session, folder.path(), &options).await?;
    let ingest = Ingest::start(cluster.session().await?, events.clone());
    let panels = Arc::new(queries::panels(options.queries));

    // Once, so that no viewer is the first to look.
    let clock = SystemClock::shared();
    for panel in panels.iter() {
        session.rows(&panel.sql()).await?;
    }
    show::line(format_args!(
        "The {} queries, one after the other, cold: {}.",
        panels.len(),
        show::duration(clock.elapsed())
    ));

    let clock = SystemClock::shared();
    let (before, ingested_before) = (processor_times(&cluster), ingest.rows());
    let watch = history::Watch::start(cluster.session().await?);
    let replayed = replay::run(&cluster, &panels, &options).await?;
    let took = clock.elapsed();
    let (after, ingested) = (processor_times(&cluster), ingest.rows() - ingested_before);
    let history = watch.end().await?;
    let measured = Measured {
        took,
        ingested,
        latencies: replayed.milliseconds,
        refused: replayed.refused,
        failed: replayed.failed,
        history,
        processors: difference(&before, &after),
        memory: conditions::memory(&cluster),
    };
    measured.tell(&options);

    let peers = match options.alone {
        true => Vec::new(),
        false => peers::run(&panels, &events, &options).await?,
    };
    // What comes in would be in the way of the oracle, and it is not needed any more.
    let ingest_error = ingest.end().await;
    let checked = oracle::check(&cluster, replayed.samples).await?;
    report::tell_checks(&checked);
    report::tell_peers(&peers);
    cluster.end().await;
    report::write(&options, &measured, &checked, &peers)?;
    ingest_error?;
    Ok(checked.wrong.is_empty() && measured.failed.is_empty() && measured.refused == 0)
}

/// Of every process by name, this one included.
fn processor_times(cluster: &Cluster) -> Vec<(String, Duration)> {
    let own = (String::from("bench"), std::process::id());
    cluster
        .pids()
        .into_iter()
        .chain([own])
        .filter_map(|(name, pid)| Some((name, processor_time(pid)?)))
        .collect()
}

fn difference(before: &[(String, Duration)], after: &[(String, Duration)]) -> Vec<(String, Duration)> {
    before
        .iter()
        .zip(after)
        .map(|((name, before), (_, after))| (name.clone(), after.saturating_sub(*before)))
        .collect()
}

/// Whether the engine had too much to do; then one comes again later.
fn is_refused(error: &Error) -> bool {
    error.code() == SqlState::TooManyStatements
}

fn task_failed(error: &tokio::task::JoinError) -> Error {
    Error::internal("a part of the benchmark ended by itself").with_detail(error.to_string())
}
