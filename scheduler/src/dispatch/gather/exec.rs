//! The node that scatters a fragment over the shards' owners and gathers its rows, partition by
//! partition, through the loss of executors.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;
use watershed_core::id::{NodeId, ShardId};
use watershed_core::settings::HOLD_BACK;
use watershed_core::{Error, SqlState, telemetry};
use watershed_storage::error::into_datafusion;
use watershed_storage::fragment::FragmentCacheExec;
use watershed_storage::table::{group_shards, shard_count};
use watershed_storage::write::ShardWriteExec;

use super::split::file_scan;
use super::task::{Task, TaskReport};
use crate::cluster::{Executor, Members, Membership};
use crate::dispatch::context::{Counters, StatementContext};
use crate::dispatch::fault::{Fault, MAX_TRIES, exhausted, judge};
use crate::dispatch::release::HeldRows;

/// Batches of one partition that wait for the plan above.
const PARTITION_BUFFER: usize = 2;
/// How long a partition waits for an executor when all are gone.
const EXECUTOR_WAIT: Duration = Duration::from_secs(1);

/// What a gather node needs besides its fragment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub membership: Arc<Membership>,
    pub statement: Arc<StatementContext>,
}

/// A part of a plan that runs shard by shard.
#[derive(Debug)]
pub struct Fragment {
    plan: Arc<dyn ExecutionPlan>,
    /// The scan whose file groups are the fragment's partitions.
    leaf: Arc<dyn ExecutionPlan>,
    /// The shard of each partition, where the scan is of a sharded table.
    shards: Vec<Option<ShardId>>,
    /// How many shards that table has.
    table_shards: u32,
    /// Whether a partition run again gives the same rows in the same order.
    replayable: bool,
}

impl Fragment {
    pub(super) fn new(plan: Arc<dyn ExecutionPlan>, leaf: Arc<dyn ExecutionPlan>, replayable: bool) -> Self {
        let scan = file_scan(&leaf);
        let shards = scan.map(group_shards).unwrap_or_default();
        let table_shards = scan.and_then(shard_count).unwrap_or_default();
        Self {
            plan,
            leaf,
            shards,
            table_shards,
            replayable,
        }
    }

    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    pub fn partitions(&self) -> usize {
        self.shards.len()
    }

    /// Whether far fewer rows come out than go in.
    pub(super) fn is_reduced(&self) -> bool {
        let limited_sort = self
            .plan
            .downcast_ref::<SortExec>()
            .is_some_and(|sort| sort.fetch().is_some());
        self.plan.is::<AggregateExec>()
            || self.plan.is::<FragmentCacheExec>()
            || self.plan.is::<LocalLimitExec>()
            || self.plan.is::<GlobalLimitExec>()
            || self.plan.is::<ShardWriteExec>()
            || limited_sort
    }

    /// The fragment over some of its partitions.
    fn restricted(&self, partitions: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(scan) = file_scan(&self.leaf) else {
            return internal_err!("a fragment's leaf is no scan of files");
        };
        let mut scan = scan.clone();
        scan.file_groups = partitions
            .iter()
            .filter_map(|index| scan.file_groups.get(*index).cloned())
            .collect();
        if scan.output_partitioning.is_some() {
            scan.output_partitioning = Some(Partitioning::UnknownPartitioning(scan.file_groups.len()));
        }
        let leaf: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan);
        swap(&self.plan, &self.leaf, &leaf)
    }
}

fn swap(
    plan: &Arc<dyn ExecutionPlan>,
    old: &Arc<dyn ExecutionPlan>,
    new: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if Arc::ptr_eq(plan, old) {
        return Ok(Arc::clone(new));
    }
    let children = plan.children();
    if children.is_empty() {
        return Ok(Arc::clone(plan));
    }
    let children = children
        .into_iter()
        .map(|child| swap(child, old, new))
        .collect::<Result<Vec<_>>>()?;
    Arc::clone(plan).replace_children(
        children,
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}

/// What one executor did for a fragment.
#[derive(Debug, Clone)]
pub struct FragmentReport {
    pub node: NodeId,
    pub partitions: usize,
    pub task: TaskReport,
}

/// See the module.
#[derive(Debug)]
pub struct ShardGatherExec {
    fragment: Arc<Fragment>,
    surroundings: Surroundings,
    properties: Arc<PlanProperties>,
    run: Mutex<Option<Arc<Run>>>,
    reports: Arc<Mutex<Vec<FragmentReport>>>,
}

impl ShardGatherExec {
    pub(super) fn new(fragment: Fragment, surroundings: Surroundings) -> Self {
        let properties = Arc::clone(fragment.plan.properties());
        Self {
            fragment: Arc::new(fragment),
            surroundings,
            properties,
            run: Mutex::default(),
            reports: Arc::default(),
        }
    }

    pub fn fragment(&self) -> &Fragment {
        &self.fragment
    }

    /// What each executor did, once it has.
    pub fn reports(&self) -> Vec<FragmentReport> {
        self.reports.lock().clone()
    }

    /// The run that all partitions share, begun by the first of them.
    fn run(&self, context: &Arc<TaskContext>) -> Result<Arc<Run>> {
        let mut run = self.run.lock();
        if let Some(run) = &*run {
            return Ok(Arc::clone(run));
        }
        let begun = Arc::new(Run::begin(
            Arc::clone(&self.fragment),
            self.surroundings.clone(),
            Arc::clone(context),
            Arc::clone(&self.reports),
        )?);
        *run = Some(Arc::clone(&begun));
        Ok(begun)
    }
}

impl DisplayAs for ShardGatherExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self.fragment.shards.iter().flatten().count();
        if shards == self.fragment.partitions() {
            write!(f, "ShardGatherExec: shards={shards}")
        } else {
            write!(
                f,
                "ShardGatherExec: partitions={}, shards={shards}",
                self.fragment.partitions()
            )
        }
    }
}

