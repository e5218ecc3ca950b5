//! The write of one input partition: rows are gathered, split, sorted and written in runs that fit
//! into memory.
//!
//! A run holds the input's batches as they are; each bucket remembers which rows are its own. When the
//! run is full every bucket's rows are sorted and copied once, into a row group of the bucket's file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::execution::memory_pool::MemoryReservation;
use object_store::ObjectStore;
use object_store::path::Path;
use watershed_core::error::{Error, Result};

use super::check::RowCheck;
use super::exec::WriteTarget;
use super::file::WrittenFile;
use super::open::{FileFormat, OpenFile, ROW_GROUP_ROWS};
use super::partition::{Bucket, Partitioner};
use crate::error::from_datafusion;

/// Bytes of rows in a run, at most.
const RUN_BYTES: usize = 256 << 20;
/// Rows in a run, at most, so that narrow rows do not make indices the larger part.
const RUN_ROWS: usize = 8 << 20;
/// Files open at a time: each holds a part of what is to be sent.
const OPEN_FILES: usize = 64;
/// A file that has grown larger is completed, and another begun.
const FILE_BYTES: usize = 256 << 20;
/// Rows that are copied and encoded at a time.
const SLICE_ROWS: usize = 32 << 10;

/// Writes rows of one table.
pub(super) struct Run {
    check: RowCheck,
    partitioner: Partitioner,
    format: FileFormat,
    /// Places of the columns that lie in files.
    stored: Vec<usize>,
    /// Places of the columns that order rows.
    order: Vec<usize>,
    store: Arc<dyn ObjectStore>,
    table: Path,
    memory: MemoryReservation,

    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    /// Batch and row of each bucket's rows.
    buckets: BTreeMap<Bucket, Vec<(u32, u32)>>,

    open: BTreeMap<Bucket, Opened>,
    clock: u64,
    done: Vec<WrittenFile>,
}

struct Opened {
    file: OpenFile,
    used: u64,
}

