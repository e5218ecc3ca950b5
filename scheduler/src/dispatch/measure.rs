//! What the nodes of a plan counted while they ran.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::context::{Counters, StatementContext};

/// What scans of files have read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    pub(super) bytes: u64,
    /// Of these, what came from a cache of data.
    pub(super) cached: u64,
    pub(super) rows: u64,
}

impl Scanned {
    /// Of one node. Scans of files alone count bytes; their rows stand beside them.
    pub(super) fn of_node(metrics: &MetricsSet) -> Self {
        match metrics.sum_by_name("bytes_scanned") {
            Some(bytes) => Self {
                bytes: bytes.as_usize() as u64,
                cached: metrics
                    .sum_by_name("data_bytes_cached")
                    .map_or(0, |cached| cached.as_usize() as u64),
                rows: metrics.output_rows().unwrap_or_default() as u64,
            },
            None => Self::default(),
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
            cached: self.cached + other.cached,
            rows: self.rows + other.rows,
        }
    }

    pub(super) fn note(self, counters: &Counters) {
        Counters::add(&counters.bytes_scanned, self.bytes);
        Counters::add(&counters.data_bytes_cached, self.cached);
        Counters::add(&counters.rows_scanned, self.rows);
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
