//! One try of a query: a job of Ballista's, from its submission to its last row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{
    JobStatus, PartitionLocation, RunningTask, SuccessfulTask, task_status,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use tokio::sync::mpsc;
use watershed_cluster::staged::{executor_id, recover};
use watershed_core::id::NodeId;
use watershed_core::settings::HOLD_BACK;
use watershed_core::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use super::plan::Planned;
use super::server::Staged;
use super::watch::{Picture, Verdict, Watch};
use super::{calls, results};
use crate::cluster::Executor;
use crate::dispatch::context::StatementContext;
use crate::dispatch::gather::no_executor;
use crate::dispatch::release::HeldRows;

/// How often a job is looked at between the news of it.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// News of one job that may wait to be read. One that does not fit is found when the job is looked at.
const MAX_NEWS: usize = 16;
/// How long, and how often, a job that is not wanted any more is told so.
const CANCEL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_CANCELS: u32 = 100;

/// Runs a job and gives its rows.
pub(super) async fn attempt(
    staged: &Staged,
    planned: &Planned,
    statement: &Arc<StatementContext>,
) -> Result<SendableRecordBatchStream> {
    let context = Arc::new(SessionContext::new_with_state(planned.state.clone()));
    let (news, mut told) = mpsc::channel(MAX_NEWS);
    let name = statement.id.to_string();
    let submitted = staged
        .server
        .submit_physical_plan(&name, context, Arc::clone(&planned.plan), Some(news))
        .await;
    let id = submitted.map_err(|error| DataFusionError::External(Box::new(error)))?;
    let mut job = Job {
        executors: staged.membership.current().executors.clone(),
        staged: staged.clone(),
        id,
        used: BTreeSet::new(),
        ended: false,
    };
    let locations = job.finish(&mut told).await?;
    let locations = results::checked(locations, planned.partitions)?;
    let schema = planned.plan.schema();
    let limit = statement.settings.number(HOLD_BACK);
    let held = HeldRows::new(Arc::clone(&schema), Arc::clone(&staged.runtime), limit);
    tokio::select! {
        biased;
        held = results::read(&staged.channels, locations, &schema, held) => held?.release(),
        lost = job.lost() => Err(gone(&lost)),
    }
}

/// A job. Dropped, it is cancelled where it still runs, and its files go.
struct Job {
    staged: Staged,
    id: JobId,
    /// The executors that lived when it began.
    executors: BTreeMap<NodeId, Executor>,
    /// The executors that have run tasks of it: its files are there.
    used: BTreeSet<String>,
    ended: bool,
}

impl Job {
    /// Waits until the job has ended, and gives where its rows are.
    async fn finish(&mut self, told: &mut mpsc::Receiver<JobStatus>) -> Result<Vec<PartitionLocation>> {
        let mut changes = self.staged.membership.subscribe();
        let mut watch = Watch::default();
        let mut news_end = false;
        loop {
            let status = tokio::select! {
                status = told.recv(), if !news_end => {
                    news_end = status.is_none();
                    status
                }
                _ = changes.changed() => None,
                () = tokio::time::sleep(LOOK_INTERVAL) => None,
            };
            let status = match status {
                Some(status) => Some(status),
                None => self.status().await?,
            };
            match status.and_then(|status| status.status) {
                Some(Status::Successful(done)) => {
                    self.ended = true;
                    self.used.extend(executors_of(&done.partition_location));
                    return match self.lost_now() {
                        Some(lost) => Err(gone(&lost)),
                        None => Ok(done.partition_location),
                    };
                }
                Some(Status::Failed(failed)) => {
                    self.ended = true;
                    return Err(recover(&failed.error));
                }
                Some(Status::Running(_) | Status::Queued(_)) | None => {}
            }
            let Some(picture) = self.picture().await else {
                continue;
            };
            if let Some(lost) = self.lost_now() {
                return Err(gone(&lost));
            }
            if self.staged.membership.current().executors.is_empty() {
                return Err(into_datafusion(no_executor()));
            }
            self.judge(&mut watch, picture).await?;
        }
    }

