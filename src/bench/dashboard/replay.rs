//! The viewers: one after the other refreshes all panels, and begins anew after the refresh time. Each query is
//! due at a moment that does not depend on the answers before it, and is timed from then on.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use super::queries::Panel;
use super::{DashboardOptions, is_refused};
use crate::processes::{Cluster, Session};

const SEED: u64 = 7;

/// An answer that is kept to be checked.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) panel: Panel,
    pub(super) answer: RecordBatch,
}

#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// From when each query was due, sorted.
    pub(super) milliseconds: Vec<f64>,
    /// Queries that the engine had no room for.
    pub(super) refused: u64,
    pub(super) failed: Vec<String>,
    pub(super) samples: Vec<Sample>,
}

struct Refreshed {
    number: u64,
    milliseconds: f64,
    answer: Result<RecordBatch>,
}

pub(super) async fn run(
    cluster: &Cluster,
    panels: &Arc<Vec<Panel>>,
    options: &DashboardOptions,
) -> Result<Replayed> {
    let mut viewers = Vec::new();
    for _ in 0..options.viewers {
        viewers.push(cluster.session().await?);
    }
    let queries = panels.len() as u64;
    let per_refresh = queries * options.viewers;
    let gap = Duration::from_secs(options.refresh).div_f64(per_refresh as f64);
    let count = (options.duration as f64 / gap.as_secs_f64()) as u64;
    let sampled = samples(count, options.checks);
    let (send, mut receive) = mpsc::unbounded_channel();
    let pacing = pace(viewers, Arc::clone(panels), gap, count, send);
    let mut replayed = Replayed::default();
    while let Some(refreshed) = receive.recv().await {
        match refreshed.answer {
            Err(error) if is_refused(&error) => {
                replayed.refused += 1;
                continue;
            }
            Ok(answer) if sampled.binary_search(&refreshed.number).is_ok() => {
                let panel = panels[usize::try_from(refreshed.number % queries).unwrap_or_default()];
                replayed.samples.push(Sample { panel, answer });
            }
            Ok(_) => {}
            Err(error) => replayed.failed.push(error.to_string()),
        }
        replayed.milliseconds.push(refreshed.milliseconds);
    }
    pacing.await.map_err(|error| super::task_failed(&error))??;
    replayed.milliseconds.sort_by(f64::total_cmp);
    Ok(replayed)
}

/// Sends every query when it is due: viewer after viewer, each all panels.
fn pace(
    viewers: Vec<Session>,
    panels: Arc<Vec<Panel>>,
    gap: Duration,
    count: u64,
    send: mpsc::UnboundedSender<Refreshed>,
) -> tokio::task::JoinHandle<Result<()>> {
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own wakes up to tens of microseconds, a timer of the runtime to milliseconds.
    tokio::task::spawn_blocking(move || {
        let clock = SystemClock::shared();
        let queries = panels.len() as u64;
        let texts: Vec<Arc<str>> = panels.iter().map(|panel| panel.sql().into()).collect();
        for number in 0..count {
            let due = gap.mul_f64(number as f64);
            std::thread::sleep(due.saturating_sub(clock.elapsed()));
            let at = |number: u64, of: usize| usize::try_from(number % of as u64).unwrap_or_default();
            let viewer = viewers.get(at(number / queries, viewers.len()));
            let viewer = viewer
                .ok_or_else(|| Error::internal("there is no viewer"))?
                .clone();
            let (send, clock) = (send.clone(), Arc::clone(&clock));
            let sql = Arc::clone(&texts[at(number, texts.len())]);
            runtime.spawn(async move {
                let answer = viewer.rows(&sql).await;
                let took = clock.elapsed().saturating_sub(due);
                let refreshed = Refreshed {
                    number,
                    milliseconds: took.as_secs_f64() * 1_000.0,
                    answer,
                };
                // Who waits for it outlives it.
                send.send(refreshed).ok();
            });
        }
        Ok(())
    })
}

/// The numbers, sorted, of the queries whose answers are kept: one from each of so many stretches of time.
fn samples(count: u64, wanted: usize) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(SEED);
    let wanted = (wanted as u64).min(count);
    (0..wanted)
        .map(|stretch| {
            let (from, to) = (stretch * count / wanted, (stretch + 1) * count / wanted);
            random.random_range(from..to)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread() {
        assert_eq!(samples(3, 10), [0, 1, 2]);
        let samples = samples(10_000, 64);
        assert_eq!(samples.len(), 64);
        assert!(samples.is_sorted() && samples[0] < 157 && samples[63] > 9_842);
    }
}
