//! What a partition of a fragment counts as it runs.

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

use super::parts::Part;

/// What a partition did. What scans of the plan read is counted by its own scan, whose metrics they share; here
/// is what was read beside that.
#[derive(Clone)]
pub(super) struct Counts {
    cached: Count,
    pub(super) run: Count,
    bytes_cached: Count,
    bytes_scanned: Count,
    data_bytes_cached: Count,
}

impl Counts {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            cached: counter("fragments_cached"),
            run: counter("fragments_run"),
            bytes_cached: counter("bytes_cached"),
            bytes_scanned: counter("bytes_scanned"),
            data_bytes_cached: counter("data_bytes_cached"),
        }
    }

    /// A scan of its own has ended.
    pub(super) fn read(&self, scan: &dyn ExecutionPlan) {
        let metrics = scan.metrics().unwrap_or_default();
        let sum = |name| metrics.sum_by_name(name).map_or(0, |sum| sum.as_usize());
        self.bytes_scanned.add(sum("bytes_scanned"));
        self.data_bytes_cached.add(sum("data_bytes_cached"));
    }

    pub(super) fn hit<'a>(&self, files: impl Iterator<Item = &'a Part>) {
        for part in files {
            self.cached.add(1);
            self.bytes_cached.add(part.size());
        }
    }
}
