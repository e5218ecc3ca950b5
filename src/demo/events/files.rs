//! Parquet files of a table, several, as an ingest would leave them.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use watershed_core::{Error, Result, SqlState};

/// Rows that are made at a time.
pub(super) const BATCH: u64 = 65_536;
/// Files per table, so that executors read at the same time.
const FILES: u64 = 6;

/// Writes batches into files that become about equally large.
pub(super) struct Files {
    folder: PathBuf,
    rows_per_file: u64,
    number: usize,
    open: Option<(ArrowWriter<File>, u64)>,
}

impl Files {
    pub(super) fn create(folder: &Path, table: &str, rows: u64) -> Result<Self> {
        let folder = folder.join(table);
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
        Ok(Self {
            folder,
            rows_per_file: rows.div_ceil(FILES).max(1),
            number: 0,
            open: None,
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let path = self.folder.join(format!("{}.parquet", self.number));
        let broken = |error: ParquetError| failed(&path, error);
        let (mut writer, rows) = match self.open.take() {
            Some(open) => open,
            None => {
                let file = File::create(&path).map_err(|error| failed(&path, error))?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::LZ4_RAW)
                    .build();
                let writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).map_err(broken)?;
                (writer, 0)
            }
        };
        writer.write(batch).map_err(broken)?;
        let rows = rows + batch.num_rows() as u64;
        if rows >= self.rows_per_file {
            writer.close().map_err(broken)?;
            self.number += 1;
        } else {
            self.open = Some((writer, rows));
        }
        Ok(())
    }

    pub(super) fn close(self) -> Result<()> {
        if let Some((writer, _)) = self.open {
            writer.close().map_err(|error| failed(&self.folder, error))?;
        }
        Ok(())
    }
}

fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(SqlState::IoError, format!("cannot write {}", path.display())).with_detail(error.to_string())
}

/// Columns that were made here have the same length and the types they say.
pub(super) fn batch<'a>(
    columns: impl IntoIterator<Item = (&'a str, arrow::array::ArrayRef)>,
) -> Result<RecordBatch> {
    RecordBatch::try_from_iter(columns)
        .map_err(|error| Error::internal("generated columns do not fit").with_detail(error.to_string()))
}

/// Instants in microseconds of UTC.
pub(super) fn instants(micros: Vec<i64>) -> arrow::array::ArrayRef {
    std::sync::Arc::new(arrow::array::TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}