impl Run {
    pub(super) fn new(
        target: &WriteTarget,
        store: Arc<dyn ObjectStore>,
        table: Path,
        memory: MemoryReservation,
    ) -> Result<Self> {
        let layout = &target.layout;
        let schema = layout.arrow_schema();
        let places = |names: &mut dyn Iterator<Item = &String>| {
            names
                .map(|name| schema.index_of(name))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Error::internal(error.to_string()))
        };
        let format = FileFormat::new(layout, &target.batch)?;
        Ok(Self {
            check: RowCheck::new(layout),
            partitioner: Partitioner::new(layout)?,
            stored: places(&mut format.schema.fields().iter().map(|field| field.name()))?,
            order: places(&mut layout.file_order().iter())?,
            format,
            store,
            table,
            memory,
            batches: Vec::new(),
            rows: 0,
            bytes: 0,
            buckets: BTreeMap::new(),
            open: BTreeMap::new(),
            clock: 0,
            done: Vec::new(),
        })
    }

    /// Takes a batch; writes the run when it is full.
    pub(super) async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = self.check.check(batch)?;
        let buckets = self.partitioner.buckets(&batch)?;
        let bytes = slice_bytes(&batch)? + batch.num_rows() * size_of::<(u32, u32)>();
        if self.memory.try_grow(bytes).is_err() {
            self.write_run().await?;
            if self.memory.try_grow(bytes).is_err() {
                self.close_all().await?;
                self.memory.try_grow(bytes).map_err(from_datafusion)?;
            }
        }
        let number = u32::try_from(self.batches.len()).unwrap_or(u32::MAX);
        for (row, bucket) in buckets.into_iter().enumerate() {
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            self.buckets.entry(bucket).or_default().push((number, row));
        }
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.batches.push(batch);
        if self.bytes >= RUN_BYTES || self.rows >= RUN_ROWS {
            self.write_run().await?;
        }
        Ok(())
    }

    /// Writes what is left and completes all files.
    pub(super) async fn finish(&mut self) -> Result<Vec<WrittenFile>> {
        self.write_run().await?;
        self.close_all().await?;
        Ok(std::mem::take(&mut self.done))
    }

    /// Gives up all files that are not complete.
    pub(super) async fn abandon(&mut self) {
        while let Some((_, opened)) = self.open.pop_first() {
            opened.file.abandon().await;
        }
    }

    async fn write_run(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.batches);
        let buckets = std::mem::take(&mut self.buckets);
        for (bucket, rows) in buckets {
            self.write_bucket(bucket, &batches, rows).await?;
        }
        (self.rows, self.bytes) = (0, 0);
        drop(batches);
        let held: usize = self.open.values().map(|opened| opened.file.held()).sum();
        if self.memory.try_resize(held).is_err() {
            self.close_all().await?;
        }
        Ok(())
    }

    /// Completes all files: where memory is short, smaller ones rather than none.
    async fn close_all(&mut self) -> Result<()> {
        while let Some((_, opened)) = self.open.pop_first() {
            self.done.push(opened.file.close(&self.format).await?);
        }
        self.memory.free();
        Ok(())
    }

    async fn write_bucket(
        &mut self,
        bucket: Bucket,
        batches: &[RecordBatch],
        rows: Vec<(u32, u32)>,
    ) -> Result<()> {
        let rows: Vec<(usize, usize)> = rows
            .into_iter()
            .map(|(batch, row)| (batch as usize, row as usize))
            .collect();
        let rows = sorted(batches, rows, &self.order)?;
        let mut file = self.take_file(bucket).await?;
        for group in rows.chunks(ROW_GROUP_ROWS) {
            for slice in group.chunks(SLICE_ROWS) {
                let columns = self
                    .stored
                    .iter()
                    .map(|place| gather(batches, *place, slice))
                    .collect::<Result<Vec<_>>>()?;
                let batch = RecordBatch::try_new(Arc::clone(&self.format.schema), columns)
                    .map_err(|error| from_datafusion(error.into()))?;
                if let Err(error) = file.write(&batch).await {
                    file.abandon().await;
                    return Err(error);
                }
                // Encoding takes a while, and others have a turn.
                tokio::task::yield_now().await;
            }
            if let Err(error) = file.end_row_group().await {
                file.abandon().await;
                return Err(error);
            }
        }
        if file.bytes() >= FILE_BYTES {
            self.done.push(file.close(&self.format).await?);
        } else {
            self.clock += 1;
            let used = self.clock;
            self.open.insert(bucket, Opened { file, used });
        }
        Ok(())
    }

    /// The bucket's file; where too many are open, the one used longest ago is completed.
    async fn take_file(&mut self, bucket: Bucket) -> Result<OpenFile> {
        if let Some(opened) = self.open.remove(&bucket) {
            return Ok(opened.file);
        }
        if self.open.len() >= OPEN_FILES {
            let oldest = self
                .open
                .iter()
                .min_by_key(|(_, opened)| opened.used)
                .map(|(bucket, _)| *bucket);
            if let Some(opened) = oldest.and_then(|oldest| self.open.remove(&oldest)) {
                self.done.push(opened.file.close(&self.format).await?);
            }
        }
        OpenFile::create(
            &self.format,
            &self.store,
            &self.table,
            self.partitioner.folder(bucket),
            self.partitioner.values(bucket),
        )
    }
}

/// The rows in the table's order; equal ones stay as they came.
fn sorted(
    batches: &[RecordBatch],
    rows: Vec<(usize, usize)>,
    order: &[usize],
) -> Result<Vec<(usize, usize)>> {
    if order.is_empty() || rows.len() < 2 {
        return Ok(rows);
    }
    let keys = order
        .iter()
        .map(|place| gather(batches, *place, &rows))
        .collect::<Result<Vec<_>>>()?;
    let fields = keys
        .iter()
        .map(|key| SortField::new(key.data_type().clone()))
        .collect();
    let keys: Rows = RowConverter::new(fields)
        .and_then(|converter| converter.convert_columns(&keys))
        .map_err(|error| from_datafusion(error.into()))?;
    let mut places: Vec<usize> = (0..rows.len()).collect();
    if !places.is_sorted_by(|a, b| keys.row(*a) <= keys.row(*b)) {
        places.sort_by(|a, b| keys.row(*a).cmp(&keys.row(*b)));
    }
    Ok(places.into_iter().map(|place| rows[place]).collect())
}

/// One column of the rows, copied together.
fn gather(batches: &[RecordBatch], column: usize, rows: &[(usize, usize)]) -> Result<ArrayRef> {
    let columns: Vec<&dyn arrow::array::Array> = batches
        .iter()
        .map(|batch| batch.column(column).as_ref())
        .collect();
    interleave(&columns, rows).map_err(|error| from_datafusion(error.into()))
}

/// What the rows themselves take, not the buffers that they may be a slice of.
fn slice_bytes(batch: &RecordBatch) -> Result<usize> {
    batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size())
        .sum::<Result<usize, _>>()
        .map_err(|error| from_datafusion(error.into()))
}
