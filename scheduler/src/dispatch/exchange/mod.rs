//! Plans that shuffle run on datafusion-distributed's workers as they are, as a whole: an executor
//! that is lost costs another try of the query, so its rows are held back until the last of them is
//! there, unless they become too many.
//!
//! [`run`] is the query with its tries; `arriving` takes the rows of one; `head` says when the last row has
//! come; `route` keeps shards with their owners.

mod arriving;
mod head;
mod route;

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{
    ChannelResolver, DistributedMetricsFormat, GetWorkerInfoRequest, SessionStateBuilderExt,
    rewrite_distributed_plan_with_metrics,
};
use futures::future::join_all;
use url::Url;
use watershed_cluster::{Channels, session};
use watershed_core::settings::HOLD_BACK;
use watershed_core::telemetry;
use watershed_storage::error::from_datafusion;

use self::arriving::Arriving;
use self::head::{Head, HeadPlanner};
pub(super) use self::route::NoWorkers;
use self::route::{Routes, Workers};
use super::context::{Counters, StatementContext};
use super::fault::{Fault, MAX_TRIES, exhausted, judge};
use super::gather::no_executor;
use super::measure::{REPORT_WAIT, Scanned};
use super::physical::{self, Write};
use super::release::HeldRows;
use crate::cluster::{Members, Membership};

/// A suspect that answers within this is none.
const PROBE_TIMEOUT: Duration = Duration::from_millis(300);
/// Heartbeats come every second; one that is this late has been missed.
const LATE: Duration = Duration::from_millis(1_500);
/// How long a statement waits for an executor when all are gone.
const EXECUTOR_WAIT: Duration = Duration::from_secs(1);
/// A result that is so many times larger than what is held back in memory, and than the least below, is given
/// out as it comes: holding it back would take more room on disk than another run of the statement is worth.
const MAX_HELD_FACTOR: usize = 32;
const MIN_HELD_BYTES: usize = 32 << 20;

/// What the exchange needs of its scheduler.
#[derive(Clone)]
pub struct Exchange {
    pub membership: Arc<Membership>,
    pub channels: Channels,
}

/// A query that has run.
pub struct Answer {
    pub rows: SendableRecordBatchStream,
    /// With the counts of every worker that told them in time.
    pub plan: Arc<dyn ExecutionPlan>,
}

/// Runs a query, and gives its rows once they are all there, or too many to be held back.
pub async fn run(
    exchange: &Exchange,
    state: &SessionState,
    plan: &LogicalPlan,
    write: Option<&Write>,
    statement: &Arc<StatementContext>,
) -> watershed_core::Result<Answer> {
    let (mut tries, noted) = (1, statement.scans.len());
    loop {
        let members = wait_for_members(exchange, statement).await?;
        statement.scans.truncate(noted);
        let error = match attempt(exchange, state, plan, write, statement, &members).await {
            Ok(answer) => {
                let nodes = members.executors.keys();
                nodes.for_each(|node| exchange.membership.succeeded(node));
                return Ok(answer);
            }
            Err(error) => error,
        };
        let error = match judge(error) {
            Fault::Statement(error) => return Err(error),
            Fault::Executor(error) => error,
        };
        tracing::info!(statement = %statement.id, %error, "query is run again");
        probe(exchange, statement, &members).await;
        statement.last_try(&exchange.membership).await?;
        if tries >= MAX_TRIES {
            return Err(exhausted(&error));
        }
        tries += 1;
        Counters::add(&statement.counters.retries, 1);
        telemetry::RETRIES.inc();
    }
}

pub(super) async fn wait_for_members(
    exchange: &Exchange,
    statement: &StatementContext,
) -> watershed_core::Result<Members> {
    let mut changes = exchange.membership.subscribe();
    loop {
        let members = statement.members(&exchange.membership);
        if !members.executors.is_empty() {
            return Ok(members);
        }
        match tokio::time::timeout(EXECUTOR_WAIT, changes.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(no_executor()),
        }
    }
}

/// The plan that [`run`] would execute, for `EXPLAIN`.
pub async fn plan(
    exchange: &Exchange,
    state: &SessionState,
    plan: &LogicalPlan,
    write: Option<&Write>,
    statement: &Arc<StatementContext>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let members = statement.members(&exchange.membership);
    physical(exchange, state, plan, write, statement, &members, Head::default()).await
}

