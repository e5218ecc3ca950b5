//! `realtime_metrics` and `batch_metrics`: the same numbers from two layers.
//!
//! The speed layer counts what has arrived when a window closes: it misses what comes late and counts
//! twice what comes twice. The batch layer, days later, counts every request once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, StringArray};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use watershed_core::Result;

use super::files::{self, Files};
use crate::demo::world::{World, midnight};

pub(in crate::demo) const METRICS: [&str; 3] = ["cdn_bytes", "cdn_errors", "cdn_requests"];
/// Minutes of a window of the speed layer.
const WINDOW: i64 = 5;

/// Values of all metrics, in their order. Whole numbers, so that their sums are exact.
type Values = [f64; METRICS.len()];

/// What the two layers saw.
#[derive(Debug, Default)]
pub(super) struct Observations {
    /// By the number of the window since 1970.
    windows: BTreeMap<i64, Values>,
    days: BTreeMap<NaiveDate, Values>,
}

impl Observations {
    pub(super) fn request(&mut self, at_micros: i64, bytes: i64, is_error: bool, is_late: bool) {
        let values = values(bytes, is_error);
        if let Some(at) = DateTime::from_timestamp_micros(at_micros) {
            add(self.days.entry(at.date_naive()).or_default(), values);
        }
        if !is_late {
            add(self.windows.entry(window(at_micros)).or_default(), values);
        }
    }

    /// A request that was delivered before.
    pub(super) fn duplicate(&mut self, at_micros: i64, bytes: i64, is_error: bool) {
        add(
            self.windows.entry(window(at_micros)).or_default(),
            values(bytes, is_error),
        );
    }
}

fn values(bytes: i64, is_error: bool) -> Values {
    [bytes as f64, f64::from(u8::from(is_error)), 1.0]
}

fn add(sum: &mut Values, values: Values) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

fn window(at_micros: i64) -> i64 {
    at_micros.div_euclid(WINDOW * 60 * 1_000_000)
}

/// A window of the speed layer.
#[derive(Debug, Clone)]
pub(in crate::demo) struct Window {
    pub(in crate::demo) start: DateTime<Utc>,
    values: Values,
}

impl Window {
    pub(in crate::demo) fn end(&self) -> DateTime<Utc> {
        self.start + TimeDelta::minutes(WINDOW)
    }
}

/// What is true of the two layers' tables.
#[derive(Debug)]
pub(in crate::demo) struct MetricFacts {
    pub(in crate::demo) windows: Vec<Window>,
    /// Days that the batch layer has done.
    pub(in crate::demo) days: BTreeMap<NaiveDate, Values>,
}

impl MetricFacts {
    pub(in crate::demo) fn realtime_rows(&self) -> usize {
        self.windows.len() * METRICS.len()
    }

    pub(in crate::demo) fn batch_rows(&self) -> usize {
        self.days.len() * METRICS.len()
    }

    /// Rows and sum by day of what a view over the two layers shows of a metric.
    pub(in crate::demo) fn by_day(
        &self,
        metric: usize,
        shows_window: impl Fn(&Window) -> bool,
        shows_day: impl Fn(NaiveDate) -> bool,
    ) -> BTreeMap<NaiveDate, (u64, f64)> {
        let windows = self
            .windows
            .iter()
            .filter(|window| shows_window(window))
            .map(|window| (window.start.date_naive(), window.values[metric]));
        let days = self
            .days
            .iter()
            .filter(|(day, _)| shows_day(**day))
            .map(|(day, values)| (*day, values[metric]));
        let mut shown: BTreeMap<NaiveDate, (u64, f64)> = BTreeMap::new();
        for (day, value) in windows.chain(days) {
            let sum = shown.entry(day).or_default();
            sum.0 += 1;
            sum.1 += value;
        }
        shown
    }
}

