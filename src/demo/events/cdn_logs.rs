//! `cdn_logs`: one row per request to an edge of the delivery network.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int32Array, Int64Array, RecordBatch, StringArray};
use chrono::{NaiveDate, TimeDelta};
use rand::Rng;
use rand::rngs::StdRng;
use watershed_core::Result;

use super::files::{self, BATCH, Files};
use super::metrics::Observations;
use crate::demo::world::{EDGES, World};

/// Requests whose row arrives twice, as at-least-once delivery has it.
const DUPLICATES: f64 = 0.01;
/// Requests whose row arrives hours late.
const LATE: f64 = 0.02;
/// Slower responses are counted as this slow.
const SLOWEST_MS: usize = 4_000;

/// What is true of one group of rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    pub(crate) bytes: i128,
    pub(crate) response_ms: i128,
}

impl Totals {
    fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.bytes += i128::from(row.bytes);
        self.response_ms += i128::from(row.response_ms);
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct EdgeFacts {
    pub(crate) all: Totals,
    /// The rows of people whose player ran empty.
    pub(crate) starved: Totals,
    /// How many responses took how many milliseconds.
    pub(crate) histogram: Vec<u64>,
}

/// What is true of `cdn_logs`.
#[derive(Debug, Default)]
pub(crate) struct LogFacts {
    pub(crate) all: Totals,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
    pub(crate) edges: BTreeMap<&'static str, EdgeFacts>,
    pub(crate) days: BTreeMap<NaiveDate, Totals>,
    pub(crate) users: HashMap<i64, Totals>,
}

/// The value that a share of the counted ones is not above.
pub(crate) fn quantile(histogram: &[u64], share: f64) -> usize {
    let total: u64 = histogram.iter().sum();
    let mut rank = (total as f64 * share).ceil() as u64;
    for (value, count) in histogram.iter().enumerate() {
        if *count >= rank {
            return value;
        }
        rank -= count;
    }
    histogram.len().saturating_sub(1)
}

#[derive(Clone)]
struct Row {
    request: u64,
    user: i64,
    title: i64,
    edge: usize,
    response_ms: i32,
    bytes: i64,
    status: i32,
    /// Microseconds of UTC.
    at: i64,
    country: &'static str,
}

pub(in crate::demo) fn generate(
    world: &World,
    rows: u64,
    starved: &BTreeSet<i64>,
    folder: &Path,
) -> Result<(LogFacts, Observations)> {
    let mut rng = world.chance(1);
    let mut files = Files::create(folder, "cdn_logs", rows)?;
    let mut facts = LogFacts::default();
    let mut observations = Observations::default();
    let mut made = 0;
    while made < rows {
        let count = BATCH.min(rows - made);
        let mut batch: Vec<Row> = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        while (batch.len() as u64) < count {
            let again = batch.last().filter(|_| rng.random_bool(DUPLICATES)).cloned();
            let is_duplicate = again.is_some();
            let row = match again {
                Some(row) => {
                    facts.duplicates += 1;
                    row
                }
                None => {
                    let share = (made + batch.len() as u64) as f64 / rows as f64;
                    let (row, is_late) = request(world, share, &mut rng);
                    facts.late += u64::from(is_late);
                    observations.request(row.at, row.bytes, row.status >= 500, is_late);
                    row
                }
            };
            if is_duplicate {
                observations.duplicate(row.at, row.bytes, row.status >= 500);
            }
            note(&mut facts, &row, starved);
            batch.push(row);
        }
        made += count;
        files.write(&columns(&batch)?)?;
    }
    files.close()?;
    Ok((facts, observations))
}

/// A request that arrives after a share of all, and whether it does so late.
fn request(world: &World, share: f64, rng: &mut StdRng) -> (Row, bool) {
    let arrival = world.arrival(share);
    let latest = arrival - world.start;
    let delay = if rng.random_bool(LATE) {
        TimeDelta::minutes(rng.random_range(60..36 * 60))
    } else {
        TimeDelta::milliseconds(rng.random_range(50..5_000))
    };
    let is_late = delay >= TimeDelta::hours(1) && delay <= latest;
    let at = if delay <= latest { arrival - delay } else { arrival };
    let user = world.user(rng);
    let edge = world.edge(user, rng);
    let status = match rng.random_range(0..1_000) {
        0..4 => 503,
        4..12 => 404,
        12..150 => 304,
        150..420 => 206,
        _ => 200,
    };
    let bytes = match status {
        200 | 206 => rng.random_range(180_000..4_200_000),
        _ => rng.random_range(120..900),
    };
    // About log-normal: the sum of a few uniform draws is close to a normal one.
    let spread: f64 = (0..4).map(|_| rng.random_range(-1.0..1.0)).sum();
    let slow = if status == 503 { 8.0 } else { 1.0 };
    let response_ms = (EDGES[edge].median_ms * slow * (0.7 * spread).exp()).round();
    let row = Row {
        request: rng.random(),
        user,
        title: world.title(rng),
        edge,
        response_ms: (response_ms as i32).clamp(1, SLOWEST_MS as i32 - 1),
        bytes,
        status,
        at: at.timestamp_micros(),
        country: EDGES[world.home(user)].country,
    };
    (row, is_late)
}

fn note(facts: &mut LogFacts, row: &Row, starved: &BTreeSet<i64>) {
    facts.all.add(row);
    let edge = facts.edges.entry(EDGES[row.edge].name).or_default();
    edge.all.add(row);
    if starved.contains(&row.user) {
        edge.starved.add(row);
    }
    edge.histogram.resize(SLOWEST_MS, 0);
    edge.histogram[usize::try_from(row.response_ms).unwrap_or_default()] += 1;
    if let Some(at) = chrono::DateTime::from_timestamp_micros(row.at) {
        facts.days.entry(at.date_naive()).or_default().add(row);
    }
    facts.users.entry(row.user).or_default().add(row);
}

fn columns(rows: &[Row]) -> Result<RecordBatch> {
    let texts =
        |text: fn(&Row) -> &'static str| Arc::new(StringArray::from_iter_values(rows.iter().map(text)));
    let longs = |value: fn(&Row) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(value)));
    let ints = |value: fn(&Row) -> i32| Arc::new(Int32Array::from_iter_values(rows.iter().map(value)));
    let ids = rows.iter().map(|row| format!("{:016x}", row.request));
    files::batch([
        (
            "request_id",
            Arc::new(StringArray::from_iter_values(ids)) as arrow::array::ArrayRef,
        ),
        ("user_id", longs(|row| row.user)),
        ("title_id", longs(|row| row.title)),
        ("cdn_edge_location", texts(|row| EDGES[row.edge].name)),
        ("response_time_ms", ints(|row| row.response_ms)),
        ("bytes_transferred", longs(|row| row.bytes)),
        ("http_status", ints(|row| row.status)),
        (
            "request_ts",
            files::instants(rows.iter().map(|row| row.at).collect()),
        ),
        ("user_country", texts(|row| row.country)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        // Ten values: 0 five times, 3 five times.
        let histogram = [5, 0, 0, 5];
        assert_eq!(
            [0.1, 0.5, 0.51, 1.0].map(|share| quantile(&histogram, share)),
            [0, 0, 3, 3]
        );
        assert_eq!(quantile(&[], 0.5), 0);
    }

    #[test]
    fn what_is_counted_is_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(3, 5_000, "2026-03-10T09:30:00Z".parse().unwrap());
        let (facts, _) = generate(&world, 5_000, &BTreeSet::new(), folder.path()).unwrap();
        assert_eq!(facts.all.rows, 5_000);
        assert_eq!(facts.days.values().map(|day| day.rows).sum::<u64>(), 5_000);
        assert_eq!(
            facts
                .edges
                .values()
                .map(|edge| edge.histogram.iter().sum::<u64>())
                .sum::<u64>(),
            5_000
        );
        assert_eq!(
            facts.users.values().map(|user| user.bytes).sum::<i128>(),
            facts.all.bytes
        );
        assert!(facts.duplicates > 10 && facts.late > 20, "{facts:?}");
        assert_eq!(facts.days.len(), 7);
        assert!(std::fs::read_dir(folder.path().join("cdn_logs")).unwrap().count() >= 1);
    }
}
