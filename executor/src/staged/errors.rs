//! The node below a stage's writer: errors get their travelling form where they leave the plan, as
//! Ballista's writers make texts of them; and rows end with their job, as writers run on in tasks of their
//! own when nobody waits for them any more.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use watershed_cluster::staged::portable;
use watershed_core::{Error, SqlState};
use watershed_storage::error::into_datafusion;

#[derive(Debug)]
pub(super) struct PortableErrorsExec {
    input: Arc<dyn ExecutionPlan>,
    /// Cancelled when the job ends.
    end: CancellationToken,
}

impl PortableErrorsExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, end: CancellationToken) -> Self {
        Self { input, end }
    }
}

impl DisplayAs for PortableErrorsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortableErrorsExec")
    }
}

impl ExecutionPlan for PortableErrorsExec {
    fn name(&self) -> &str {
        "PortableErrorsExec"
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
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.end.clone()))),
            _ => internal_err!("PortableErrorsExec has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context).map_err(portable)?;
        let schema = rows.schema();
        let rows = stream::unfold((rows, self.end.clone()), |(mut rows, end)| async {
            let next = tokio::select! {
                biased;
                () = end.cancelled() => Some(Err(ended())),
                next = rows.next() => next,
            };
            next.map(|next| (next.map_err(portable), (rows, end)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// What becomes of a task whose job has ended.
pub(super) fn ended() -> DataFusionError {
    into_datafusion(Error::new(SqlState::QueryCanceled, "the job of a task has ended"))
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::execute_stream;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[tokio::test]
    async fn rows_end_with_the_job_and_not_as_a_success() {
        let context = SessionContext::new();
        let many = context
            .sql("SELECT * FROM generate_series(1, 1000000)")
            .await
            .unwrap();
        let plan = many.create_physical_plan().await.unwrap();
        let end = CancellationToken::new();
        let plan = Arc::new(PortableErrorsExec::new(plan, end.clone()));
        let mut rows = execute_stream(plan, context.task_ctx()).unwrap();
        assert!(rows.next().await.unwrap().is_ok());
        end.cancel();
        assert!(rows.next().await.unwrap().is_err());
    }
}
