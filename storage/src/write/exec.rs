//! The plan node that writes its input's rows into files of the shards and partitions they belong to.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, Time};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PhysicalExpr,
    PlanProperties,
};
use futures::TryStreamExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use url::Url;
use watershed_core::error::Result as CoreResult;
use watershed_core::store::StoreRoot;

use crate::error::into_datafusion;
use crate::layout::TableLayout;
use crate::session::bucket_url;

use super::file::{output_batch, output_schema};
use super::run::Run;

/// Where a write puts its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteTarget {
    pub layout: TableLayout,
    /// The table's folder, with a trailing slash. Its bucket is known to the executor's runtime.
    pub table_url: String,
    /// Stands in the names of its files, so that those of a write that has failed are found.
    #[serde(default)]
    pub batch: String,
}

impl WriteTarget {
    /// The table's folder below `root`.
    pub fn new(layout: TableLayout, root: &StoreRoot) -> CoreResult<Self> {
        let table_url = root.folder_url(&layout.folder())?.into();
        Ok(Self {
            layout,
            table_url,
            batch: uuid::Uuid::now_v7().simple().to_string(),
        })
    }
}

/// Writes its input's rows. It gives one row per file; the files count for nothing until they are
/// committed, so that it may be run again.
#[derive(Debug)]
pub struct ShardWriteExec {
    input: Arc<dyn ExecutionPlan>,
    target: WriteTarget,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ShardWriteExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, target: WriteTarget) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(output_schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        Self {
            input,
            target,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    pub fn target(&self) -> &WriteTarget {
        &self.target
    }
}

impl DisplayAs for ShardWriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardWriteExec: table={}", self.target.layout.id)?;
        match &self.target.layout.sharding {
            Some(sharding) => write!(f, ", shards={} by {}", sharding.shards, sharding.key),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ShardWriteExec {
    fn name(&self) -> &str {
        "ShardWriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // More partitions of the input are more and smaller files.
        vec![false]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.target.clone()))),
            _ => internal_err!("a write has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let url = Url::parse(&self.target.table_url)
            .map_err(|error| internal_datafusion_err!("a table has no URL: {error}"))?;
        let store = context
            .runtime_env()
            .object_store(ObjectStoreUrl::parse(bucket_url(&url))?)?;
        // As paths in plans are: relative to the bucket.
        let table = Path::from_url_path(url.path())
            .map_err(|error| internal_datafusion_err!("a table's URL has no path: {error}"))?;
        let memory = MemoryConsumer::new(format!("ShardWriteExec[{partition}]"))
            .with_can_spill(true)
            .register(context.memory_pool());
        let run = Run::new(&self.target, store, table, memory).map_err(into_datafusion)?;
        let metrics = Metrics {
            elapsed: MetricBuilder::new(&self.metrics).elapsed_compute(partition),
            rows: MetricBuilder::new(&self.metrics).counter("rows_written", partition),
            files: MetricBuilder::new(&self.metrics).counter("files_written", partition),
            bytes: MetricBuilder::new(&self.metrics).counter("bytes_written", partition),
        };
        let stream = futures::stream::once(write(run, input, metrics));
        Ok(Box::pin(RecordBatchStreamAdapter::new(output_schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct Metrics {
    elapsed: Time,
    rows: Count,
    files: Count,
    bytes: Count,
}

/// Writes all of `input`. On an error what is not complete is given up; what is complete is removed by whoever gives up
/// the statement, as it may have been written by any process.
async fn write(mut run: Run, mut input: SendableRecordBatchStream, metrics: Metrics) -> Result<RecordBatch> {
    let written = async {
        while let Some(batch) = input.try_next().await? {
            let _timer = metrics.elapsed.timer();
            run.push(&batch).await.map_err(into_datafusion)?;
        }
        let _timer = metrics.elapsed.timer();
        run.finish().await.map_err(into_datafusion)
    }
    .await;
    match written {
        Ok(files) => {
            metrics.files.add(files.len());
            for file in &files {
                metrics.rows.add(usize::try_from(file.rows).unwrap_or(usize::MAX));
                metrics
                    .bytes
                    .add(usize::try_from(file.size).unwrap_or(usize::MAX));
            }
            output_batch(&files).map_err(into_datafusion)
        }
        Err(error) => {
            run.abandon().await;
            Err(error)
        }
    }
}
