//! The rows of one try as they arrive.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use futures::future::{BoxFuture, select_all};
use futures::{FutureExt, StreamExt};
use watershed_core::id::NodeId;
use watershed_core::{Error, SqlState};
use watershed_storage::error::into_datafusion;

use super::head::Head;
use super::measured;
use crate::cluster::Members;
use crate::dispatch::context::StatementContext;
use crate::dispatch::fault::{Fault, judge};
use crate::dispatch::measure::{REPORT_WAIT, Scanned};
use crate::dispatch::release::HeldRows;

/// Batches that wait for the client.
const BUFFER: usize = 2;

/// See the module.
pub(super) struct Arriving {
    rows: SendableRecordBatchStream,
    head: Head,
    /// Ends with the first executor that is lost.
    lost: BoxFuture<'static, NodeId>,
    taken: u64,
    head_ended: bool,
}

impl Arriving {
    pub(super) fn new(rows: SendableRecordBatchStream, head: Head, members: &Members) -> Self {
        let waits = members.executors.values().map(|executor| {
            let (gone, node) = (executor.gone.clone(), executor.node.clone());
            async move {
                gone.cancelled().await;
                node
            }
            .boxed()
        });
        Self {
            rows,
            head,
            lost: select_all(waits).map(|(node, _, _)| node).boxed(),
            taken: 0,
            head_ended: false,
        }
    }

    /// The next rows, or none when all are here.
    ///
    /// The stream ends only when every worker has said goodbye. One that dies or freezes after its last row
    /// must not take the result with it: all rows being here is what counts.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let next = loop {
            if !self.head_ended {
                tokio::select! {
                    biased;
                    next = self.rows.next() => break next,
                    () = self.head.ended() => self.head_ended = true,
                    node = &mut self.lost => return Err(gone(&node)),
                }
            }
            // To the stream's own end where it comes soon: only then have the workers told what they counted.
            tokio::select! {
                biased;
                next = self.rows.next() => break next,
                () = tokio::time::sleep(REPORT_WAIT) => {
                    if self.taken == self.head.rows() {
                        return Ok(None);
                    }
                }
                node = &mut self.lost => {
                    return match self.taken == self.head.rows() {
                        true => Ok(None),
                        false => Err(gone(&node)),
                    };
                }
            }
        };
        match next.transpose()? {
            Some(batch) => {
                self.taken += batch.num_rows() as u64;
                Ok(Some(batch))
            }
            None if self.head_ended && self.taken != self.head.rows() => {
                internal_err!("the exchange gave {} of {} rows", self.taken, self.head.rows())
            }
            None => Ok(None),
        }
    }

    /// Gives the rows that are held, and those that still arrive, as they come. An executor that is lost now
    /// ends the statement: some of its rows are with the client.
    pub(super) fn streamed(
        mut self,
        held: HeldRows,
        schema: SchemaRef,
        plan: Arc<dyn ExecutionPlan>,
        statement: Arc<StatementContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut released = held.release()?;
        let mut builder = RecordBatchReceiverStreamBuilder::new(schema, BUFFER);
        let sender = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = released.next().await {
                if sender.send(Ok(batch?)).await.is_err() {
                    return Ok(());
                }
            }
            while let Some(batch) = self.next().await.map_err(too_late)? {
                if sender.send(Ok(batch)).await.is_err() {
                    return Ok(());
                }
            }
            Scanned::of_plan(&measured(plan).await).note(&statement.counters);
            Ok(())
        });
        Ok(builder.build())
    }
}

fn gone(node: &NodeId) -> DataFusionError {
    into_datafusion(Error::new(
        SqlState::CannotConnectNow,
        format!("executor {node} is gone"),
    ))
}

/// An error after rows have been let go.
fn too_late(error: DataFusionError) -> DataFusionError {
    into_datafusion(match judge(error) {
        Fault::Statement(error) => error,
        Fault::Executor(error) => Error::new(
            SqlState::CannotConnectNow,
            "an executor was lost after a part of a large result had been given out",
        )
        .with_detail(error.to_string())
        .with_hint("Run the statement again."),
    })
}
