//! `watershed bench cache`: what cached answers are worth. A table of equal files is asked, gets one file more,
//! and is asked again; full hits are asked for at a rate; many clients ask one cold question at once; and answers
//! are due while an executor is stopped.

mod cost;
mod files;
mod hits;
mod partial;
mod refresh;
mod stampede;

use clap::Args;
use serde_json::json;
use watershed_core::Result;

use super::{Common, conditions, temporary};
use crate::processes::Cluster;
use crate::show;
use files::Files;

#[derive(Debug, Clone, Args)]
pub struct CacheOptions {
    #[command(flatten)]
    common: Common,

    /// Files of the table, all of one size; a multiple of its eight shards
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(8..=100_000))]
    files: u64,

    /// Rows of each file
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rows_per_file: u64,

    /// How often the table is asked cold, appended to, and asked again, and how often it is with an executor stopped
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: u64,

    /// Queries a second that are answered from the cache
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,

    /// For so many seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,

    /// Clients that ask one cold query at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=5_000))]
    clients: u64,
}

pub(super) async fn run(options: CacheOptions) -> Result<bool> {
    let common = &options.common;
    conditions::warn_of_debug_build();
    let folder = temporary()?;
    let mut cluster = Cluster::start(common.processes(folder.path())).await?;
    let session = cluster.session().await?;
    let mut files = Files::load(&session, options.files, options.rows_per_file).await?;
    // However small the files are: executors keep fragments.
    session.update("SET watershed.execution = 'pipelined'").await?;

    let mut wrong = Vec::new();
    let refresh = refresh::run(&session, &mut files, options.rounds, &mut wrong).await?;
    let cost = cost::run(&session, &files, options.rounds, &mut wrong).await?;
    let hits = hits::run(&session, &files, options.rate, options.seconds, &mut wrong).await?;
    let stampede = stampede::run(&cluster, &session, &files, options.clients, &mut wrong).await?;
    let partial = match common.executors {
        // Whoever is asked has all shards.
        0 | 1 => {
            show::line("No part of an answer is asked for: that takes two executors.\n");
            None
        }
        executors => Some(
            partial::run(
                &mut cluster,
                &session,
                &files,
                executors,
                options.rounds,
                &mut wrong,
            )
            .await?,
        ),
    };
    let memory = conditions::memory(&cluster);
    conditions::tell_memory(&memory);
    for wrong in wrong.iter().take(10) {
        show::line(show::alarm(&format!("WRONG: {wrong}")));
    }
    cluster.end().await;
    common.write_json(&json!({
        "benchmark": "cache",
        "conditions": conditions::conditions(common, common.threads()),
        "files": options.files,
        "rows_per_file": options.rows_per_file,
        "refresh": refresh,
        "cold": cost,
        "full_hits": hits,
        "stampede": stampede,
        "partial": partial,
        "memory_peak_bytes": conditions::memory_json(&memory),
        "wrong": wrong,
    }))?;
    Ok(wrong.is_empty())
}