    async fn status(&self) -> Result<Option<JobStatus>> {
        let status = self
            .staged
            .server
            .state
            .task_manager
            .get_job_status(&self.id)
            .await;
        status.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// The job's tasks, once it is planned.
    async fn picture(&mut self) -> Option<Picture> {
        let running = self.staged.server.state.task_manager.get_running_job_cache();
        let graph = Arc::clone(&running.get(&self.id)?.execution_graph);
        let graph = graph.read().await;
        let mut picture = Picture {
            waiting: graph.available_tasks(),
            ..Picture::default()
        };
        for task in graph
            .stages()
            .values()
            .filter_map(|stage| stage.task_infos())
            .flatten()
        {
            match &task.task_status {
                task_status::Status::Running(RunningTask { executor_id }) => {
                    self.used.insert(executor_id.clone());
                    *picture.running.entry(executor_id.clone()).or_default() += 1;
                }
                task_status::Status::Successful(SuccessfulTask { executor_id, .. }) => {
                    self.used.insert(executor_id.clone());
                    picture.ended += 1;
                }
                task_status::Status::Failed(_) => picture.ended += 1,
            }
        }
        Some(picture)
    }

    async fn judge(&self, watch: &mut Watch, picture: Picture) -> Result<()> {
        let living = self.living();
        let clock = &self.staged.clock;
        let now = u64::try_from(clock.now().timestamp()).unwrap_or_default();
        let heartbeats = &self.staged.server.state.executor_manager;
        let heard = living
            .keys()
            .filter_map(|id| heartbeats.get_executor_hearbeat(id))
            .map(|heard| heard.timestamp);
        let heard = heard.max().map(|at| Duration::from_secs(now.saturating_sub(at)));
        let mut verdict = watch.look(picture.clone(), clock.elapsed(), heard);
        if let Verdict::Ask(executors) = &verdict {
            let mut answers = BTreeMap::new();
            for id in executors {
                if let Some(executor) = living.get(id)
                    && let Some(tasks) = calls::tasks(executor, &self.staged.channels, self.id.as_str()).await
                {
                    answers.insert(id.clone(), tasks);
                }
            }
            verdict = watch.answered(&answers);
        }
        match verdict {
            Verdict::Fine | Verdict::Ask(_) => Ok(()),
            Verdict::Stuck(why) => {
                tracing::warn!(job = %self.id, why, ?picture, "a staged job got stuck");
                let error = Error::new(SqlState::CannotConnectNow, "a job of the statement got stuck");
                Err(into_datafusion(error.with_detail(why)))
            }
        }
    }

    /// The executors that live, as Ballista calls them.
    fn living(&self) -> BTreeMap<String, Executor> {
        let members = self.staged.membership.current();
        let executors = members.executors.values();
        executors
            .map(|executor| {
                (
                    executor_id(&executor.node, executor.incarnation),
                    executor.clone(),
                )
            })
            .collect()
    }

    /// An executor that has run tasks of this job and lives no more.
    fn lost_now(&self) -> Option<String> {
        let living = self.living();
        self.used.iter().find(|id| !living.contains_key(*id)).cloned()
    }

    /// Ends with the first such executor.
    async fn lost(&self) -> String {
        let mut changes = self.staged.membership.subscribe();
        loop {
            if let Some(lost) = self.lost_now() {
                return lost;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let (staged, id, ended) = (self.staged.clone(), self.id.clone(), self.ended);
        let mut executors = std::mem::take(&mut self.executors);
        // Without a runtime the process is ending, and its executors notice.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            // One that does not live any more may be frozen, and have files of the job.
            executors.extend(staged.membership.current().executors.clone());
            let end = || calls::end(&executors, &staged.channels, id.as_str());
            if !ended {
                // Its tasks stop at once, before Ballista knows of it; later ones do not start.
                end().await;
                cancel(&staged, &id).await;
            }
            end().await;
        });
    }
}

/// Cancels a job. One that is still being planned does not hear it, so it is told again.
async fn cancel(staged: &Staged, id: &JobId) {
    for _ in 0..MAX_CANCELS {
        if let Err(error) = staged.server.cancel_job(id.clone()).await {
            tracing::warn!(job = %id, %error, "a staged job cannot be cancelled");
            return;
        }
        tokio::time::sleep(CANCEL_INTERVAL).await;
        match staged.server.state.task_manager.get_job_status(id).await {
            Ok(Some(JobStatus {
                status: Some(Status::Queued(_) | Status::Running(_)),
                ..
            })) => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(job = %id, %error, "a staged job cannot be looked at");
                return;
            }
        }
    }
    tracing::warn!(job = %id, "a staged job did not end when it was cancelled");
}

fn executors_of(locations: &[PartitionLocation]) -> impl Iterator<Item = String> {
    locations.iter().filter_map(|location| {
        location
            .executor_meta
            .as_ref()
            .map(|executor| executor.id.clone())
    })
}

fn gone(executor: &str) -> DataFusionError {
    let node = executor.rsplit_once('.').map_or(executor, |(node, _)| node);
    let node = NodeId::new(node);
    into_datafusion(Error::new(
        SqlState::CannotConnectNow,
        format!("executor {node} is gone"),
    ))
}
