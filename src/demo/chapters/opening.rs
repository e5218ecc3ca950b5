//! The cluster starts, and the events are made meanwhile.

use std::path::Path;
use std::sync::Arc;

use watershed_core::clock::{Clock, SystemClock};
use watershed_core::{Error, Result};

use crate::demo::events::{self, Facts};
use crate::demo::story::Story;
use crate::demo::world::World;
use crate::demo::{DemoOptions, EXECUTORS, processes_options};
use crate::processes::Cluster;
use crate::show::{duration, grouped};

pub(in crate::demo) async fn opening(
    story: &mut Story,
    options: &DemoOptions,
    folder: &Path,
) -> Result<(World, Facts, Cluster)> {
    story.chapter("Start a scheduler and three executors, each a process of its own");
    let now = SystemClock::shared().now();
    let (seed, rows, incoming) = (options.seed, options.rows, incoming(folder));
    let making = tokio::task::spawn_blocking(move || {
        let clock = SystemClock::shared();
        let world = World::new(seed, rows, now);
        let facts = events::generate(&world, rows, &incoming)?;
        Ok((world, facts, clock.elapsed()))
    });
    let (cluster, took) = story.timed(Cluster::start(processes_options(folder))).await?;
    let processes: Vec<_> = cluster
        .pids()
        .into_iter()
        .map(|(name, pid)| format!("{name} ({pid})"))
        .collect();
    story.tell(format_args!(
        "{}, up in {}.",
        processes.join(", "),
        duration(took)
    ));
    story.tell(format_args!(
        "Storage is embedded, in {}; a client is connected to {} by Flight SQL.",
        folder.display(),
        cluster.flight()
    ));
    debug_assert_eq!(processes.len(), EXECUTORS + 1);

    story.chapter("Make a week of events");
    let made: Result<(World, Facts, std::time::Duration)> = making
        .await
        .map_err(|error| Error::internal("making events failed").with_detail(error.to_string()))?;
    let (world, facts, took) = made?;
    tell_events(story, &world, &facts, took);
    Ok((world, facts, cluster))
}

/// Where the files lie that are loaded.
pub(super) fn incoming(folder: &Path) -> std::path::PathBuf {
    folder.join("incoming")
}

fn tell_events(story: &Story, world: &World, facts: &Facts, took: std::time::Duration) {
    let logs = &facts.logs;
    story.tell(format_args!(
        "{} requests of {} people from {} until now; {} arrive hours late, {} arrive twice.",
        grouped(logs.all.rows),
        grouped(world.users() as i128),
        world.start.date_naive(),
        grouped(logs.late),
        grouped(logs.duplicates),
    ));
    let busiest = logs.users.get(&world.user_of_rank(0)).map_or(0, |user| user.rows);
    story.tell(format_args!(
        "Few do most, as Zipf has it: the busiest made {} requests, half of all people made {} or fewer.",
        grouped(busiest),
        grouped(median(logs.users.values().map(|user| user.rows))),
    ));
    story.tell(format_args!(
        "With {} events, {} playback decisions and the metrics of both layers it lies in Parquet files, made \
         in {}.\nWhat is true of them was counted on the way; every answer below is checked against that.",
        grouped(facts.events.rows),
        grouped(facts.playback.rows),
        duration(took),
    ));
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The clock that chapters wait by.
pub(super) fn clock() -> Arc<dyn Clock> {
    SystemClock::shared()
}
