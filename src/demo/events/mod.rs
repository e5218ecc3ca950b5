//! Events for every documented data table, written as Parquet files, and what is true of them, counted
//! while they are made: the numbers that every answer is checked against.

mod cdn_logs;
mod files;
mod metrics;
mod playback;
mod raw_events;

use std::collections::BTreeSet;
use std::path::Path;

use watershed_core::Result;

pub(crate) use cdn_logs::LogFacts;
pub(super) use cdn_logs::Totals;
pub(super) use cdn_logs::{EdgeFacts, quantile};
pub(super) use metrics::{METRICS, MetricFacts};
pub(super) use playback::PlaybackFacts;
pub(super) use raw_events::EventFacts;

use super::world::World;

/// What is true of all tables.
pub(super) struct Facts {
    pub(super) logs: LogFacts,
    pub(super) events: EventFacts,
    pub(super) playback: PlaybackFacts,
    pub(super) metrics: MetricFacts,
}

/// Makes `rows` log rows and what belongs to them, in a folder for each table.
pub(super) fn generate(world: &World, rows: u64, folder: &Path) -> Result<Facts> {
    let playback = playback::generate(world, (rows / 8).max(100), folder)?;
    let (logs, metrics) = cdn_logs::generate(world, rows, &playback.starved_users, folder)?;
    Ok(Facts {
        events: raw_events::generate(world, (rows / 4).max(100), folder)?,
        metrics: metrics::write(world, metrics, folder)?,
        playback,
        logs,
    })
}

/// Makes `rows` log rows alone.
pub(crate) fn generate_logs(world: &World, rows: u64, folder: &Path) -> Result<LogFacts> {
    cdn_logs::generate(world, rows, &BTreeSet::new(), folder).map(|(facts, _)| facts)
}
