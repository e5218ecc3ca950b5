//! Where a partition is read: a task on an executor, shared by the partitions it was given.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use watershed_core::id::NodeId;

use super::task::{Task, TaskReport};
use crate::cluster::Executor;
use crate::dispatch::context::Counters;
use crate::dispatch::fault::{Fault, judge};

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
///
/// Partitions of one task wait for each other on the executor: those of a hash join that shares its build
/// side begin to probe when all of them have reported it
/// (`datafusion_physical_plan::joins::hash_join::shared_bounds`, which does not count a partition that was
/// cancelled). So a partition that is dropped before its end, or before it was opened, is read to its end in
/// the background while others of its task are read, and a task that failed one partition fails all.
#[derive(Debug)]
pub(super) struct Source {
    task: Arc<SharedTask>,
    partition: usize,
    opened: AtomicBool,
}

/// A task, held by those who may still read from it.
struct SharedTask {
    executor: Executor,
    plan: Arc<dyn ExecutionPlan>,
    partitions: usize,
    task: tokio::sync::Mutex<Option<Arc<Task>>>,
    context: Arc<TaskContext>,
    ledger: Ledger,
    life: Life,
    /// Cancelled when its figures are entered, or when it is known that there are none.
    told: CancellationToken,
}

/// What the partitions of a task know of each other.
#[derive(Debug, Clone)]
struct Life {
    runtime: Handle,
    /// Cancelled when its executor failed one of its partitions.
    failed: CancellationToken,
    /// Cancelled when its last reader is dropped.
    ended: CancellationToken,
}

impl Life {
    /// Reads and discards the rows of a dropped partition while other partitions of the task are read.
    async fn drain(self, mut rows: BoxStream<'static, Result<RecordBatch>>) {
        let drained = async {
            while let Some(next) = rows.next().await {
                if let Err(error) = next {
                    self.fail_with(error);
                    return;
                }
            }
        };
        tokio::select! {
            () = self.ended.cancelled() => {}
            () = drained => {}
        }
    }

    fn fail_with(&self, error: DataFusionError) {
        if let Fault::Executor(error) = judge(error) {
            tracing::debug!(%error, "a partition that nobody reads any more was lost");
            self.failed.cancel();
        }
    }
}

impl fmt::Debug for SharedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTask")
            .field("node", &self.executor.node)
            .finish_non_exhaustive()
    }
}

impl SharedTask {
    async fn open(&self, partition: usize) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let task = {
            let mut slot = self.task.lock().await;
            match &*slot {
                Some(task) => Arc::clone(task),
                None => {
                    let plan = Arc::clone(&self.plan);
                    let task = Task::start(&self.executor, plan, 0, Arc::clone(&self.context)).await?;
                    Arc::clone(slot.insert(Arc::new(task)))
                }
            }
        };
        task.rows(partition).await
    }
}

impl Drop for SharedTask {
    fn drop(&mut self) {
        self.life.ended.cancel();
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
        context: &Arc<TaskContext>,
        ledger: &Ledger,
    ) -> impl Iterator<Item = Self> {
        let task = Arc::new(SharedTask {
            executor: executor.clone(),
            plan,
            partitions,
            task: tokio::sync::Mutex::default(),
            ledger: ledger.clone(),
            context: Arc::clone(context),
            life: Life {
                runtime: Handle::current(),
                failed: CancellationToken::new(),
                ended: CancellationToken::new(),
            },
            told: CancellationToken::new(),
        });
        (0..partitions).map(move |partition| Self {
            task: Arc::clone(&task),
            partition,
            opened: AtomicBool::new(false),
        })
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.task.executor
    }

    /// Its rows, which can be read once. Whoever comes first sends the plan.
    pub(super) async fn open(&self) -> Result<PartitionRows> {
        let rows = self.task.open(self.partition).await?;
        self.opened.store(true, Ordering::Release);
        let shared = (self.task.partitions > 1).then(|| self.task.life.clone());
        Ok(PartitionRows { rows, shared })
    }

    /// The executor failed this partition: the others of its task are read elsewhere, too.
    pub(super) fn fail(&self) {
        self.opened.store(true, Ordering::Release);
        self.task.life.failed.cancel();
    }

    /// Ends when the executor has failed a partition of the same task.
    pub(super) async fn failed(&self) {
        self.task.life.failed.cancelled().await;
    }

    /// Lets go of it. The last of a task's waits until its figures are entered.
    pub(super) async fn leave(self) {
        let task = Arc::clone(&self.task);
        drop(self);
        let told = task.told.clone();
        if let Some(last) = Arc::into_inner(task) {
            drop(last);
            told.cancelled().await;
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // No other partition of the task waits for it.
        if *self.opened.get_mut() || Arc::strong_count(&self.task) == 1 {
            return;
        }
        let life = self.task.life.clone();
        let (task, partition) = (Arc::downgrade(&self.task), self.partition);
        self.task.life.runtime.spawn(async move {
            let Some(task) = Weak::upgrade(&task) else { return };
            let opened = tokio::select! {
                opened = task.open(partition) => opened,
                () = life.failed.cancelled() => return,
            };
            drop(task);
            match opened {
                Ok(rows) => life.drain(rows).await,
                Err(error) => life.fail_with(error),
            }
        });
    }
}

/// The rows of one partition.
pub(super) struct PartitionRows {
    rows: BoxStream<'static, Result<RecordBatch>>,
    /// The task's, while others of its partitions may wait for this one.
    shared: Option<Life>,
}

impl Stream for PartitionRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.rows.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.shared = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for PartitionRows {
    fn drop(&mut self) {
        if let Some(life) = self.shared.take() {
            let rows = std::mem::replace(&mut self.rows, stream::empty().boxed());
            life.runtime.clone().spawn(life.drain(rows));
        }
    }
}
