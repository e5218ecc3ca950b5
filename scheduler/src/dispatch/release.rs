//! Rows that may still have to be computed again are held back: in memory up to a limit and as far as
//! the process has some to spare, beyond it on disk. A client sees them only when a retry can no longer change them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::SpillFile;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{SendableRecordBatchStream, SpillManager};
use futures::{StreamExt, stream};

/// Rows held back.
pub struct HeldRows {
    schema: SchemaRef,
    spills: SpillManager,
    limit: usize,
    /// Of what lies in memory.
    reserved: MemoryReservation,
    rows: u64,
    bytes: usize,
    memory: Vec<RecordBatch>,
    disk: Option<Disk>,
}

/// Appends a batch, or without one ends the file and gives it. DataFusion does not let others name the
/// type behind it.
type Disk = Box<dyn FnMut(Option<&RecordBatch>) -> Result<Option<Arc<dyn SpillFile>>> + Send>;

impl HeldRows {
    /// Holds rows of `schema`, at most `limit` bytes of them in memory.
    pub fn new(schema: SchemaRef, runtime: Arc<RuntimeEnv>, limit: usize) -> Self {
        let reserved = MemoryConsumer::new("rows held back")
            .with_can_spill(true)
            .register(&runtime.memory_pool);
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let spills = SpillManager::new(runtime, metrics, Arc::clone(&schema));
        Self {
            schema,
            spills,
            limit,
            reserved,
            rows: 0,
            bytes: 0,
            memory: Vec::new(),
            disk: None,
        }
    }

    /// How many rows are held.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many bytes they take, in memory and on disk.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let bytes = batch.get_array_memory_size();
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(file) = &mut self.disk {
            return file(Some(&batch)).map(drop);
        }
        self.memory.push(batch);
        if self.reserved.try_grow(bytes).is_err() || self.reserved.size() > self.limit {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let mut file = self.spills.create_in_progress_file("rows held back")?;
        let mut disk: Disk = Box::new(move |batch| match batch {
            Some(batch) => file.append_batch(batch).map(|_| None),
            None => file.finish(),
        });
        for batch in self.memory.drain(..) {
            disk(Some(&batch))?;
        }
        self.disk = Some(disk);
        self.reserved.free();
        Ok(())
    }

    /// Lets the rows go, in the order they came.
    pub fn release(self) -> Result<SendableRecordBatchStream> {
        if let Some(mut file) = self.disk
            && let Some(file) = file(None)?
        {
            return self.spills.read_spill_as_stream(file, None);
        }
        let reserved = self.reserved;
        let batches = stream::iter(self.memory).map(move |batch| {
            reserved.shrink(batch.get_array_memory_size().min(reserved.size()));
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema, batches)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, cast::AsArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use futures::TryStreamExt;

    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    use super::*;

    async fn check(limit: usize, spilled: bool) {
        check_in(Arc::new(RuntimeEnv::default()), limit, spilled).await;
    }

    async fn check_in(runtime: Arc<RuntimeEnv>, limit: usize, spilled: bool) {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let mut held = HeldRows::new(Arc::clone(&schema), Arc::clone(&runtime), limit);
        for start in 0..50_i64 {
            let values = Int64Array::from_iter_values(start * 100..(start + 1) * 100);
            held.push(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).unwrap())
                .unwrap();
        }
        assert_eq!(held.disk.is_some(), spilled);
        assert_eq!(held.rows(), 5000);
        let batches: Vec<_> = held.release().unwrap().try_collect().await.unwrap();
        let values: Vec<i64> = batches
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert_eq!(values, (0..5000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn on_disk_when_the_process_has_no_memory_to_spare() {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(8 << 10, 1.0)
            .build_arc()
            .unwrap();
        check_in(runtime, 1 << 20, true).await;
    }

    #[tokio::test]
    async fn in_memory() {
        check(1 << 20, false).await;
    }

    #[tokio::test]
    async fn on_disk() {
        check(4096, true).await;
    }
}
