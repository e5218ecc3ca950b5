//! One cached answer: its rows as Arrow IPC, so that its size is known to the byte, and what is told
//! about it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use arrow::json::ArrayWriter;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use watershed_core::{Error, Result, SqlState};

/// Bytes of JSON beyond which `distributed_query_cache` shows no rows.
const MAX_JSON: usize = 64 << 10;

/// What is told about an answer beside its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Whose statement it was the answer to.
    pub principal: String,
    /// What one must be allowed to read to see it: schema and name.
    pub reads: Vec<(String, String)>,
    /// The tables whose rows it was made of, as people call them.
    pub tables: Vec<String>,
    /// The same, by identity and version.
    pub versions: Vec<(String, String)>,
    pub shards: u64,
    /// Of a partial answer, the shards that it lacks.
    #[serde(default)]
    pub missing_shards: u64,
    /// The plan's key, whatever the versions.
    pub plan: String,
    pub created_at: DateTime<Utc>,
    /// The number of the newest invalidation when it was planned. What was asked to be forgotten after that is
    /// forgotten, also where nobody came to remove it.
    #[serde(default)]
    pub invalidation: u64,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Entry {
    pub about: About,
    /// An Arrow IPC stream.
    pub rows: Bytes,
}

impl Entry {
    pub fn new(about: About, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(broken)?;
        for batch in batches {
            writer.write(batch).map_err(broken)?;
        }
        let rows = writer.into_inner().map_err(broken)?;
        Ok(Self {
            about,
            rows: Bytes::from(rows.into_boxed_slice()),
        })
    }

    /// Bytes that it takes.
    pub fn size(&self) -> u64 {
        let about = self.about.principal.len()
            + self
                .about
                .reads
                .iter()
                .map(|(a, b)| a.len() + b.len())
                .sum::<usize>()
            + self
                .about
                .versions
                .iter()
                .map(|(a, b)| a.len() + b.len())
                .sum::<usize>()
            + self.about.tables.iter().map(String::len).sum::<usize>()
            + std::mem::size_of::<Self>();
        (self.rows.len() + about) as u64
    }

    /// The rows, which share the entry's memory, with the names that a statement gives its columns.
    pub fn batches(&self, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
        self.decode()?
            .into_iter()
            .map(|batch| {
                RecordBatch::try_new_with_options(
                    Arc::clone(schema),
                    batch.columns().to_vec(),
                    &arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
                )
                .map_err(broken)
            })
            .collect()
    }

    fn decode(&self) -> Result<Vec<RecordBatch>> {
        let mut bytes = Buffer::from(self.rows.clone());
        let mut decoder = StreamDecoder::new();
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            if let Some(batch) = decoder.decode(&mut bytes).map_err(broken)? {
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    /// The rows as a JSON array of objects; none if that were too long, or if a type has no JSON form.
    pub fn json(&self) -> Result<Option<String>> {
        // JSON is longer than the rows' bytes, but for empty ones.
        if self.rows.len() > 4 * MAX_JSON {
            return Ok(None);
        }
        let mut writer = ArrayWriter::new(Vec::new());
        for batch in self.decode()? {
            // It writes to memory: what fails is a type, such as a union.
            if writer.write(&batch).is_err() {
                return Ok(None);
            }
        }
        writer.finish().map_err(broken)?;
        let mut json = writer.into_inner();
        if json.is_empty() {
            json = b"[]".to_vec();
        }
        if json.len() > MAX_JSON {
            return Ok(None);
        }
        String::from_utf8(json)
            .map(Some)
            .map_err(|error| Error::internal("rows as JSON are no text").with_detail(error.to_string()))
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::new(SqlState::DataCorrupted, "a cached answer cannot be read").with_detail(error.to_string())
}
