//! What the nodes of a plan counted while they ran.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::context::{Counters, StatementContext};

/// How long the end of an answer waits for what executors counted: one may freeze when its rows are there.
pub(super) const REPORT_WAIT: Duration = Duration::from_secs(1);

/// What scans of files have read, and what need not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    pub bytes: u64,
    /// Of these, what came from a cache of data.
    pub data_bytes_cached: u64,
    pub rows: u64,
    /// Files whose part of the answer was known, and files that were read for it.
    pub fragments_cached: u64,
    pub fragments_run: u64,
    /// Bytes of the former.
    pub bytes_cached: u64,
}

impl Scanned {
    /// Of one node. Scans of files alone count bytes; their rows stand beside them.
    pub(super) fn of_node(metrics: &MetricsSet) -> Self {
        let sum = |name: &str| metrics.sum_by_name(name).map(|sum| sum.as_usize() as u64);
        let bytes = sum("bytes_scanned");
        let rows = bytes.and_then(|_| metrics.output_rows());
        let sum = |name| sum(name).unwrap_or_default();
        Self {
            bytes: bytes.unwrap_or_default(),
            data_bytes_cached: sum("data_bytes_cached"),
            rows: rows.unwrap_or_default() as u64,
            fragments_cached: sum("fragments_cached"),
            fragments_run: sum("fragments_run"),
            bytes_cached: sum("bytes_cached"),
        }
    }

    /// Of all nodes of a plan that ran in this process, or whose counts were brought to it.
    pub(super) fn of_plan(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let own = plan.metrics().as_ref().map(Self::of_node).unwrap_or_default();
        plan.children()
            .into_iter()
            .map(Self::of_plan)
            .fold(own, Self::plus)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            data_bytes_cached: self.data_bytes_cached + other.data_bytes_cached,
            rows: self.rows + other.rows,
            fragments_cached: self.fragments_cached + other.fragments_cached,
            fragments_run: self.fragments_run + other.fragments_run,
            bytes_cached: self.bytes_cached + other.bytes_cached,
        }
    }

    pub(super) fn note(self, counters: &Counters) {
        Counters::add(&counters.bytes_scanned, self.bytes);
        Counters::add(&counters.data_bytes_cached, self.data_bytes_cached);
        Counters::add(&counters.rows_scanned, self.rows);
        Counters::add(&counters.fragments_cached, self.fragments_cached);
        Counters::add(&counters.fragments_run, self.fragments_run);
        Counters::add(&counters.bytes_cached, self.bytes_cached);
    }
}

/// The rows of a plan that runs here; when they have ended, the statement knows what was scanned.
pub(super) fn noted(
    rows: SendableRecordBatchStream,
    plan: Arc<dyn ExecutionPlan>,
    statement: &Arc<StatementContext>,
) -> SendableRecordBatchStream {
    let (schema, statement) = (rows.schema(), Arc::clone(statement));
    let end = stream::poll_fn(move |_| {
        Scanned::of_plan(&plan).note(&statement.counters);
        std::task::Poll::Ready(None)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows.chain(end)))
}
