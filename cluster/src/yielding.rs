//! Plans that let go of their thread now and then.
//!
//! A plan is cancelled by being dropped, which can only happen between two polls of it, and nothing else
//! runs on its thread meanwhile. DataFusion's own nodes end a poll after a number of batches, however long
//! those took; these end it after a time.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use watershed_core::Error;
use watershed_core::interrupt::{self, Work};
use watershed_storage::error::into_datafusion;

use crate::fault::to_others;
use crate::parts::Parts;

/// A node that has given rows for so long lets others go first.
const SLICE: Duration = Duration::from_millis(10);

/// The same plan, of which every node yields. It looks as it did, also to those who look for nodes of a
/// kind.
pub fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    wrapped(plan, Errors::AsTheyAre)
}

/// The same for a plan whose rows, and whose errors, go to other processes. Every node has its errors in the
/// form that they cross processes in: datafusion-distributed takes the upmost node of some plans away.
pub fn yielding_for_others(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    wrapped(plan, Errors::ForOthers)
}

fn wrapped(plan: Arc<dyn ExecutionPlan>, errors: Errors) -> Result<Arc<dyn ExecutionPlan>> {
    let wrap = |inner| {
        let node = YieldingExec { inner, errors };
        Ok(Transformed::yes(Arc::new(node) as Arc<dyn ExecutionPlan>))
    };
    plan.transform_up(wrap).data()
}

/// What becomes of a node's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errors {
    AsTheyAre,
    ForOthers,
}

impl Errors {
    fn told(self, error: DataFusionError) -> DataFusionError {
        match self {
            Self::AsTheyAre => error,
            Self::ForOthers => to_others(error),
        }
    }
}

/// Runs a part of a node. A panic there becomes the error of its statement: the task of
/// datafusion-distributed that reads a partition (`spawn_select_all`) ends with the panic, and to its reader the
/// rows would have come to their end.
fn caught<T>(node: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    // The node is not used any more once it has panicked.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            Err(into_datafusion(
                Error::internal(format!("{node} panicked")).with_detail(what),
            ))
        }
    }
}

/// A node that yields, in everything else what it was.
#[derive(Debug)]
struct YieldingExec {
    inner: Arc<dyn ExecutionPlan>,
    errors: Errors,
}

impl DisplayAs for YieldingExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_as(kind, f)
    }
}

