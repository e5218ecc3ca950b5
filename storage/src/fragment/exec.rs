//! The node that gives a fragment's state from what is known of its files, and reads only the others.

use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs,
};
use watershed_core::settings::FRAGMENT_CACHE;

use super::counts::Counts;
use super::plan::Cacheable;
use super::proofs::Proofs;
use super::run::Fragment;
use super::store::FragmentCache;
use crate::session::statement_settings;

/// Batches that wait for the plan above.
const BUFFER: usize = 2;

/// A partial aggregate whose states over files are reused. In a process without a cache it is what is
/// below it.
#[derive(Debug)]
pub struct FragmentCacheExec {
    input: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
    /// Whether its partitions run as if there were no cache. It is all of them or none, as joins in them wait
    /// for each other.
    bypassed: OnceLock<bool>,
    /// What is known of the scan's files, where they do not say it themselves.
    proofs: Option<Arc<Proofs>>,
}

impl FragmentCacheExec {
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            input,
            metrics: ExecutionPlanMetricsSet::new(),
            bypassed: OnceLock::new(),
            proofs: None,
        }
    }

    /// It, told what is proven of the scan's files.
    pub fn with_proofs(mut self, proofs: Option<Arc<Proofs>>) -> Self {
        self.proofs = proofs;
        self
    }

    pub fn proofs(&self) -> Option<&Proofs> {
        self.proofs.as_deref()
    }

    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl DisplayAs for FragmentCacheExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FragmentCacheExec")
    }
}

impl ExecutionPlan for FragmentCacheExec {
    fn name(&self) -> &str {
        "FragmentCacheExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
            (Some(input), true) => Ok(Arc::new(Self::new(input).with_proofs(self.proofs.clone()))),
            _ => internal_err!("FragmentCacheExec has one child"),
        }
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    /// As many rows as below: plans are distributed by that.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => internal_err!("FragmentCacheExec has one child"),
        }
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let config = context.session_config();
        let Some(cache) = config.get_extension::<FragmentCache>() else {
            return self.input.execute(partition, context);
        };
        if !statement_settings(config)?.is_on(FRAGMENT_CACHE) {
            return self.input.execute(partition, context);
        }
        let Some(cacheable) = Cacheable::of(&self.input)? else {
            return self.input.execute(partition, context);
        };
        let fragment = Arc::new(Fragment::new(
            &cacheable,
            self.proofs(),
            partition,
            &cache,
            &context,
        )?);
        if *self.bypassed.get_or_init(|| cache.is_bypassed(&fragment.digest)) {
            return self.input.execute(partition, context);
        }
        let counts = Counts::new(&self.metrics, partition, cache.activity());
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), BUFFER);
        let sender = builder.tx();
        builder.spawn(async move { fragment.run(&sender, &counts).await });
        Ok(builder.build())
    }
}
