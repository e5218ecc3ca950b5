//! One Parquet file that is being written.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::Utc;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::ColumnPath;
use watershed_core::error::{Error, Result};

use crate::error::from_datafusion;
use crate::layout::TableLayout;

use super::file::{SHARD_SPEC_TAG, WrittenFile};
use super::statistics::delta_statistics;

/// Bytes that are sent to the store at a time, and held until then.
pub(super) const PART_BYTES: usize = 5 << 20;
/// Rows of a row group, at most.
pub(super) const ROW_GROUP_ROWS: usize = 1 << 20;

/// What all files of a write have in common.
pub(super) struct FileFormat {
    /// What lies in files.
    pub(super) schema: SchemaRef,
    properties: WriterPropertiesPtr,
    tags: BTreeMap<String, String>,
    /// What the names of the files begin with.
    prefix: String,
}

/// What the names of the files of a batch begin with, after `part-`.
pub(crate) fn batch_prefix(batch: &str) -> String {
    match batch {
        "" => String::new(),
        batch => format!("{batch}-"),
    }
}

impl FileFormat {
    pub(super) fn new(layout: &TableLayout, batch: &str) -> Result<Self> {
        let schema = layout.file_schema();
        let zstd = ZstdLevel::try_new(1).map_err(parquet_error)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("watershed ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(zstd))
            .set_write_batch_size(8192)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
        // Leaves are numbered as columns where nothing is nested.
        if schema.fields().iter().all(|field| !field.data_type().is_nested()) {
            let sorting = layout
                .file_order()
                .iter()
                .map(|name| {
                    let place = schema.index_of(name).ok()?;
                    Some(SortingColumn {
                        column_idx: i32::try_from(place).ok()?,
                        descending: false,
                        nulls_first: true,
                    })
                })
                .collect::<Option<Vec<_>>>();
            properties = properties.set_sorting_columns(sorting.filter(|sorting| !sorting.is_empty()));
        }
        let keys: HashSet<&String> = layout
            .primary_key
            .iter()
            .chain(layout.sharding.iter().map(|sharding| &sharding.key))
            .collect();
        for key in keys {
            if schema.field_with_name(key).is_ok_and(|field| {
                !field.data_type().is_nested() && field.data_type() != &arrow::datatypes::DataType::Boolean
            }) {
                let column = ColumnPath::from(vec![key.clone()]);
                properties = properties
                    .set_column_bloom_filter_enabled(column.clone(), true)
                    .set_column_bloom_filter_fpp(column, 0.01);
            }
        }
        Ok(Self {
            schema,
            properties: Arc::new(properties.build()),
            tags: layout
                .sharding
                .iter()
                .map(|sharding| (SHARD_SPEC_TAG.to_owned(), sharding.spec()))
                .collect(),
            prefix: batch_prefix(batch),
        })
    }
}

/// A file that rows are still added to.
pub(super) struct OpenFile {
    writer: AsyncArrowWriter<BufWriter>,
    /// Below the table's folder.
    path: String,
    partition_values: BTreeMap<String, Option<String>>,
    rows: u64,
}

impl OpenFile {
    pub(super) fn create(
        format: &FileFormat,
        store: &Arc<dyn ObjectStore>,
        table: &Path,
        folder: Vec<String>,
        partition_values: BTreeMap<String, Option<String>>,
    ) -> Result<Self> {
        let mut parts = folder;
        parts.push(format!("part-{}{}.parquet", format.prefix, uuid::Uuid::now_v7()));
        let location = parts
            .iter()
            .fold(table.clone(), |path, part| path.join(part.as_str()));
        let sink = BufWriter::with_capacity(Arc::clone(store), location, PART_BYTES);
        let writer = AsyncArrowWriter::try_new(
            sink,
            Arc::clone(&format.schema),
            Some(format.properties.as_ref().clone()),
        )
        .map_err(parquet_error)?;
        Ok(Self {
            writer,
            path: parts.join("/"),
            partition_values,
            rows: 0,
        })
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).await.map_err(parquet_error)
    }

    /// Ends the row group: nothing of it stays in memory but what fills no part yet.
    pub(super) async fn end_row_group(&mut self) -> Result<()> {
        self.writer.flush().await.map_err(parquet_error)
    }

    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written()
    }

    /// What it holds in memory between row groups.
    pub(super) fn held(&self) -> usize {
        self.bytes().min(PART_BYTES)
    }

    /// Completes the file. Only now is it in the store.
    pub(super) async fn close(mut self, format: &FileFormat) -> Result<WrittenFile> {
        let metadata = self.writer.finish().await.map_err(parquet_error)?;
        Ok(WrittenFile {
            path: self.path,
            size: self.writer.bytes_written() as u64,
            modified_ms: Utc::now().timestamp_millis(),
            rows: self.rows,
            partition_values: self.partition_values,
            statistics: delta_statistics(&metadata, &format.schema),
            tags: format.tags.clone(),
        })
    }

    /// Gives the file up; what was sent of it is removed where the store can.
    pub(super) async fn abandon(self) {
        let mut sink = self.writer.into_inner();
        if let Err(error) = sink.abort().await {
            tracing::debug!(%error, path = self.path, "a file that was given up is left to be collected");
        }
    }
}

fn parquet_error(error: ParquetError) -> Error {
    let error = from_datafusion(error.into());
    match error.code() {
        // What is being written is not damaged: it could not be written.
        watershed_core::SqlState::DataCorrupted => {
            let failed = Error::new(watershed_core::SqlState::IoError, "cannot write a data file");
            match error.detail() {
                Some(detail) => failed.with_detail(detail),
                None => failed,
            }
        }
        _ => error,
    }
}