async fn physical(
    exchange: &Exchange,
    state: &SessionState,
    plan: &LogicalPlan,
    write: Option<&Write>,
    statement: &StatementContext,
    members: &Members,
    head: Head,
) -> Result<Arc<dyn ExecutionPlan>> {
    let planner = HeadPlanner {
        head,
        write: write.cloned(),
    };
    let state = SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config(exchange, state, statement, members)?)
        .with_query_planner(Arc::new(planner))
        .with_distributed_planner()
        .build();
    // Optimized here, since this session has options of its own: subqueries become joins.
    let optimized = state.optimize(plan)?;
    state
        .query_planner()
        .create_physical_plan(&optimized, &state)
        .await
}

async fn attempt(
    exchange: &Exchange,
    state: &SessionState,
    plan: &LogicalPlan,
    write: Option<&Write>,
    statement: &Arc<StatementContext>,
    members: &Members,
) -> Result<Answer> {
    let head = Head::default();
    let distributed = physical(exchange, state, plan, write, statement, members, head.clone()).await?;
    let plan = Arc::clone(&distributed);
    let plan = match plan.output_partitioning().partition_count() {
        1 => plan,
        // Nothing of it was worth distributing.
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    };
    let context = task_context(exchange, state, statement, members)?;
    let mut arriving = Arriving::new(plan.execute(0, context)?, head, members);
    let in_memory = statement.settings.number(HOLD_BACK);
    let most = in_memory.saturating_mul(MAX_HELD_FACTOR).max(MIN_HELD_BYTES);
    let mut held = HeldRows::new(plan.schema(), Arc::clone(state.runtime_env()), in_memory);
    while let Some(batch) = arriving.next().await? {
        held.push(batch)?;
        if held.bytes() > most {
            let rows = arriving.streamed(held, plan.schema(), distributed, Arc::clone(statement))?;
            return Ok(Answer { rows, plan });
        }
    }
    let measured = measured(distributed).await;
    Scanned::of_plan(&measured).note(&statement.counters);
    Ok(Answer {
        rows: held.release()?,
        plan: measured,
    })
}

/// The plan with what its workers counted, if they all tell in time.
async fn measured(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let format = DistributedMetricsFormat::Aggregated;
    let told = rewrite_distributed_plan_with_metrics(Arc::clone(&plan), format);
    match tokio::time::timeout(REPORT_WAIT, told).await {
        Ok(Ok(measured)) => measured,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the counts of a query are not complete");
            plan
        }
        Err(_) => plan,
    }
}

/// The session's configuration with the executors of this try in it.
fn config(
    exchange: &Exchange,
    state: &SessionState,
    statement: &StatementContext,
    members: &Members,
) -> Result<SessionConfig> {
    let routes = Routes::new(members)?;
    let options = physical::statement_options(statement);
    let config = session::distribute(
        state.config().clone(),
        options,
        exchange.channels.clone(),
        Workers(routes.urls()),
    )?;
    Ok(routes.install(config))
}

fn task_context(
    exchange: &Exchange,
    state: &SessionState,
    statement: &StatementContext,
    members: &Members,
) -> Result<Arc<TaskContext>> {
    let builder = SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config(exchange, state, statement, members)?);
    Ok(builder.with_distributed_planner().build().task_ctx())
}

/// Asks every executor of a failed try whether it answers, as the error does not say which one failed.
/// One that is only slow to answer is busy, unless its heartbeats are late too.
pub(super) async fn probe(exchange: &Exchange, statement: &StatementContext, members: &Members) {
    let current = exchange.membership.current();
    let probes = members.executors.values().map(|executor| async {
        let answered = tokio::time::timeout(PROBE_TIMEOUT, async {
            let url =
                Url::parse(&executor.url).map_err(|error| DataFusionError::External(Box::new(error)))?;
            let mut client = exchange.channels.get_worker_client_for_url(&url).await?;
            client.get_worker_info(GetWorkerInfoRequest {}).await
        })
        .await;
        let silent = match answered {
            Ok(answer) => answer.is_err(),
            Err(_) => exchange.membership.is_late(&executor.node, LATE),
        };
        if silent || !current.executors.contains_key(&executor.node) {
            statement.suspect(executor, &exchange.membership);
        }
    });
    join_all(probes).await;
}

/// Errors of planning are the statement's.
impl Exchange {
    pub async fn explain(
        &self,
        state: &SessionState,
        logical: &LogicalPlan,
        write: Option<&Write>,
        statement: &Arc<StatementContext>,
    ) -> watershed_core::Result<Arc<dyn ExecutionPlan>> {
        plan(self, state, logical, write, statement)
            .await
            .map_err(from_datafusion)
    }
}
