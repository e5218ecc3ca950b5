//! One task on one worker: a fragment with some of its shards.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion_distributed::{
    ExecuteTaskRequest, MaybeEncoded, ProducerHead, SetPlanRequest, TaskKey, WorkerToCoordinatorMsg,
    get_distributed_channel_resolver,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;
use uuid::Uuid;
use watershed_cluster::session;

use crate::cluster::Executor;
use crate::dispatch::measure::Scanned;

/// Figures of a task that come later than this after its end are not waited for.
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The figures of a task that has ended.
#[derive(Debug, Clone, Default)]
pub struct TaskReport {
    pub scanned: Scanned,
    /// Metrics of the fragment's nodes, in pre-order.
    pub nodes: Vec<MetricsSet>,
}

/// A plan that a worker holds. Dropping it makes the worker forget the plan and stop.
pub(super) struct Task {
    url: Url,
    key: TaskKey,
    context: Arc<TaskContext>,
    runtime: Handle,
    metrics: ExecutionPlanMetricsSet,
    end: DropGuard,
    /// Why the executor did not take the plan.
    refused: watch::Receiver<Option<Arc<DataFusionError>>>,
    report: oneshot::Receiver<TaskReport>,
}

impl Task {
    /// Sends a plan to an executor. Rows can be asked for at once: there they wait for the plan.
    pub(super) async fn start(
        executor: &Executor,
        plan: Arc<dyn ExecutionPlan>,
        task_number: usize,
        context: Arc<TaskContext>,
    ) -> Result<Self> {
        let url = Url::parse(&executor.url).map_err(|error| DataFusionError::External(Box::new(error)))?;
        // A fresh query id for every task: a retry never meets what a lost task left behind.
        let key = TaskKey {
            query_id: Uuid::now_v7(),
            stage_id: 0,
            task_number,
        };
        let end = CancellationToken::new();
        let metrics = ExecutionPlanMetricsSet::new();
        let request = SetPlanRequest {
            task_key: key,
            task_count: 1,
            plan: MaybeEncoded::Decoded(plan),
            work_unit_feed_declarations: Vec::new(),
            target_worker_url: url.clone(),
            query_start_time_ns: 0,
        };
        let mut client = get_distributed_channel_resolver(&context)
            .get_worker_client_for_url(&url)
            .await?;
        let headers = session::headers(context.session_config())?;
        // The worker keeps the plan for as long as this stream stays open.
        let open = stream::pending()
            .take_until(end.clone().cancelled_owned())
            .boxed();
        let (sender, report) = oneshot::channel();
        let (refusal, refused) = watch::channel(None);
        let (opened, counted, ended) = (Arc::clone(&context), metrics.clone(), end.clone());
        tokio::spawn(async move {
            // All rows may be here before the executor has answered this call, which has the figures.
            let given_up = async {
                ended.cancelled().await;
                tokio::time::sleep(REPORT_TIMEOUT).await;
            };
            let answers = tokio::select! {
                biased;
                answers = client.coordinator_channel(headers, request, open, counted, &opened) => answers,
                () = given_up => return,
            };
            let mut answers = match answers {
                Ok(answers) => answers,
                Err(error) => {
                    refusal.send_replace(Some(Arc::new(error)));
                    return;
                }
            };
            while let Some(Ok(message)) = answers.next().await {
                if let WorkerToCoordinatorMsg::TaskMetrics(task) = message {
                    // Nobody waits for it any more: then it is of no use.
                    sender.send(TaskReport::of(task.pre_order_plan_metrics)).ok();
                    return;
                }
            }
        });
        Ok(Self {
            url,
            key,
            context,
            runtime: Handle::current(),
            metrics,
            end: end.drop_guard(),
            refused,
            report,
        })
    }

    /// The rows of one partition. Each partition can be read once.
    pub(super) async fn rows(&self, partition: usize) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut client = get_distributed_channel_resolver(&self.context)
            .get_worker_client_for_url(&self.url)
            .await?;
        let request = ExecuteTaskRequest {
            task_key: self.key,
            target_partition_start: partition,
            target_partition_end: partition + 1,
            producer_head: ProducerHead::None,
        };
        let headers = session::headers(self.context.session_config())?;
        let mut refused = self.refused.clone();
        let streams = client.execute_task(headers, request, self.metrics.clone(), &self.context);
        let mut streams = tokio::select! {
            biased;
            streams = streams => streams?,
            Ok(Some(error)) = async { refused.wait_for(Option::is_some).await.map(|error| error.clone()) } => {
                return Err(DataFusionError::Shared(error));
            }
        };
        match (streams.pop(), streams.is_empty()) {
            (Some(stream), true) => Ok(stream),
            _ => internal_err!("a worker gave other streams than the one it was asked for"),
        }
    }

    /// Where it was started.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Ends the task and takes its figures. A worker that is gone, or gives none in time, has none.
    pub(super) async fn finish(self) -> Option<TaskReport> {
        drop(self.end);
        match tokio::time::timeout(REPORT_TIMEOUT, self.report).await {
            Ok(Ok(report)) => Some(report),
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

impl TaskReport {
    fn of(nodes: Vec<MetricsSet>) -> Self {
        let scanned = nodes.iter().map(Scanned::of_node);
        Self {
            scanned: scanned.fold(Scanned::default(), Scanned::plus),
            nodes,
        }
    }
}
