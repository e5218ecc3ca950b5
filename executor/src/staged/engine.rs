//! Runs tasks: Ballista's own engine, with our reader of shuffle files, tasks that stop when their job
//! ends, and errors that arrive as they were.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::execution_plans::ShuffleReaderExec;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use datafusion::prelude::SessionConfig;
use tokio_util::sync::CancellationToken;
use watershed_cluster::staged::of_task;
use watershed_cluster::yielding;
use watershed_storage::blocks::{BlockCache, with_blocks};

use super::errors::{PortableErrorsExec, ended};
use super::jobs::{Jobs, RunningTask};
use super::reader::{Files, StageReaderExec};

pub(super) struct Engine {
    inner: DefaultExecutionEngine,
    runtime: Arc<RuntimeEnv>,
    blocks: Arc<BlockCache>,
    files: Files,
    jobs: Arc<Jobs>,
}

impl Engine {
    pub(super) fn new(
        runtime: Arc<RuntimeEnv>,
        blocks: Arc<BlockCache>,
        files: Files,
        jobs: Arc<Jobs>,
    ) -> Self {
        Self {
            inner: DefaultExecutionEngine::new(),
            runtime,
            blocks,
            files,
            jobs,
        }
    }
}

impl ExecutionEngine for Engine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let running = self.jobs.begin(job_id.as_str());
        let plan = plan.transform(|node| match node.downcast_ref::<ShuffleReaderExec>() {
            Some(reader) => {
                let reader = StageReaderExec::new(reader, self.files.clone());
                Ok(Transformed::yes(Arc::new(reader)))
            }
            None => Ok(Transformed::no(node)),
        })?;
        let plan = with_blocks(plan.data, &self.runtime, &self.blocks)?;
        let plan = prepared(plan, &running.end)?;
        let stage = self.inner.create_query_stage_exec(
            job_id,
            stage_id,
            task_id,
            global_output_partition_ids,
            plan,
            work_dir,
            config,
        )?;
        Ok(Arc::new(Task { stage, running }))
    }
}

/// The plan, a writer, with an input that yields and whose errors are marked.
fn prepared(writer: Arc<dyn ExecutionPlan>, end: &CancellationToken) -> Result<Arc<dyn ExecutionPlan>> {
    let inputs = writer.children().into_iter().map(|input| {
        let input = yielding(Arc::clone(input))?;
        Ok(Arc::new(PortableErrorsExec::new(input, end.clone())) as Arc<dyn ExecutionPlan>)
    });
    let inputs = inputs.collect::<Result<_>>()?;
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    writer.replace_children(inputs, options)
}

/// One task.
#[derive(Debug)]
struct Task {
    stage: Arc<dyn QueryStageExecutor>,
    running: RunningTask,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for Task {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let done = tokio::select! {
            biased;
            () = self.running.end.cancelled() => Err(ended()),
            done = self.stage.execute_query_stage(task_id, context) => done,
        };
        done.map_err(of_task)
    }

    /// None. Ballista matches them by position with those of other tasks of the stage, and where a plan
    /// has a node more, such as an empty branch of a union, it drops what the task has written.
    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        Vec::new()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.stage.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.stage.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.stage.collect_column_stats()
    }
}
