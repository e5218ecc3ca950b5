//! Where a partition is read: a task on an executor, shared by the partitions it was given.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use watershed_core::id::NodeId;

use super::task::{Task, TaskReport};
use crate::cluster::Executor;

/// What one executor did for a fragment.
#[derive(Debug, Clone)]
pub struct FragmentReport {
    pub node: NodeId,
    pub partitions: usize,
    pub task: TaskReport,
}

/// A partition of a task.
#[derive(Debug, Clone)]
pub(super) struct Source {
    task: Arc<SharedTask>,
    partition: usize,
}

/// A task and those who still read from it.
struct SharedTask {
    executor: Executor,
    plan: Arc<dyn ExecutionPlan>,
    partitions: usize,
    task: tokio::sync::Mutex<Option<Arc<Task>>>,
    unread: AtomicUsize,
}

impl fmt::Debug for SharedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTask")
            .field("node", &self.executor.node)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// The partitions of a plan that an executor will be sent when the first of them is read.
    pub(super) fn all_of(
        executor: &Executor,
        plan: Arc<dyn ExecutionPlan>,
        partitions: usize,
    ) -> impl Iterator<Item = Self> {
        let task = Arc::new(SharedTask {
            executor: executor.clone(),
            plan,
            partitions,
            task: tokio::sync::Mutex::default(),
            unread: AtomicUsize::new(partitions),
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

    /// Lets go of the task; whoever has read the last of it takes its figures.
    pub(super) async fn close(&self) -> Option<FragmentReport> {
        let shared = &self.task;
        if shared.unread.fetch_sub(1, Ordering::AcqRel) != 1 {
            return None;
        }
        let task = shared.task.lock().await.take().and_then(Arc::into_inner)?;
        Some(FragmentReport {
            node: shared.executor.node.clone(),
            partitions: shared.partitions,
            task: task.finish().await,
        })
    }
}
