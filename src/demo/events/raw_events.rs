//! `raw_events`: events of all kinds as they came in, some of them late, some of them twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use chrono::{SecondsFormat, TimeDelta};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;
use watershed_core::Result;

use super::files::{self, BATCH, Files};
use crate::demo::world::World;

const DUPLICATES: f64 = 0.02;
const LATE: f64 = 0.03;

/// What is true of one type of event.
#[derive(Debug, Clone, Default)]
pub(in crate::demo) struct TypeFacts {
    /// Rows, those included that came twice.
    pub(in crate::demo) delivered: u64,
    /// Different events.
    pub(in crate::demo) events: u64,
    /// Rows that came an hour or more after the event.
    pub(in crate::demo) late: u64,
}

/// What is true of `raw_events`, by type.
#[derive(Debug, Default)]
pub(in crate::demo) struct EventFacts {
    pub(in crate::demo) rows: u64,
    pub(in crate::demo) types: BTreeMap<&'static str, TypeFacts>,
}

#[derive(Clone)]
struct Row {
    id: u64,
    kind: &'static str,
    data: String,
    arrived: i64,
    source: &'static str,
    is_late: bool,
}

pub(super) fn generate(world: &World, rows: u64, folder: &Path) -> Result<EventFacts> {
    let mut rng = world.chance(3);
    let mut files = Files::create(folder, "raw_events", rows)?;
    let mut facts = EventFacts::default();
    while facts.rows < rows {
        let count = BATCH.min(rows - facts.rows);
        let mut batch: Vec<Row> = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        while (batch.len() as u64) < count {
            let again = batch.last().filter(|_| rng.random_bool(DUPLICATES)).cloned();
            let is_new = again.is_none();
            let share = (facts.rows + batch.len() as u64) as f64 / rows as f64;
            let row = again.unwrap_or_else(|| event(world, share, &mut rng));
            let kind = facts.types.entry(row.kind).or_default();
            kind.delivered += 1;
            kind.events += u64::from(is_new);
            kind.late += u64::from(row.is_late);
            batch.push(row);
        }
        facts.rows += count;
        files.write(&columns(&batch)?)?;
    }
    files.close()?;
    Ok(facts)
}

fn event(world: &World, share: f64, rng: &mut StdRng) -> Row {
    let arrival = world.arrival(share);
    let is_late = rng.random_bool(LATE);
    let delay = if is_late {
        TimeDelta::minutes(rng.random_range(60..48 * 60))
    } else {
        TimeDelta::milliseconds(rng.random_range(20..30_000))
    };
    // To whole milliseconds as clients say it, never later than it was.
    let happened = (arrival - delay).to_rfc3339_opts(SecondsFormat::Millis, true);
    let user = world.user(rng);
    let (kind, data) = match rng.random_range(0..10) {
        0..6 => (
            "playback",
            json!({"user_id": user, "title_id": world.title(rng), "position_s": rng.random_range(0..7_200),
                   "event_time": happened}),
        ),
        6..9 => (
            "recommendation",
            json!({"user_id": user, "title_id": world.title(rng), "row": rng.random_range(1..40),
                   "event_time": happened}),
        ),
        _ => (
            "billing",
            json!({"user_id": user, "amount_cents": rng.random_range(499..2_299), "event_time": happened}),
        ),
    };
    Row {
        id: rng.random(),
        kind,
        data: data.to_string(),
        arrived: arrival.timestamp_micros(),
        source: ["client", "server", "partner"][rng.random_range(0..3)],
        is_late,
    }
}

fn columns(rows: &[Row]) -> Result<RecordBatch> {
    let ids = rows.iter().map(|row| format!("e-{:016x}", row.id));
    let kinds = rows.iter().map(|row| row.kind);
    let data = rows.iter().map(|row| row.data.as_str());
    let sources = rows.iter().map(|row| row.source);
    files::batch([
        (
            "event_id",
            Arc::new(StringArray::from_iter_values(ids)) as ArrayRef,
        ),
        ("event_type", Arc::new(StringArray::from_iter_values(kinds))),
        ("event_data", Arc::new(StringArray::from_iter_values(data))),
        (
            "ingestion_ts",
            files::instants(rows.iter().map(|row| row.arrived).collect()),
        ),
        ("source", Arc::new(StringArray::from_iter_values(sources))),
    ])
}
