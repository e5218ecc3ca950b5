//! Which conditions are true of which files, found out where the files are planned: executors are told this
//! instead of what each file holds, which of many files is most of a plan.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::describe::expression;
use super::proof::true_of_all;
use super::scan::{conjuncts, file_scan};

/// Conditions of which something is proven: as many as a mask has bits.
const MAX_CONDITIONS: usize = 64;

/// What is proven of a scan's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proofs {
    /// Hashes of the conditions' texts.
    conditions: Vec<u64>,
    partitions: Vec<OfPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfPartition {
    /// Of the files' names: of other files nothing is said.
    files: u64,
    /// For each file a bit for each condition.
    proven: Vec<u64>,
}

impl Proofs {
    /// What the statistics of a scan's files prove; none of a scan without conditions.
    pub fn of(leaf: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let (Some(scan), Some(mut conditions)) = (file_scan(leaf), conjuncts(leaf)) else {
            return Ok(None);
        };
        conditions.truncate(MAX_CONDITIONS);
        let texts: Option<Vec<String>> = conditions.iter().map(expression).collect();
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            return Ok(None);
        };
        let schema = scan.file_source().table_schema().table_schema();
        let mut partitions = Vec::with_capacity(scan.file_groups.len());
        for group in &scan.file_groups {
            let files = group.files();
            let mut proven = vec![0; files.len()];
            for (number, condition) in conditions.iter().enumerate() {
                for (mask, holds) in proven.iter_mut().zip(true_of_all(condition, schema, files)?) {
                    *mask |= u64::from(holds) << number;
                }
            }
            let files = names(files);
            partitions.push(OfPartition { files, proven });
        }
        Ok(Some(Self {
            conditions: texts.iter().map(|text| xxh3_64(text.as_bytes())).collect(),
            partitions,
        }))
    }

    /// For each file of a partition, whether a condition is proven; none if this is of other files or of other
    /// conditions.
    pub(super) fn get(&self, text: &str, partition: usize, files: &[PartitionedFile]) -> Option<Vec<bool>> {
        let of = self.partitions.get(partition)?;
        if of.proven.len() != files.len() || of.files != names(files) {
            return None;
        }
        let hash = xxh3_64(text.as_bytes());
        let number = self.conditions.iter().position(|condition| *condition == hash)?;
        Some(of.proven.iter().map(|mask| mask >> number & 1 == 1).collect())
    }
}

fn names(files: &[PartitionedFile]) -> u64 {
    let mut hash = Xxh3::new();
    for file in files {
        hash.update(file.object_meta.location.as_ref().as_bytes());
        hash.update(&file.object_meta.size.to_le_bytes());
        if let Some(range) = &file.range {
            hash.update(&range.start.to_le_bytes());
            hash.update(&range.end.to_le_bytes());
        }
    }
    hash.digest()
}
