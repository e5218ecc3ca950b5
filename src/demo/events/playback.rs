//! `playback_quality_decisions`: which bitrate a player took, and how full its buffer was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use rand::Rng;
use rand::rngs::StdRng;
use watershed_core::Result;

use super::files::{self, BATCH, Files};
use crate::demo::world::World;
use crate::demo::zipf::Zipf;

const DEVICES: [&str; 5] = ["tv", "phone", "web", "tablet", "console"];
const BITRATES_KBPS: [i32; 6] = [235, 750, 1_750, 3_000, 5_800, 16_000];
/// Decisions that are taken with an empty buffer.
const STARVED: f64 = 0.001;

/// What is true of one device's rows.
#[derive(Debug, Clone, Default)]
pub(in crate::demo) struct DeviceFacts {
    pub(in crate::demo) rows: u64,
    pub(in crate::demo) bitrate_kbps: i128,
    /// A sum of quarters, and so exact.
    pub(in crate::demo) speed_mbps: f64,
}

/// What is true of `playback_quality_decisions`.
#[derive(Debug, Default)]
pub(in crate::demo) struct PlaybackFacts {
    pub(in crate::demo) rows: u64,
    pub(in crate::demo) devices: BTreeMap<&'static str, DeviceFacts>,
    /// Those whose buffer was empty at least once.
    pub(in crate::demo) starved_users: BTreeSet<i64>,
}

struct Row {
    session: u64,
    title: i64,
    user: i64,
    device: &'static str,
    speed_mbps: f64,
    bitrate_kbps: i32,
    buffer_seconds: i32,
    at: i64,
}

pub(super) fn generate(world: &World, rows: u64, folder: &Path) -> Result<PlaybackFacts> {
    let mut rng = world.chance(2);
    let devices = Zipf::new(DEVICES.len(), 0.8);
    let mut files = Files::create(folder, "playback_quality_decisions", rows)?;
    let mut facts = PlaybackFacts::default();
    while facts.rows < rows {
        let count = BATCH.min(rows - facts.rows);
        let batch: Vec<Row> = (0..count)
            .map(|number| {
                let share = (facts.rows + number) as f64 / rows as f64;
                decision(world, share, DEVICES[devices.draw(&mut rng)], &mut rng)
            })
            .collect();
        for row in &batch {
            let device = facts.devices.entry(row.device).or_default();
            device.rows += 1;
            device.bitrate_kbps += i128::from(row.bitrate_kbps);
            device.speed_mbps += row.speed_mbps;
            if row.buffer_seconds == 0 {
                facts.starved_users.insert(row.user);
            }
        }
        facts.rows += count;
        files.write(&columns(&batch)?)?;
    }
    files.close()?;
    Ok(facts)
}

fn decision(world: &World, share: f64, device: &'static str, rng: &mut StdRng) -> Row {
    let speed_mbps = f64::from(rng.random_range(2..400)) / 4.0;
    let affordable = BITRATES_KBPS
        .iter()
        .rev()
        .find(|kbps| f64::from(**kbps) < speed_mbps * 800.0);
    Row {
        session: rng.random(),
        title: world.title(rng),
        user: world.user(rng),
        device,
        speed_mbps,
        bitrate_kbps: affordable.copied().unwrap_or(BITRATES_KBPS[0]),
        buffer_seconds: if rng.random_bool(STARVED) {
            0
        } else {
            rng.random_range(1..60)
        },
        at: world.arrival(share).timestamp_micros(),
    }
}

fn columns(rows: &[Row]) -> Result<RecordBatch> {
    let longs = |value: fn(&Row) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(value)));
    let ints = |value: fn(&Row) -> i32| Arc::new(Int32Array::from_iter_values(rows.iter().map(value)));
    let sessions = rows.iter().map(|row| format!("s-{:016x}", row.session));
    let devices = rows.iter().map(|row| row.device);
    let speeds = rows.iter().map(|row| row.speed_mbps);
    files::batch([
        (
            "session_id",
            Arc::new(StringArray::from_iter_values(sessions)) as ArrayRef,
        ),
        ("title_id", longs(|row| row.title)),
        ("user_id", longs(|row| row.user)),
        ("device_type", Arc::new(StringArray::from_iter_values(devices))),
        (
            "connection_speed_mbps",
            Arc::new(Float64Array::from_iter_values(speeds)),
        ),
        ("selected_bitrate_kbps", ints(|row| row.bitrate_kbps)),
        ("buffer_health_seconds", ints(|row| row.buffer_seconds)),
        (
            "decision_ts",
            files::instants(rows.iter().map(|row| row.at).collect()),
        ),
    ])
}
