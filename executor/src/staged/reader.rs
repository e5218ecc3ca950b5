//! The leaf of a later stage: reads what tasks of an earlier one have written, here or elsewhere.

use std::fmt;
use std::sync::Arc;

use ballista_core::execution_plans::ShuffleReaderExec;
use ballista_core::serde::scheduler::PartitionLocation;
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use watershed_cluster::Channels;
use watershed_cluster::staged::fetch;
use watershed_core::Error;
use watershed_storage::error::into_datafusion;

/// Files that one partition reads from other processes at a time.
const REMOTE_AT_A_TIME: usize = 8;

/// Where shuffle files are.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// Who this process is.
    pub(super) executor: String,
    /// Its own files.
    pub(super) work_dir: String,
    pub(super) channels: Channels,
    /// Where connections live. Tasks have threads of their own, which may be too busy to keep them up.
    pub(super) runtime: tokio::runtime::Handle,
}

impl Files {
    async fn remote(
        &self,
        location: PartitionLocation,
        schema: SchemaRef,
    ) -> Result<SendableRecordBatchStream> {
        let (channels, url) = (self.channels.clone(), location.executor_meta.host.clone());
        let dialled = self.runtime.spawn(async move { channels.get(&url).await });
        let channel = dialled
            .await
            .map_err(|error| {
                into_datafusion(Error::internal("dialling failed").with_detail(error.to_string()))
            })?
            .map_err(into_datafusion)?;
        fetch(channel, &location, schema).await
    }
}

/// Stands where Ballista's `ShuffleReaderExec` stood.
#[derive(Debug)]
pub(super) struct StageReaderExec {
    stage: usize,
    schema: SchemaRef,
    locations: Vec<Vec<PartitionLocation>>,
    /// Every partition is the first one.
    broadcast: bool,
    files: Files,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl StageReaderExec {
    pub(super) fn new(reader: &ShuffleReaderExec, files: Files) -> Self {
        Self {
            stage: reader.stage_id,
            schema: reader.schema(),
            locations: reader.partition.clone(),
            broadcast: reader.broadcast,
            files,
            metrics: ExecutionPlanMetricsSet::new(),
            properties: Arc::clone(reader.properties()),
        }
    }

    /// Files of this process, by Ballista's own reader.
    fn local(
        &self,
        locations: Vec<PartitionLocation>,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let partitioning = Partitioning::UnknownPartitioning(1);
        ShuffleReaderExec::try_new(
            self.stage,
            vec![locations],
            Arc::clone(&self.schema),
            partitioning,
        )?
        .with_work_dir(self.files.work_dir.clone())
        .execute(0, context)
    }
}

impl DisplayAs for StageReaderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "StageReaderExec: stage={}, {}",
            self.stage, self.properties.partitioning
        )
    }
}

impl ExecutionPlan for StageReaderExec {
    fn name(&self) -> &str {
        "StageReaderExec"
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
            internal_err!("StageReaderExec has no children")
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(locations) = self.locations.get(if self.broadcast { 0 } else { partition }) else {
            return internal_err!("stage {} has no partition {partition}", self.stage);
        };
        let (local, remote): (Vec<_>, Vec<_>) = locations
            .iter()
            .cloned()
            .partition(|location| location.executor_meta.id == self.files.executor);
        let batch_size = context.session_config().batch_size();
        let local = self.local(local, context)?;
        let (files, schema) = (self.files.clone(), Arc::clone(&self.schema));
        let remote = stream::iter(remote)
            .map(move |location| {
                let (files, schema) = (files.clone(), Arc::clone(&schema));
                Box::pin(stream::once(async move { files.remote(location, schema).await }).try_flatten())
            })
            .flatten_unordered(REMOTE_AT_A_TIME);
        let rows = coalesced(local.chain(remote).boxed(), Arc::clone(&self.schema), batch_size);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let counted = rows.inspect_ok(move |batch| metrics.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            counted,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

type Batches = stream::BoxStream<'static, Result<datafusion::arrow::array::RecordBatch>>;

/// The same rows in batches of a useful size: every task that wrote cut its rows into as many parts as
/// there are tasks that read.
fn coalesced(batches: Batches, schema: SchemaRef, batch_size: usize) -> Batches {
    let state = Some((batches, BatchCoalescer::new(schema, batch_size)));
    stream::try_unfold(state, |state| async move {
        let Some((mut batches, mut pending)) = state else {
            return Ok(None);
        };
        loop {
            if let Some(batch) = pending.next_completed_batch() {
                return Ok(Some((batch, Some((batches, pending)))));
            }
            match batches.next().await {
                Some(batch) => pending.push_batch(batch?)?,
                None => {
                    pending.finish_buffered_batch()?;
                    // At most one is left.
                    return Ok(pending.next_completed_batch().map(|batch| (batch, None)));
                }
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    async fn check(sizes: &[i64], batch_size: usize, expected: &[usize]) {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let mut next = 0;
        let batches: Vec<_> = sizes
            .iter()
            .map(|size| {
                let values = Int64Array::from_iter_values(next..next + size);
                next += size;
                Ok(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).unwrap())
            })
            .collect();
        let batches: Vec<_> = coalesced(stream::iter(batches).boxed(), schema, batch_size)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(
            batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(),
            expected
        );
        let values: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert_eq!(values, (0..next).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn small_batches_become_large_ones_and_no_row_is_lost() {
        check(&[], 10, &[]).await;
        check(&[0, 0], 10, &[]).await;
        check(&[3, 3, 3, 3], 10, &[10, 2]).await;
        check(&[25], 10, &[10, 10, 5]).await;
        check(&[5, 5], 10, &[10]).await;
    }
}
