//! Where a query runs, and how its rows come back.
//!
//! Reading order: `context` (what a statement runs under), [`choose`](choice), then the paths:
//! `gather`, `exchange` and `staged`; `narrow` (plans brought to fewer partitions), `fault` (what is tried
//! again), `release` (when rows are let go), `partial` (which answers may lack shards).

mod choice;
mod constants;
pub mod context;
mod depth;
mod exchange;
pub mod explain;
mod filtered;

mod fault;
pub mod gather;
mod measure;
mod narrow;
pub mod partial;
mod physical;
pub mod release;
pub mod staged;
mod subquery;

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use watershed_cluster::{Channels, session as cluster_session, yielding};
use watershed_core::cluster::CachesFigures;
use watershed_core::{Result, telemetry};
use watershed_storage::blocks::with_blocks;
use watershed_storage::cache::Caches;
use watershed_storage::error::from_datafusion;
use watershed_storage::session;

pub use choice::{Choice, Path};
pub use physical::Write;

use crate::cluster::Membership;
use context::StatementContext;
use exchange::Exchange;
use gather::KeptShards;
use partial::Standing;
use staged::Staged;

/// A query, or the query part of a write.
pub struct Job {
    pub statement: Arc<StatementContext>,
    pub plan: LogicalPlan,
    /// The same, where someone has optimized it already.
    pub optimized: Option<LogicalPlan>,
    pub write: Option<Write>,
}

/// Runs queries where they belong.
#[derive(Clone)]
pub struct Dispatch {
    membership: Arc<Membership>,
    channels: Channels,
    runtime: Arc<RuntimeEnv>,
    staged: Staged,
    /// Pipelines that run at a time in the scheduler itself.
    threads: usize,
    /// Shards that finished for answers that were partial.
    kept: Arc<KeptShards>,
    /// What plans that run in this process have read, and made of it.
    caches: Arc<Caches>,
}

impl Dispatch {
    pub fn new(
        membership: Arc<Membership>,
        channels: Channels,
        runtime: Arc<RuntimeEnv>,
        staged: Staged,
        caches: Arc<Caches>,
        threads: usize,
    ) -> Self {
        Self {
            membership,
            channels,
            runtime,
            staged,
            threads,
            kept: Arc::default(),
            caches,
        }
    }

    /// Pipelines that run at a time in this process.
    pub fn threads(&self) -> usize {
        self.threads
    }

    pub fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }

    /// What the caches of this process do.
    pub fn caches(&self) -> CachesFigures {
        self.caches.figures()
    }

    /// Forgets what plans in this process have read, and made of it.
    pub fn forget(&self) {
        self.caches.forget_all();
    }

    /// The session in which a statement is planned, one for all of it: it takes long to make.
    pub fn session<'a>(&self, statement: &'a StatementContext) -> &'a SessionState {
        statement.session.get_or_init(|| {
            let threads = self.threads.max(self.membership.current().threads());
            let config = session::config(&statement.settings, threads);
            let props = ExecutionProps::new().with_query_execution_start_time(statement.now);
            session::state(config, Arc::clone(&self.runtime))
                .with_execution_props(props)
                .build()
        })
    }

    /// Runs a query, or the query part of a write, for all its rows. The first of them may still be under
    /// way when this returns.
    pub async fn run(&self, job: &Job) -> Result<(Choice, SendableRecordBatchStream)> {
        if job.write.is_some() {
            job.statement.stand(Standing::Whole("it writes".to_owned()));
        }
        self.start(job, |_| {}).await
    }

    /// Runs a query whose answer goes to a client, and may be partial if the statement's settings say so.
    pub async fn answer(&self, job: &Job) -> Result<(Choice, SendableRecordBatchStream)> {
        self.start(job, |choice| partial::decide(&job.statement, choice))
            .await
    }

    async fn start(
        &self,
        job: &Job,
        decide: impl FnOnce(&Choice),
    ) -> Result<(Choice, SendableRecordBatchStream)> {
        let state = self.session(&job.statement);
        let job = &self.folded(job).await?;
        let mut choice = self.choose(state, job).await?;
        decide(&choice);
        telemetry::QUERIES.with_label_values(&[choice.path.name()]).inc();
        let (plan, write) = (&job.plan, job.write.as_ref());
        let rows = match (&choice.plan, choice.path) {
            (Some(plan), _) => self.execute(state, job, Arc::clone(plan))?,
            (None, Path::Staged) => staged::run(&self.staged, state, plan, write, &job.statement).await?,
            (None, Path::Local | Path::Gather | Path::Exchange) => {
                let answer = exchange::run(&self.exchange(), state, plan, write, &job.statement).await?;
                choice.plan = Some(answer.plan);
                answer.rows
            }
        };
        Ok((choice, rows))
    }

    /// The job with its scalar subqueries answered.
    async fn folded(&self, job: &Job) -> Result<Job> {
        let (plan, optimized) = match subquery::fold(self, &job.statement, &job.plan).await? {
            Some(folded) => (folded, None),
            None => (job.plan.clone(), job.optimized.clone()),
        };
        Ok(Job {
            statement: Arc::clone(&job.statement),
            plan,
            optimized,
            write: job.write.clone(),
        })
    }

    /// The choice alone.
    pub async fn choose(&self, state: &SessionState, job: &Job) -> Result<Choice> {
        let mut choice = choice::choose(self, state, job).await?;
        let prepare = |plan| yielding(with_blocks(plan, &self.runtime, &self.caches.blocks)?);
        choice.plan = choice.plan.map(prepare).transpose().map_err(from_datafusion)?;
        Ok(choice)
    }

    fn execute(
        &self,
        state: &SessionState,
        job: &Job,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<SendableRecordBatchStream> {
        let context = self.task_context(state, &job.statement)?;
        let rows = execute_stream(Arc::clone(&plan), context).map_err(from_datafusion)?;
        Ok(measure::noted(rows, plan, &job.statement))
    }

    fn task_context(&self, state: &SessionState, statement: &StatementContext) -> Result<Arc<TaskContext>> {
        let options = physical::statement_options(statement);
        // Gather nodes route their tasks themselves.
        let config = cluster_session::distribute(
            state.config().clone(),
            options,
            self.channels.clone(),
            exchange::NoWorkers,
        )
        .map_err(from_datafusion)?
        .with_extension(Arc::clone(&self.caches.fragments));
        Ok(Arc::new(TaskContext::from(state).with_session_config(config)))
    }

    fn exchange(&self) -> Exchange {
        Exchange {
            membership: Arc::clone(&self.membership),
            channels: self.channels.clone(),
        }
    }
}
