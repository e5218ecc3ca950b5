//! One version of a table as its list of data files.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use datafusion::common::{ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use deltalake_core::table::state::DeltaTableState;
use watershed_core::error::{Error, Result};
use watershed_core::id::ShardId;

use crate::layout::TableLayout;

use super::file::Reader;
use super::folder::TableFolder;

/// Features of tables that others wrote and that we read right. One that is not named here is
/// refused, as is every one yet to come.
const READER_FEATURES: [&str; 5] = [
    // Files with a deletion vector are refused one by one.
    "deletionVectors",
    // Refused by the table's mode.
    "columnMapping",
    "timestampNtz",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// One version of a table.
#[derive(Debug)]
pub struct TableSnapshot {
    pub version: u64,
    pub files: Vec<DataFile>,
}

impl TableSnapshot {
    /// Bytes of all data files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Rows of all data files, if every file says.
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.rows).sum()
    }
}

/// A data file of a snapshot.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Within the bucket.
    pub path: object_store::path::Path,
    pub size: u64,
    pub modified: DateTime<Utc>,
    pub rows: Option<u64>,
    /// As the layout's `partition_by`.
    pub partition_values: Vec<ScalarValue>,
    /// Only of files that our writer laid out for the table's shards; the others may hold any.
    pub shard: Option<ShardId>,
    /// Over the columns of the layout's `arrow_schema`.
    pub statistics: Arc<Statistics>,
    /// As a scan of its table has it, from the first scan on.
    pub(crate) planned: OnceLock<PartitionedFile>,
}

/// Reads the files of `state`; those that `known` has are taken from there, as files never change.
pub(crate) async fn read(
    folder: &TableFolder,
    state: &DeltaTableState,
    layout: TableLayout,
    known: Option<Arc<TableSnapshot>>,
) -> Result<TableSnapshot> {
    check_features(folder, state)?;
    let reader = Reader::new(folder.path.clone(), folder.url.to_string(), layout);
    let state = state.clone();
    // Reading the statistics of thousands of files takes a while.
    let read = tokio::task::spawn_blocking(move || {
        let known: HashMap<&str, &DataFile> = known
            .iter()
            .flat_map(|known| &known.files)
            .map(|file| (file.path.as_ref(), file))
            .collect();
        let mut files = Vec::new();
        for view in state.log_data().iter() {
            let path = reader.path(&view)?;
            // A file may have got a deletion vector since.
            reader.check(&view)?;
            match known.get(path.as_ref()) {
                Some(file) => files.push((*file).clone()),
                None => files.push(reader.file(path, &view)?),
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(TableSnapshot {
            version: state.version(),
            files,
        })
    });
    read.await
        .map_err(|error| Error::internal(format!("reading a table's files failed: {error}")))?
}

/// Refuses tables that use what we do not read.
fn check_features(folder: &TableFolder, state: &DeltaTableState) -> Result<()> {
    let refuse = |feature: &str| {
        Error::unsupported(format!(
            "the table in {} uses {feature}, which is not supported",
            folder.url
        ))
        .with_hint("Write the table anew without it, from the engine that wrote it.")
    };
    for feature in state.protocol().reader_features().unwrap_or_default() {
        let name = feature.to_string();
        if !READER_FEATURES.contains(&name.as_str()) {
            return Err(refuse(&format!("the feature {name}")));
        }
    }
    match state
        .metadata()
        .configuration()
        .get("delta.columnMapping.mode")
        .map(String::as_str)
    {
        None | Some("none" | "") => Ok(()),
        Some(mode) => Err(refuse(&format!("column mapping by {mode}"))),
    }
}