/// Writes both tables: windows that are closed, and days that the nightly batch has done, which are
/// those before yesterday.
pub(super) fn write(world: &World, observed: Observations, folder: &Path) -> Result<MetricFacts> {
    let windows = observed
        .windows
        .into_iter()
        .filter_map(|(number, values)| {
            let start = DateTime::from_timestamp(number * WINDOW * 60, 0)?;
            Some(Window { start, values })
        })
        .filter(|window| window.end() <= world.now)
        .collect();
    let mut days = observed.days;
    days.retain(|day, _| *day < world.yesterday());
    let facts = MetricFacts { windows, days };
    write_realtime(&facts, folder)?;
    write_batch(&facts, folder)?;
    Ok(facts)
}

fn write_realtime(facts: &MetricFacts, folder: &Path) -> Result<()> {
    let rows: Vec<(&str, f64, &Window)> = facts
        .windows
        .iter()
        .flat_map(|window| {
            METRICS
                .iter()
                .zip(window.values)
                .map(move |(name, value)| (*name, value, window))
        })
        .collect();
    let instants = |at: &dyn Fn(&Window) -> DateTime<Utc>| {
        files::instants(
            rows.iter()
                .map(|(_, _, window)| at(window).timestamp_micros())
                .collect(),
        )
    };
    let mut files = Files::create(folder, "realtime_metrics", rows.len() as u64)?;
    files.write(&files::batch([
        ("metric_name", names(rows.iter().map(|row| row.0))),
        ("metric_value", numbers(rows.iter().map(|row| row.1))),
        ("window_start", instants(&|window| window.start)),
        ("window_end", instants(&Window::end)),
        (
            "computed_at",
            instants(&|window| window.end() + TimeDelta::seconds(30)),
        ),
    ])?)?;
    files.close()
}

fn write_batch(facts: &MetricFacts, folder: &Path) -> Result<()> {
    let rows: Vec<(&str, f64, NaiveDate)> = facts
        .days
        .iter()
        .flat_map(|(day, values)| {
            METRICS
                .iter()
                .zip(values)
                .map(|(name, value)| (*name, *value, *day))
        })
        .collect();
    let done = |day: NaiveDate| (midnight(day) + TimeDelta::hours(50)).timestamp_micros();
    let days = rows
        .iter()
        .map(|row| arrow::datatypes::Date32Type::from_naive_date(row.2));
    let mut files = Files::create(folder, "batch_metrics", rows.len() as u64)?;
    files.write(&files::batch([
        ("metric_name", names(rows.iter().map(|row| row.0))),
        (
            "date_partition",
            Arc::new(Date32Array::from_iter_values(days)) as ArrayRef,
        ),
        ("metric_value", numbers(rows.iter().map(|row| row.1))),
        (
            "computed_at",
            files::instants(rows.iter().map(|row| done(row.2)).collect()),
        ),
    ])?)?;
    files.close()
}

fn names<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn numbers(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_layer_misses_what_is_late_and_counts_duplicates() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(1, 100, "2026-03-10T09:30:00Z".parse().unwrap());
        let noon = |day: &str| {
            format!("{day}T12:00:00Z")
                .parse::<DateTime<Utc>>()
                .unwrap()
                .timestamp_micros()
        };
        let mut observed = Observations::default();
        observed.request(noon("2026-03-07"), 10, false, false);
        observed.duplicate(noon("2026-03-07"), 10, false);
        observed.request(noon("2026-03-07"), 5, true, true);
        observed.request(noon("2026-03-09"), 7, false, false);
        let facts = write(&world, observed, folder.path()).unwrap();
        let day = "2026-03-07".parse().unwrap();
        assert_eq!(facts.by_day(0, |_| true, |_| false)[&day], (1, 20.0));
        assert_eq!(facts.by_day(0, |_| false, |_| true)[&day], (1, 15.0));
        // Yesterday is not yet done.
        assert_eq!((facts.realtime_rows(), facts.batch_rows()), (6, 3));
    }
}
