//! `watershed bench point`: queries that fix the shard key.

use clap::Args;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use watershed_core::Result;
use watershed_core::clock::SystemClock;

use super::{Common, conditions, logs, percentile, temporary};
use crate::answer::{Cell, cells, difference};
use crate::processes::Cluster;
use crate::show;

const WARM_UP: usize = 20;
const SEED: u64 = 1;

#[derive(Debug, Clone, Args)]
pub struct PointOptions {
    #[command(flatten)]
    common: Common,

    /// Rows of the table
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    rows: u64,

    /// Queries that are timed, each for a user drawn at random
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    queries: u64,
}

pub(super) async fn run(options: PointOptions) -> Result<bool> {
    let (common, rows) = (&options.common, options.rows);
    conditions::warn_of_debug_build();
    let folder = temporary()?;
    let (facts, files) = logs::generate(rows, folder.path()).await?;
    let cluster = Cluster::start(common.processes(folder.path())).await?;
    let session = cluster.session().await?;
    session.without_caches().await?;
    logs::declare(&session, &files).await?;
    let (_, took) = logs::load(&session, "logs").await?;
    show::line(format_args!(
        "{} rows loaded in {}.",
        show::grouped(rows),
        show::duration(took)
    ));

    let mut users: Vec<i64> = facts.users.keys().copied().collect();
    users.sort_unstable();
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut times = Vec::new();
    let mut wrong = Vec::new();
    for number in 0..WARM_UP + usize::try_from(options.queries).unwrap_or(usize::MAX) {
        let Some(user) = users.choose(&mut rng) else { break };
        let sql = format!("SELECT count(*), sum(bytes_transferred) FROM logs WHERE user_id = {user}");
        let clock = SystemClock::shared();
        let answer = session.rows(&sql).await?;
        let took = clock.elapsed();
        if number >= WARM_UP {
            times.push(took.as_secs_f64() * 1_000.0);
        }
        let expected = &facts.users[user];
        let expected = [vec![Cell::int(expected.rows), Cell::int(expected.bytes)]];
        wrong.extend(difference(&expected, &cells(&answer)?).map(|what| format!("user {user}: {what}")));
    }
    times.sort_by(f64::total_cmp);
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&times, share));
    show::line(format_args!(
        "\n{} queries on user_id over {} rows in {} shards: p50 {p50:.2} ms, p99 {p99:.2} ms.",
        times.len(),
        show::grouped(rows),
        logs::SHARDS
    ));
    let memory = conditions::memory(&cluster);
    conditions::tell_memory(&memory);
    for wrong in wrong.iter().take(10) {
        show::line(show::alarm(&format!("WRONG: {wrong}")));
    }
    cluster.end().await;
    common.write_json(&json!({
        "benchmark": "point",
        "conditions": conditions::conditions(common, common.threads()),
        "rows": rows,
        "queries": times.len(),
        "milliseconds": { "p50": p50, "p99": p99 },
        "memory_peak_bytes": conditions::memory_json(&memory),
        "wrong": wrong,
    }))?;
    Ok(wrong.is_empty())
}
