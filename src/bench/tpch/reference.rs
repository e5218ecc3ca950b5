//! The same queries over the same files by DataFusion alone, in this process: what is right, and what
//! one process takes for it.

use std::path::Path;

use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionContext;
use datafusion::prelude::{ParquetReadOptions, SessionConfig};
use watershed_core::clock::SystemClock;
use watershed_core::{Error, Result};

use super::data::TABLES;
use super::measure::{Outcome, Series};
use super::queries::Query;
use crate::answer::{Cell, cells, sorted};

/// As many as the runtime of this process has.
pub(super) const THREADS: usize = 2;

/// A query's rows, sorted.
pub(super) type Answer = Vec<Vec<Cell>>;

pub(super) struct Reference {
    pub(super) series: Series,
    /// In the order of the queries.
    pub(super) answers: Vec<Answer>,
}

pub(super) async fn run(files: &Path, queries: &[Query], runs: u64) -> Result<Reference> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(THREADS));
    for table in &TABLES {
        let location = format!("{}/", files.join(table.name).display());
        context
            .register_parquet(table.name, location, ParquetReadOptions::default())
            .await
            .map_err(|error| failed(0, &error))?;
    }
    let mut answers = Vec::new();
    let mut outcomes = Vec::new();
    for (number, sql) in queries {
        let mut times = Vec::new();
        let mut answer = Vec::new();
        for _ in 0..runs {
            let clock = SystemClock::shared();
            let batches = async { context.sql(sql).await?.collect().await }
                .await
                .map_err(|error| failed(*number, &error))?;
            times.push(clock.elapsed().as_secs_f64() * 1_000.0);
            answer.clear();
            for batch in &batches {
                answer.extend(cells(batch)?);
            }
        }
        answers.push(sorted(answer));
        outcomes.push(Outcome::Right(times));
    }
    let series = Series {
        name: format!("datafusion ×{THREADS}"),
        outcomes,
    };
    Ok(Reference { series, answers })
}

fn failed(number: u64, error: &DataFusionError) -> Error {
    Error::internal(format!("DataFusion cannot answer query {number}")).with_detail(error.to_string())
}