impl ExecutionPlan for YieldingExec {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.inner.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.children()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.inner.maintains_input_order()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = Arc::clone(&self.inner).replace_children(children, options)?;
        let errors = self.errors;
        Ok(Arc::new(Self { inner, errors }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = caught(self.name(), || self.inner.execute(partition, context));
        Ok(Box::pin(Yielding {
            rows: rows.map_err(|error| self.errors.told(error))?,
            name: self.name().to_owned(),
            ended: false,
            errors: self.errors,
            work: interrupt::current(),
            since: None,
            pause: None,
            parts: None,
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.inner.metrics()
    }

    fn fetch(&self) -> Option<usize> {
        self.inner.fetch()
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.inner.dynamic_expressions_produced()
    }

    /// A recursive query gives its plan the rows of the round before.
    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn ExecutionPlan>> {
        let inner = self.inner.with_new_state(state)?;
        let errors = self.errors;
        Some(Arc::new(Self { inner, errors }))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = Arc::clone(&self.inner).reset_state()?;
        let errors = self.errors;
        Ok(Arc::new(Self { inner, errors }))
    }
}

struct Yielding {
    rows: SendableRecordBatchStream,
    /// The node's.
    name: String,
    /// It panicked: nothing is left of it that could be polled.
    ended: bool,
    errors: Errors,
    /// What it is a part of, whichever task polls it.
    work: Option<Work>,
    /// When it began to give rows without a pause.
    since: Option<Instant>,
    pause: Option<BoxFuture<'static, ()>>,
    /// What is left of a large batch.
    parts: Option<Parts>,
}

impl Stream for Yielding {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.poll_unpin(context));
            self.pause = None;
        }
        let errors = self.errors;
        if let Some(part) = self.parts.as_mut().and_then(Iterator::next) {
            return Poll::Ready(Some(part.map_err(|error| errors.told(error))));
        }
        self.parts = None;
        if self.ended {
            return Poll::Ready(None);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let Self { rows, name, work, .. } = &mut *self;
        let mut poll = || caught(name, || Ok(rows.poll_next_unpin(context)));
        let polled = match work {
            Some(work) => work.within(poll),
            None => poll(),
        };
        let next = match polled {
            Ok(next) => next,
            Err(error) => {
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
        };
        if next.is_pending() {
            self.since = None;
        } else if since.elapsed() >= SLICE {
            self.since = None;
            // Tokio's own lets it look at connections first: word of an end comes over them.
            self.pause = Some(tokio::task::yield_now().boxed());
        }
        if errors == Errors::ForOthers
            && let Poll::Ready(Some(Ok(batch))) = &next
            && let Some(mut parts) = Parts::of(batch).map_err(|error| errors.told(error))?
        {
            let first = parts.next();
            self.parts = Some(parts);
            return Poll::Ready(first.map(|part| part.map_err(|error| errors.told(error))));
        }
        next.map(|next| next.map(|rows| rows.map_err(|error| errors.told(error))))
    }
}

impl RecordBatchStream for Yielding {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::aggregates::AggregateExec;
    use datafusion::physical_plan::{collect, displayable, execute_stream};
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn plan(sql: &str) -> (Arc<dyn ExecutionPlan>, Arc<TaskContext>) {
        let context = SessionContext::new();
        let plan = context
            .sql(sql)
            .await
            .unwrap()
            .create_physical_plan()
            .await
            .unwrap();
        (plan, context.task_ctx())
    }

    #[tokio::test]
    async fn a_plan_stays_what_it_was() {
        let (plan, context) = plan("SELECT value % 3, count(*) FROM generate_series(1, 10) GROUP BY 1").await;
        let shown = |plan: &Arc<dyn ExecutionPlan>| displayable(plan.as_ref()).indent(true).to_string();
        let yielding = yielding(Arc::clone(&plan)).unwrap();
        assert_eq!(shown(&yielding), shown(&plan));
        let mut found = 0;
        yielding
            .apply(|node| {
                found += usize::from(node.is::<AggregateExec>());
                Ok(TreeNodeRecursion::Continue)
            })
            .unwrap();
        assert!(found > 0);
        let rows = collect(Arc::clone(&yielding), context).await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
        assert!(yielding.metrics().is_some(), "of the nodes that ran");
    }

    #[tokio::test]
    async fn a_recursive_query_recurses() {
        let sql = "WITH RECURSIVE n AS (SELECT 1 AS v UNION ALL \
                   SELECT a.v + 1 FROM n a JOIN (VALUES (1), (2), (3)) AS b (v) ON a.v = b.v) SELECT v FROM n";
        let (plan, context) = plan(sql).await;
        let rows = collect(yielding(plan).unwrap(), context).await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
    }

    /// On the one thread there is, time can only be up if the plan lets others go first: a join may make
    /// very many rows of few that it has read, without ever waiting.
    #[tokio::test]
    async fn others_go_first_in_the_middle_of_a_join() {
        for condition in ["a.value % 7 = b.value % 5", "a.value % 7 < b.value % 5"] {
            let sql = format!("SELECT count(*) FROM range(8000) a JOIN range(8000) b ON {condition}");
            let (plan, context) = plan(&sql).await;
            let rows = collect(yielding(plan).unwrap(), context);
            let counted = tokio::time::timeout(Duration::from_millis(20), rows).await;
            assert!(counted.is_err(), "{condition}");
        }
    }

    /// An aggregate that takes very long reads all its input in one poll if that does not yield.
    #[tokio::test]
    async fn others_go_first_in_the_middle_of_an_aggregate() {
        let (plan, context) = plan("SELECT sum(value) FROM generate_series(1, 100000000000)").await;
        let mut rows = execute_stream(yielding(plan).unwrap(), context).unwrap();
        let start = Instant::now();
        for _ in 0..3 {
            let polled = futures::poll!(rows.next());
            assert!(polled.is_pending());
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    /// The stream of a plan that panics ends with an error, never as a success.
    #[tokio::test]
    async fn a_panic_is_an_error() {
        use datafusion::arrow::datatypes::DataType;
        use datafusion::logical_expr::{Volatility, create_udf};
        use watershed_core::SqlState;
        use watershed_storage::error::from_datafusion;

        let context = SessionContext::new();
        let int = DataType::Int64;
        let panics = create_udf(
            "panics",
            vec![int.clone()],
            int,
            Volatility::Volatile,
            Arc::new(|_| panic!("out of bounds")),
        );
        context.register_udf(panics);
        for sql in [
            "SELECT panics(value) FROM generate_series(1, 10)",
            "SELECT sum(panics(value)) FROM generate_series(1, 10) GROUP BY value % 3",
            "SELECT count(*) FROM generate_series(1, 10) a JOIN generate_series(1, 10) b ON a.value = panics(b.value)",
        ] {
            let plan = context
                .sql(sql)
                .await
                .unwrap()
                .create_physical_plan()
                .await
                .unwrap();
            for plan in [yielding(Arc::clone(&plan)), yielding_for_others(plan)] {
                let error = from_datafusion(collect(plan.unwrap(), context.task_ctx()).await.unwrap_err());
                assert_eq!(error.code(), SqlState::InternalError, "{error:?}");
                assert!(format!("{error:?}").contains("out of bounds"), "{error:?}");
            }
        }
    }
}
