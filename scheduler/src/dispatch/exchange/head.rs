//! The top of a distributed plan, which counts the rows that leave it: datafusion-distributed's stream
//! ends only when every worker has said goodbye, and one that dies after its last row must not take the
//! answer with it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err, not_impl_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;
use tokio::sync::Notify;
use watershed_storage::blocks::with_meant_files;
use watershed_storage::{codec, fragment};

use crate::dispatch::narrow::{Single, narrowed, together, without_idle_sharing};
use crate::dispatch::physical::{self, Write};

/// What the head of the plan has given. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Head(Arc<HeadState>);

#[derive(Debug, Default)]
struct HeadState {
    rows: AtomicU64,
    ended: AtomicBool,
    notify: Notify,
}

impl Head {
    pub(super) fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Acquire)
    }

    pub(super) async fn ended(&self) {
        loop {
            let notified = self.0.notify.notified();
            if self.0.ended.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }

    fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.notify.notify_waiters();
    }
}

/// Plans as usual, and before the plan is distributed has its aggregates reuse what they came to over files,
/// and puts a [`HeadExec`] on top.
#[derive(Debug)]
pub(super) struct HeadPlanner {
    pub(super) head: Head,
    pub(super) write: Option<Write>,
}

#[async_trait]
impl QueryPlanner for HeadPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = physical::plan_optimized(plan, session, self.write.as_ref()).await?;
        let plan = match codec::portable(&plan, &session.task_ctx())? {
            Ok(portable) => portable,
            Err(why) => return not_impl_err!("{why}"),
        };
        let plan = fragment::insert(narrowed(&plan, Single::Left)?)?;
        let plan: Arc<dyn ExecutionPlan> = match plan.output_partitioning().partition_count() {
            1 => plan,
            _ => Arc::new(CoalescePartitionsExec::new(plan)),
        };
        let plan = without_idle_sharing(together(plan)?)?;
        let plan = with_meant_files(plan, session.runtime_env())?;
        Ok(Arc::new(HeadExec {
            input: plan,
            head: self.head.clone(),
        }))
    }
}

/// Counts the rows that pass it, and says when they have ended. It runs in the scheduler.
#[derive(Debug)]
struct HeadExec {
    input: Arc<dyn ExecutionPlan>,
    head: Head,
}

impl DisplayAs for HeadExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeadExec")
    }
}

impl ExecutionPlan for HeadExec {
    fn name(&self) -> &str {
        "HeadExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self {
                input,
                head: self.head.clone(),
            })),
            _ => internal_err!("HeadExec has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let head = self.head.clone();
        let counted = rows.map({
            let head = head.clone();
            move |batch| {
                if let Ok(batch) = &batch {
                    head.0.rows.fetch_add(batch.num_rows() as u64, Ordering::AcqRel);
                }
                batch
            }
        });
        let counted = counted.chain(futures::stream::poll_fn(move |_| {
            head.end();
            std::task::Poll::Ready(None)
        }));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.input.schema(),
            counted,
        )))
    }
}
