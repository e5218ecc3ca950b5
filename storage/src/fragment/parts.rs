//! What a partition of a fragment consists of: files, or ranges of files, each with the name of what the
//! fragment comes to over it.

use std::sync::Arc;

use datafusion::common::{Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::physical_plan::ExecutionPlan;

use super::describe::{expression, file_text};
use super::digest::FragmentDigest;
use super::proof::true_of_all;
use super::proofs::Proofs;
use super::scan::{Conditions, conjuncts, file_scan};

/// A file, and what the fragment is over it.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) file: PartitionedFile,
    pub(super) key: FragmentDigest,
    /// The conditions that are not true of all of its rows.
    pub(super) conditions: Conditions,
    /// Whether one of these is true of whole files elsewhere: then it moves, as windows over time do, and this
    /// is the edge.
    pub(super) is_edge: bool,
}

impl Part {
    pub(super) fn size(&self) -> usize {
        usize::try_from(self.file.effective_size()).unwrap_or(usize::MAX)
    }
}

/// The parts of one partition.
pub(super) struct Parts {
    pub(super) parts: Vec<Part>,
    /// Of the merged state of these parts and those that come after them.
    pub(super) family: FragmentDigest,
}

impl Parts {
    pub(super) fn of(
        leaf: &Arc<dyn ExecutionPlan>,
        known: Option<&Proofs>,
        partition: usize,
        fragment: FragmentDigest,
    ) -> Result<Self> {
        let (Some(scan), Some(conjuncts)) = (file_scan(leaf), conjuncts(leaf)) else {
            return internal_err!("a fragment's leaf is no scan of files");
        };
        let Some(group) = scan.file_groups.get(partition) else {
            return internal_err!("a fragment has no partition {partition}");
        };
        let files = group.files();
        let schema = scan.file_source().table_schema().table_schema();
        let mut texts = Vec::with_capacity(conjuncts.len());
        let mut proofs = Vec::with_capacity(conjuncts.len());
        for conjunct in &conjuncts {
            let Some(text) = expression(conjunct) else {
                return internal_err!("a condition has no text");
            };
            proofs.push(match known.and_then(|known| known.get(&text, partition, files)) {
                Some(proven) => proven,
                None => true_of_all(conjunct, schema, files)?,
            });
            texts.push(text);
        }
        let moves: Vec<bool> = proofs.iter().map(|proof| proof.contains(&true)).collect();
        let parts = files.iter().enumerate().map(|(place, file)| {
            let left = (0..conjuncts.len()).filter(|number| !proofs[*number][place]);
            let mut key = file_text(file);
            let mut conditions = Vec::new();
            let mut is_edge = false;
            for number in left {
                is_edge |= moves[number];
                key.push_str(" where ");
                key.push_str(&texts[number]);
                conditions.push(Arc::clone(&conjuncts[number]));
            }
            Part {
                file: file.clone(),
                key: fragment.with(&key),
                conditions,
                is_edge,
            }
        });
        let parts = parts.collect();
        let fixed = texts.iter().zip(&moves).filter(|(_, moves)| !**moves);
        let fixed: Vec<&String> = fixed.map(|(text, _)| text).collect();
        let family = format!("\nmerged {fixed:?} {}", partition_name(scan, partition));
        Ok(Self {
            parts,
            family: fragment.with(&family),
        })
    }
}

/// A name for a partition that holds the same files, and those after them, next time. A shard is one;
/// other partitions are whatever they are.
fn partition_name(scan: &FileScanConfig, partition: usize) -> String {
    match crate::table::group_shards(scan).get(partition) {
        Some(Some(shard)) => format!("shard {shard}"),
        _ => format!("partition {partition} of {}", scan.file_groups.len()),
    }
}
