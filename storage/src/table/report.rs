//! What a scan was planned to read, for EXPLAIN and for those who choose where a query runs.

use std::sync::Arc;

use object_store::path::Path;
use parking_lot::Mutex;
use watershed_core::id::ShardId;

/// The scan of one table in one query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanReport {
    pub table: String,
    /// Of a managed table.
    pub version: Option<u64>,
    /// By which a scan in a plan is known again.
    pub first_file: Option<Path>,
    pub files_total: usize,
    pub files_scanned: usize,
    pub bytes_scanned: u64,
    pub rows_estimated: Option<u64>,
    /// Of a sharded table.
    pub shards_total: Option<u32>,
    /// Of a sharded table, ascending.
    pub shards_scanned: Vec<ShardId>,
    /// What kept files from being read: `partition`, `shard`, `statistics`.
    pub pruned_by: Vec<String>,
}

/// Where scans note their reports as they are planned. Clones share one list, which lives as long as
/// the statement it belongs to.
#[derive(Debug, Clone, Default)]
pub struct ScanLog(Arc<Mutex<Vec<ScanReport>>>);

impl ScanLog {
    /// Plans have fewer scans than this; beyond it reports are dropped.
    const LIMIT: usize = 10_000;

    /// What was noted, in the order of planning.
    pub fn reports(&self) -> Vec<ScanReport> {
        self.0.lock().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Forgets what was noted after the first `length` reports, as it is planned again.
    pub fn truncate(&self, length: usize) {
        self.0.lock().truncate(length);
    }

    pub fn push(&self, report: ScanReport) {
        let mut reports = self.0.lock();
        if reports.len() < Self::LIMIT {
            reports.push(report);
        }
    }
}
