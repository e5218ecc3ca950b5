//! Runs the queries on one path over one kind of tables.

use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use super::queries::Query;
use super::reference::Answer;
use super::{Path, Tables};
use crate::answer::{cells, difference, sorted};
use crate::bench::median;
use crate::processes::Session;

/// What came of a query.
pub(super) enum Outcome {
    /// Its times in milliseconds.
    Right(Vec<f64>),
    Wrong(String),
    Failed(String),
}

/// All queries on one path over one kind of tables.
pub(super) struct Series {
    pub(super) name: String,
    /// In the order of the queries.
    pub(super) outcomes: Vec<Outcome>,
}

impl Outcome {
    pub(super) fn median_ms(&self) -> Option<f64> {
        match self {
            Self::Right(times) => Some(median(times.clone())),
            Self::Wrong(_) | Self::Failed(_) => None,
        }
    }
}

impl Series {
    /// The sum of the medians of what was answered rightly.
    pub(super) fn total_ms(&self) -> f64 {
        self.outcomes.iter().filter_map(Outcome::median_ms).sum()
    }

    /// What went wrong, by the place of the query.
    pub(super) fn failures(&self) -> impl Iterator<Item = (usize, String)> {
        self.outcomes
            .iter()
            .enumerate()
            .filter_map(|(at, outcome)| match outcome {
                Outcome::Right(_) => None,
                Outcome::Wrong(what) => Some((at, format!("wrong: {what}"))),
                Outcome::Failed(what) => Some((at, what.clone())),
            })
    }
}

/// A query that fails is an outcome like any other.
pub(super) async fn run(
    session: &Session,
    tables: Tables,
    path: Path,
    queries: &[Query],
    expected: &[Answer],
    runs: u64,
) -> Series {
    let settled = settle(session, tables, path).await;
    let mut outcomes = Vec::new();
    for ((_, sql), expected) in queries.iter().zip(expected) {
        outcomes.push(match &settled {
            Ok(()) => query(session, sql, expected, runs).await,
            Err(error) => Outcome::Failed(told(error)),
        });
    }
    Series {
        name: format!("{} {}", tables.schema(), path.name()),
        outcomes,
    }
}

async fn settle(session: &Session, tables: Tables, path: Path) -> Result<()> {
    session.update(&format!("USE {}", tables.schema())).await?;
    let setting = format!("SET watershed.execution = '{}'", path.name());
    session.update(&setting).await.map(drop)
}

/// Every run is verified, not the first alone.
async fn query(session: &Session, sql: &str, expected: &Answer, runs: u64) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..runs {
        let clock = SystemClock::shared();
        let answer = session.rows(sql).await;
        let took = clock.elapsed();
        match answer.and_then(|batch| cells(&batch)) {
            Ok(found) => match difference(expected, &sorted(found)) {
                None => times.push(took.as_secs_f64() * 1_000.0),
                Some(what) => return Outcome::Wrong(what),
            },
            Err(error) => return Outcome::Failed(told(&error)),
        }
    }
    Outcome::Right(times)
}

fn told(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {error} ({detail})", error.code()),
        None => format!("{}: {error}", error.code()),
    }
}
