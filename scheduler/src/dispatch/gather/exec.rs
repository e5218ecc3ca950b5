//! The node that scatters a fragment over the shards' owners and gathers its rows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use parking_lot::Mutex;

use super::fragment::Fragment;
use super::kept::KeptShards;
use super::run::Run;
use super::source::FragmentReport;
use crate::cluster::Membership;
use crate::dispatch::context::StatementContext;

/// Batches of one partition that wait for the plan above.
const PARTITION_BUFFER: usize = 2;

/// What a gather node needs besides its fragment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub membership: Arc<Membership>,
    pub statement: Arc<StatementContext>,
    pub kept: Arc<KeptShards>,
}

/// See the module.
#[derive(Debug)]
pub struct ShardGatherExec {
    fragment: Arc<Fragment>,
    surroundings: Surroundings,
    properties: Arc<PlanProperties>,
    /// Whether it may end without some of its partitions.
    may_lack: AtomicBool,
    run: Mutex<Option<Arc<Run>>>,
    reports: Arc<Mutex<Vec<FragmentReport>>>,
}

impl ShardGatherExec {
    pub(super) fn new(fragment: Fragment, surroundings: Surroundings) -> Self {
        let properties = Arc::clone(fragment.plan().properties());
        Self {
            fragment: Arc::new(fragment),
            surroundings,
            properties,
            may_lack: AtomicBool::new(false),
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

    /// Lets it end without partitions that are not there when the statement's answer is due. What is
    /// above it has to make a partial answer of that. Holds for runs that have not begun.
    pub fn allow_partial(&self) {
        self.may_lack.store(true, Ordering::Release);
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
            self.may_lack.load(Ordering::Acquire),
        )?);
        *run = Some(Arc::clone(&begun));
        Ok(begun)
    }
}

/// The gather nodes of a plan.
pub(crate) fn gathers(plan: &Arc<dyn ExecutionPlan>) -> Vec<&ShardGatherExec> {
    match plan.downcast_ref::<ShardGatherExec>() {
        Some(gather) => vec![gather],
        None => plan.children().into_iter().flat_map(gathers).collect(),
    }
}

impl DisplayAs for ShardGatherExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shards, partitions) = (self.fragment.sharded(), self.fragment.partitions());
        if shards == partitions {
            write!(f, "ShardGatherExec: shards={shards}")
        } else {
            write!(f, "ShardGatherExec: partitions={partitions}, shards={shards}")
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
