//! Which build sides of joins every executor may compute for itself (a broadcast join).
//!
//! Each task of a fragment, each retry and each hedge computes the build side once more. So it must be small,
//! and it must give the same rows wherever and how often it runs: `random()`, `LIMIT` without a total order and
//! ranks among peers would join one row of the probe side with a build side that another row never meets.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::{InterleaveExec, UnionExec};
use datafusion::physical_plan::unnest::UnnestExec;

use super::split::{file_scan, has_foreign_state, scan_bytes};

type Plan = Arc<dyn ExecutionPlan>;

/// Aggregates whose result does not depend on the order of their input. Sums of doubles differ in their last
/// digits, as they do between two runs of one plan.
const ORDER_INSENSITIVE: [&str; 20] = [
    "approx_distinct",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "max",
    "median",
    "min",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
    "grouping",
];

/// Whether every executor may compute `build`: it reads no more than `limit` bytes of files and gives the same
/// rows each time.
pub(super) fn may_be_copied(build: &Plan, limit: usize) -> bool {
    let mut bytes = 0_usize;
    let mut copied = true;
    let walked = build.apply(|node| {
        if has_foreign_state(node) || !gives_same_rows(node)? {
            copied = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        if node.children().is_empty() {
            match file_scan(node) {
                Some(scan) => bytes = bytes.saturating_add(scan_bytes(scan)),
                None => copied = false,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && copied && bytes <= limit
}

/// Whether a node gives the same rows, in any order, for the same rows in any order.
fn gives_same_rows(node: &Plan) -> Result<bool> {
    // A limit keeps whichever rows come first; a sort with one, whichever of those that are equal.
    if node.fetch().is_some() {
        return Ok(false);
    }
    let known = match node.downcast_ref::<AggregateExec>() {
        Some(aggregate) => aggregate
            .aggr_expr()
            .iter()
            .all(|function| ORDER_INSENSITIVE.contains(&function.fun().name())),
        None => {
            file_scan(node).is_some()
                || node.is::<FilterExec>()
                || node.is::<ProjectionExec>()
                || node.is::<CooperativeExec>()
                || node.is::<CoalescePartitionsExec>()
                || node.is::<RepartitionExec>()
                || node.is::<SortExec>()
                || node.is::<SortPreservingMergeExec>()
                || node.is::<UnionExec>()
                || node.is::<InterleaveExec>()
                || node.is::<UnnestExec>()
                || node.is::<HashJoinExec>()
                || node.is::<SortMergeJoinExec>()
                || node.is::<NestedLoopJoinExec>()
                || node.is::<CrossJoinExec>()
        }
    };
    let mut volatile = false;
    node.apply_expressions(&mut |expr| {
        volatile |= expr.exists(|inner| Ok(inner.is_volatile_node()))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(known && !volatile)
}
