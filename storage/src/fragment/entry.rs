//! A state as it is kept, and its form on disk: the digests of its parts, what was read for it, and rows as an
//! Arrow IPC stream.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use foyer::{Code, Error, ErrorKind, Result};

use super::FragmentDigest;

/// Bytes that an entry takes beside its rows.
const OVERHEAD: usize = 256;

/// What a fragment came to.
pub(super) type State = Arc<Computed>;

#[derive(Debug, PartialEq)]
pub(super) struct Computed {
    pub(super) rows: Vec<RecordBatch>,
    /// Bytes of the scan's files that were read for it, by whoever did: whoever finds it need not.
    pub(super) bytes_read: usize,
}

/// A state and, of a merged one, the single ones in it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) parts: Arc<HashSet<FragmentDigest>>,
    size: usize,
}

impl Entry {
    pub(super) fn new(state: State, parts: Arc<HashSet<FragmentDigest>>) -> Self {
        let columns = state.rows.iter().flat_map(|batch| batch.columns());
        let rows: usize = columns
            // Those that were read share one buffer, of which each has a part.
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or(column.get_array_memory_size()))
            .sum();
        let size = rows + OVERHEAD + parts.len() * 2 * std::mem::size_of::<FragmentDigest>();
        Self { state, parts, size }
    }

    /// Bytes in memory, and about as many on disk.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

impl Code for Entry {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        self.parts.len().encode(writer)?;
        for part in self.parts.iter() {
            writer.write_all(&part.0).map_err(Error::io_error)?;
        }
        self.state.bytes_read.encode(writer)?;
        let Some(first) = self.state.rows.first() else {
            return Err(Error::new(ErrorKind::Unsupported, "a state has no rows"));
        };
        let mut rows = StreamWriter::try_new(writer, &first.schema()).map_err(failed)?;
        for batch in &self.state.rows {
            rows.write(batch).map_err(failed)?;
        }
        rows.finish().map_err(failed)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let count = usize::decode(reader)?;
        let mut parts = HashSet::new();
        for _ in 0..count {
            let mut part = FragmentDigest::default();
            reader.read_exact(&mut part.0).map_err(Error::io_error)?;
            parts.insert(part);
        }
        let bytes_read = usize::decode(reader)?;
        let rows = StreamReader::try_new(reader, None).map_err(failed)?;
        let rows: Vec<_> = rows.collect::<std::result::Result<_, _>>().map_err(failed)?;
        let state = Computed { rows, bytes_read };
        Ok(Self::new(Arc::new(state), Arc::new(parts)))
    }

    fn estimated_size(&self) -> usize {
        self.size
    }
}

/// That a buffer is full has to be known as such: then the next one is tried.
fn failed(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::io_error(error),
        error => Error::new(ErrorKind::Parse, "a state is garbled").with_source(error),
    }
}
