//! Where a partition is read: a task on an executor, shared by the partitions it was given.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use watershed_core::id::NodeId;

use super::task::{Task, TaskReport};
use crate::cluster::Executor;
use crate::dispatch::context::Counters;

/// What one executor did for a fragment.
#[derive(Debug, Clone)]
pub struct FragmentReport {
    pub node: NodeId,
    pub partitions: usize,
    pub task: TaskReport,
}

/// Where the figures of tasks are entered.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) counters: Arc<Counters>,
    pub(super) reports: Arc<Mutex<Vec<FragmentReport>>>,
}

impl Ledger {
    fn enter(&self, report: FragmentReport) {
        report.task.scanned.note(&self.counters);
        self.reports.lock().push(report);
    }
}

/// A partition of a task. When the last of a task's is dropped, however that came, the task ends, and its
/// figures are entered as soon as its executor tells them.
#[derive(Debug)]
pub(super) struct Source {
    task: Arc<SharedTask>,
    partition: usize,
}

/// A task, held by those who may still read from it.
struct SharedTask {
    executor: Executor,
    plan: Arc<dyn ExecutionPlan>,
    partitions: usize,
    task: tokio::sync::Mutex<Option<Arc<Task>>>,
    ledger: Ledger,
    /// Cancelled when its figures are entered, or when it is known that there are none.
    told: CancellationToken,
}

impl fmt::Debug for SharedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTask")
            .field("node", &self.executor.node)
            .finish_non_exhaustive()
    }
}

impl Drop for SharedTask {
    fn drop(&mut self) {
        let told = self.told.clone().drop_guard();
        // Streams of rows hold no task, and whoever opens one holds a source.
        let Some(task) = self.task.get_mut().take().and_then(Arc::into_inner) else {
            return;
        };
        let (node, partitions) = (self.executor.node.clone(), self.partitions);
        let ledger = self.ledger.clone();
        task.runtime().clone().spawn(async move {
            match task.finish().await {
                Some(task) => ledger.enter(FragmentReport {
                    node,
                    partitions,
                    task,
                }),
                None => tracing::debug!(%node, "an executor told no figures of its task"),
            }
            drop(told);
        });
    }
}

impl Source {
    /// The partitions of a plan that an executor will be sent when the first of them is read.
    pub(super) fn all_of(
        executor: &Executor,
        plan: Arc<dyn ExecutionPlan>,
        partitions: usize,
        ledger: &Ledger,
    ) -> impl Iterator<Item = Self> {
        let task = Arc::new(SharedTask {
            executor: executor.clone(),
            plan,
            partitions,
            task: tokio::sync::Mutex::default(),
            ledger: ledger.clone(),
            told: CancellationToken::new(),
        });
        (0..partitions).map(move |partition| Self {
            task: Arc::clone(&task),
            partition,
        })
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.task.executor
    }

    /// Its rows, which can be read once. Whoever comes first sends the plan.
    pub(super) async fn open(
        &self,
        context: &Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let shared = &self.task;
        let task = {
            let mut slot = shared.task.lock().await;
            match &*slot {
                Some(task) => Arc::clone(task),
                None => {
                    let plan = Arc::clone(&shared.plan);
                    let task = Task::start(&shared.executor, plan, 0, Arc::clone(context)).await?;
                    Arc::clone(slot.insert(Arc::new(task)))
                }
            }
        };
        task.rows(self.partition).await
    }

    /// Lets go of it. The last of a task's waits until its figures are entered.
    pub(super) async fn leave(self) {
        let told = self.task.told.clone();
        if let Some(last) = Arc::into_inner(self.task) {
            drop(last);
            told.cancelled().await;
        }
    }
}
