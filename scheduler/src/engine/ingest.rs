//! Rows that a client streams, as a table that can be read once.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::Mutex;
use watershed_core::Result;
use watershed_storage::error::{from_datafusion, into_datafusion};

use crate::flight::RowStream;

/// A table of these rows in `partitions` partitions. Each takes the next batch when it has written the
/// last one, so that rows are pulled from the client no faster than they are written.
pub(super) fn table(rows: RowStream, partitions: usize) -> Result<Arc<dyn TableProvider>> {
    let schema = Arc::clone(&rows.schema);
    // Every partition polls the stream until it ends, so all but the first of them poll it after its end.
    let shared = Arc::new(Mutex::new(rows.batches.fuse().boxed()));
    let partitions = (0..partitions.max(1)).map(|_| {
        Arc::new(Partition {
            schema: Arc::clone(&schema),
            rows: Arc::clone(&shared),
        }) as Arc<dyn PartitionStream>
    });
    let table =
        StreamingTable::try_new(Arc::clone(&schema), partitions.collect()).map_err(from_datafusion)?;
    Ok(Arc::new(table))
}

struct Partition {
    schema: SchemaRef,
    rows: Arc<Mutex<BoxStream<'static, Result<RecordBatch>>>>,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows of a client")
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::unfold(Some(Arc::clone(&self.rows)), |rows| async {
            let rows = rows?;
            let next = rows.lock().await.next().await;
            match next? {
                Ok(batch) => Some((Ok(batch), Some(rows))),
                Err(error) => Some((Err(into_datafusion(error)), None)),
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;
    use datafusion::prelude::SessionContext;
    use futures::TryStreamExt;
    use watershed_core::{Error, SqlState};

    use super::*;

    fn batch(value: i32) -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(vec![value])) as _)]).unwrap()
    }

    /// Reads a stream that panics when it is polled after its end, as the streams of clients do.
    async fn read(batches: Vec<Result<RecordBatch>>) -> datafusion::error::Result<Vec<RecordBatch>> {
        let once = stream::unfold(batches.into_iter(), |mut batches| async {
            batches.next().map(|batch| (batch, batches))
        });
        let rows = RowStream::new(batch(0).schema(), once.boxed());
        let context = SessionContext::new();
        let frame = context.read_table(table(rows, 3).unwrap())?;
        frame.execute_stream().await?.try_collect().await
    }

    #[tokio::test]
    async fn every_row_is_read_once() {
        let read = read((0..100).map(|value| Ok(batch(value))).collect())
            .await
            .unwrap();
        let mut values: Vec<i32> = read
            .iter()
            .flat_map(|batch| {
                let column = batch.column(0).as_any().downcast_ref::<Int32Array>().unwrap();
                column.values().to_vec()
            })
            .collect();
        values.sort_unstable();
        assert_eq!(values, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_error_of_the_client_ends_the_rows() {
        let lost = Error::new(SqlState::DataException, "the connection was lost");
        let error = read(vec![Ok(batch(1)), Err(lost)]).await.unwrap_err();
        assert_eq!(from_datafusion(error).message(), "the connection was lost");
    }
}
