//! What a partition of a fragment counts as it runs.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

use super::entry::Computed;
use crate::cache::Activity;

/// What a partition did. What scans of the plan read is counted by its own scan, whose metrics they share; here
/// is what was read beside that.
#[derive(Clone)]
pub(super) struct Counts {
    cached: Count,
    run: Count,
    bytes_cached: Count,
    bytes_scanned: Count,
    data_bytes_cached: Count,
    /// Of the cache, over all queries.
    activity: Arc<Activity>,
}

impl Counts {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize, activity: &Arc<Activity>) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            cached: counter("fragments_cached"),
            run: counter("fragments_run"),
            bytes_cached: counter("bytes_cached"),
            bytes_scanned: counter("bytes_scanned"),
            data_bytes_cached: counter("data_bytes_cached"),
            activity: Arc::clone(activity),
        }
    }

    /// A scan of its own has ended. Gives the bytes that it read.
    pub(super) fn read(&self, scan: &dyn ExecutionPlan) -> usize {
        let metrics = scan.metrics().unwrap_or_default();
        let sum = |name| metrics.sum_by_name(name).map_or(0, |sum| sum.as_usize());
        let bytes = sum("bytes_scanned");
        self.bytes_scanned.add(bytes);
        self.data_bytes_cached.add(sum("data_bytes_cached"));
        bytes
    }

    /// What was known of so many files need not be read.
    pub(super) fn hit(&self, files: usize, state: &Computed) {
        self.cached.add(files);
        self.bytes_cached.add(state.bytes_read);
        self.activity.hit(files);
    }

    /// So many files are computed.
    pub(super) fn missed(&self, files: usize) {
        self.run.add(files);
        self.activity.missed(files);
    }
}