impl ExecutionPlan for ShardGatherExec {
    fn name(&self) -> &str {
        "ShardGatherExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            internal_err!("ShardGatherExec is a leaf")
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let run = self.run(&context)?;
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), PARTITION_BUFFER);
        let sender = builder.tx();
        builder.spawn(async move { run.gather(partition, sender).await });
        Ok(builder.build())
    }
}

/// One execution of the node.
#[derive(Debug)]
struct Run {
    fragment: Arc<Fragment>,
    surroundings: Surroundings,
    context: Arc<TaskContext>,
    /// Where each partition is asked first.
    first: Vec<Source>,
    reports: Arc<Mutex<Vec<FragmentReport>>>,
}

/// A partition of a task.
#[derive(Debug, Clone)]
struct Source {
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

/// Why a partition was not read to its end.
enum Ended {
    /// Whoever wanted the rows has gone.
    Unwanted,
    Failed(DataFusionError),
}

impl From<DataFusionError> for Ended {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error)
    }
}

impl Run {
    fn begin(
        fragment: Arc<Fragment>,
        surroundings: Surroundings,
        context: Arc<TaskContext>,
        reports: Arc<Mutex<Vec<FragmentReport>>>,
    ) -> Result<Self> {
        let members = surroundings.statement.members(&surroundings.membership);
        let mut by_node: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        let owners = members.ring.place(fragment.table_shards);
        for (partition, shard) in fragment.shards.iter().enumerate() {
            let executor =
                choose(&members, &owners, partition, *shard).ok_or_else(|| into_datafusion(no_executor()))?;
            by_node.entry(executor.node.clone()).or_default().push(partition);
        }
        let mut first = vec![None; fragment.partitions()];
        for (node, partitions) in by_node {
            let Some(executor) = members.executors.get(&node) else {
                continue;
            };
            let task = Arc::new(SharedTask {
                executor: executor.clone(),
                plan: fragment.restricted(&partitions)?,
                partitions: partitions.len(),
                task: tokio::sync::Mutex::default(),
                unread: AtomicUsize::new(partitions.len()),
            });
            for (index, partition) in partitions.into_iter().enumerate() {
                first[partition] = Some(Source {
                    task: Arc::clone(&task),
                    partition: index,
                });
            }
        }
        let Some(first) = first.into_iter().collect() else {
            return internal_err!("a partition was given to no executor");
        };
        Counters::add(
            &surroundings.statement.counters.total_shards,
            fragment.partitions() as u64,
        );
        Ok(Self {
            fragment,
            surroundings,
            context,
            first,
            reports,
        })
    }

    /// Sends the rows of a partition to `sender`, from whichever executor gives them.
    async fn gather(&self, partition: usize, sender: Sender<Result<RecordBatch>>) -> Result<()> {
        let Some(first) = self.first.get(partition) else {
            return internal_err!("partition {partition} of {} was asked for", self.first.len());
        };
        let statement = &self.surroundings.statement;
        let mut source = first.clone();
        let mut delivered = 0;
        let mut tries = 1;
        loop {
            let error = match self.read(&source, &sender, &mut delivered).await {
                Ok(()) => {
                    Counters::add(&statement.counters.completed_shards, 1);
                    return Ok(());
                }
                Err(Ended::Unwanted) => return Ok(()),
                Err(Ended::Failed(error)) => error,
            };
            let error = match judge(error) {
                Fault::Statement(error) => return Err(into_datafusion(error)),
                Fault::Executor(error) => error,
            };
            let node = &source.task.executor.node;
            tracing::info!(%node, partition, %error, "partition is read from another executor");
            statement.suspect(node);
            if tries >= MAX_TRIES {
                return Err(into_datafusion(exhausted(&error)));
            }
            tries += 1;
            Counters::add(&statement.counters.retries, 1);
            telemetry::RETRIES.inc();
            source = self.elsewhere(partition, tries, &error).await?;
        }
    }

