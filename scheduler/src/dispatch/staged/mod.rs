//! Plans in stages, on Ballista: each stage keeps what it gives on the executors' disks before the next
//! one reads it. For queries larger than memory, and only where asked for.
//!
//! Ballista is embedded: its scheduler lives in this process and is reached over the cluster's port
//! alone, its executors ask for tasks there. An executor that is lost costs another try of the whole
//! query, as a job of its own: what Ballista does by itself then may hang or give rows twice.
//!
//! `server` is Ballista's scheduler, `plan` makes plans it can cut, `job` is one try, `watch` sees when
//! it gets nowhere, `results` reads its rows, `calls` are ours to the executors.

mod calls;
mod job;
mod plan;
mod results;
mod server;
mod watch;

use std::sync::Arc;

use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::displayable;
use watershed_core::Result;
use watershed_core::telemetry;
use watershed_storage::error::from_datafusion;

use super::context::{Counters, StatementContext};
use super::exchange::{Exchange, probe, wait_for_members};
use super::fault::{Fault, MAX_TRIES, exhausted, judge};
use super::physical::Write;

pub use server::{ClusterService, Staged};

/// Runs a query to its end, and gives its rows once they are all there.
pub(super) async fn run(
    staged: &Staged,
    state: &SessionState,
    plan: &LogicalPlan,
    write: Option<&Write>,
    statement: &Arc<StatementContext>,
) -> Result<SendableRecordBatchStream> {
    let exchange = Exchange {
        membership: Arc::clone(&staged.membership),
        channels: staged.channels.clone(),
    };
    let (mut tries, noted) = (1, statement.scans.len());
    loop {
        let members = wait_for_members(&exchange, statement).await?;
        statement.scans.truncate(noted);
        let planned = plan::plan(state, plan, write, &members, statement.batch_rows()).await?;
        let error = match job::attempt(staged, &planned, statement).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        let error = match judge(error) {
            Fault::Statement(error) => return Err(error),
            Fault::Executor(error) => error,
        };
        tracing::info!(statement = %statement.id, %error, "query is run again as another job");
        probe(&exchange, statement, &members).await;
        statement.last_try(&exchange.membership).await?;
        if tries >= MAX_TRIES {
            return Err(exhausted(&error));
        }
        tries += 1;
        Counters::add(&statement.counters.retries, 1);
        telemetry::RETRIES.inc();
    }
}

/// The stages that [`run`] would execute as texts, the last one first, for `EXPLAIN`.
pub(super) async fn explain(
    staged: &Staged,
    state: &SessionState,
    plan: &LogicalPlan,
    write: Option<&Write>,
    statement: &Arc<StatementContext>,
    verbose: bool,
) -> Result<Vec<String>> {
    let members = statement.members(&staged.membership);
    let planned = plan::plan(state, plan, write, &members, statement.batch_rows()).await?;
    let stages = plan::stages(&planned.plan, planned.state.config_options()).map_err(from_datafusion)?;
    let texts = stages.iter().rev().map(|stage| {
        let given = match stage.shuffle_output_partitioning() {
            Some(partitioning) => partitioning.to_string(),
            None => stage.properties().output_partitioning().to_string(),
        };
        let drawn = stage
            .children()
            .into_iter()
            .map(|plan| displayable(plan.as_ref()).indent(verbose).to_string());
        format!(
            "stage {} gives {given}\n{}",
            stage.stage_id(),
            drawn.collect::<String>()
        )
    });
    Ok(texts.collect())
}