    /// The same partition as a task of its own on another executor.
    async fn elsewhere(&self, partition: usize, tries: u32, error: &DataFusionError) -> Result<Source> {
        let Surroundings {
            membership,
            statement,
        } = &self.surroundings;
        let mut changes = membership.subscribe();
        let shard = self.fragment.shards.get(partition).copied().flatten();
        let executor = loop {
            let members = statement.members(membership);
            let owners = members.ring.place(self.fragment.table_shards);
            if let Some(executor) = choose(&members, &owners, partition + tries as usize, shard) {
                break executor.clone();
            }
            match tokio::time::timeout(EXECUTOR_WAIT, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(into_datafusion(exhausted(error))),
            }
        };
        let task = Arc::new(SharedTask {
            executor,
            plan: self.fragment.restricted(&[partition])?,
            partitions: 1,
            task: tokio::sync::Mutex::default(),
            unread: AtomicUsize::new(1),
        });
        Ok(Source { task, partition: 0 })
    }

    async fn read(
        &self,
        source: &Source,
        sender: &Sender<Result<RecordBatch>>,
        delivered: &mut u64,
    ) -> Result<(), Ended> {
        let gone = source.task.executor.gone.clone();
        let lost = || {
            Ended::Failed(into_datafusion(Error::new(
                SqlState::CannotConnectNow,
                format!("executor {} is gone", source.task.executor.node),
            )))
        };
        let mut rows = tokio::select! {
            rows = self.open(source) => rows?,
            () = gone.cancelled() => return Err(lost()),
        };
        let mut held = (!self.fragment.replayable).then(|| {
            let limit =
                self.surroundings.statement.settings.number(HOLD_BACK) / self.fragment.partitions().max(1);
            HeldRows::new(
                self.fragment.plan.schema(),
                Arc::clone(&self.context.runtime_env()),
                limit,
            )
        });
        let mut to_skip = *delivered;
        loop {
            let next = tokio::select! {
                biased;
                next = rows.next() => next,
                () = gone.cancelled() => return Err(lost()),
                () = sender.closed() => return Err(Ended::Unwanted),
            };
            let Some(batch) = next.transpose()? else { break };
            match &mut held {
                Some(held) => held.push(batch)?,
                None => {
                    let Some(batch) = skip(batch, &mut to_skip) else {
                        continue;
                    };
                    let count = batch.num_rows() as u64;
                    sender.send(Ok(batch)).await.map_err(|_| Ended::Unwanted)?;
                    *delivered += count;
                }
            }
        }
        if let Some(held) = held {
            let mut released = held.release()?;
            while let Some(batch) = released.next().await {
                sender.send(Ok(batch?)).await.map_err(|_| Ended::Unwanted)?;
            }
        }
        drop(rows);
        self.close(source).await;
        Ok(())
    }

    async fn open(
        &self,
        source: &Source,
    ) -> Result<futures::stream::BoxStream<'static, Result<RecordBatch>>> {
        let shared = &source.task;
        let task = {
            let mut slot = shared.task.lock().await;
            match &*slot {
                Some(task) => Arc::clone(task),
                None => {
                    let plan = Arc::clone(&shared.plan);
                    let task = Task::start(&shared.executor, plan, 0, Arc::clone(&self.context)).await?;
                    Arc::clone(slot.insert(Arc::new(task)))
                }
            }
        };
        task.rows(source.partition).await
    }

    /// Lets go of a task; whoever reads the last of it takes its figures.
    async fn close(&self, source: &Source) {
        let shared = &source.task;
        if shared.unread.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let Some(task) = shared.task.lock().await.take().and_then(Arc::into_inner) else {
            return;
        };
        let report = task.finish().await;
        let counters = &self.surroundings.statement.counters;
        Counters::add(&counters.bytes_scanned, report.bytes_scanned);
        Counters::add(&counters.rows_scanned, report.rows_scanned);
        Counters::add(&counters.fragments_cached, report.fragments_cached);
        Counters::add(&counters.fragments_run, report.fragments_run);
        Counters::add(&counters.bytes_cached, report.bytes_cached);
        self.reports.lock().push(FragmentReport {
            node: shared.executor.node.clone(),
            partitions: shared.partitions,
            task: report,
        });
    }
}

/// The executor that a partition belongs to: its shard's owner, or the next in turn where it has no
/// shard.
fn choose<'a>(
    members: &'a Members,
    owners: &[&'a NodeId],
    partition: usize,
    shard: Option<ShardId>,
) -> Option<&'a Executor> {
    let nodes = members.ring.nodes();
    let node = match shard.and_then(|shard| owners.get(shard as usize).copied()) {
        Some(owner) => owner,
        None => nodes.get(partition.checked_rem(nodes.len())?)?,
    };
    members.executors.get(node)
}

pub(crate) fn no_executor() -> Error {
    Error::new(SqlState::CannotConnectNow, "no executor is alive")
        .with_hint("Start one with `watershed executor`, or SET watershed.execution = 'local'.")
}

/// The batch without the first `count` rows still to skip.
fn skip(batch: RecordBatch, count: &mut u64) -> Option<RecordBatch> {
    let rows = batch.num_rows();
    let skipped = usize::try_from(*count).unwrap_or(usize::MAX).min(rows);
    *count -= skipped as u64;
    (skipped < rows).then(|| batch.slice(skipped, rows - skipped))
}
