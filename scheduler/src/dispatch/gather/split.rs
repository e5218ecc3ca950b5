//! Finds the parts of a physical plan that can run shard by shard.
//!
//! A part qualifies when partition `i` of its output depends on partition `i` of one scan alone — or
//! when that scan has a single partition, so that anything above it does. The largest such parts
//! become fragments. The plan stays whole where rows would then be shuffled in the scheduler by the
//! million: such plans are for the exchange.

use std::sync::Arc;

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};
use watershed_storage::codec::{KnownOrderExec, is_window};
use watershed_storage::fragment;
use watershed_storage::guard::GuardExec;
use watershed_storage::write::ShardWriteExec;

use super::broadcast::may_be_copied;
use super::exec::{ShardGatherExec, Surroundings};
use super::fragment::Fragment;
use crate::dispatch::narrow::{Single, for_threads, narrowed, shares_out};

type Plan = Arc<dyn ExecutionPlan>;

/// What may be split how.
pub struct SplitOptions {
    /// The largest build side of a join, in bytes of files, that every executor reads whole.
    pub broadcast_limit: usize,
    /// Threads of this process, where what is above the fragments runs.
    pub threads: usize,
}

/// The plan with its fragments replaced, or why it stays whole.
pub fn split(
    plan: &Plan,
    options: &SplitOptions,
    surroundings: &Surroundings,
) -> Result<Result<Plan, String>> {
    let mut fragments = 0;
    let replaced = replace(
        &narrowed(plan, Single::Coalesced)?,
        options,
        surroundings,
        &mut fragments,
    )?;
    if fragments == 0 {
        return Ok(Err("no part of the plan runs shard by shard".to_owned()));
    }
    if let Some(why) = shuffles_raw_rows(&replaced) {
        return Ok(Err(why));
    }
    for_threads(replaced, options.threads).map(Ok)
}

fn replace(
    plan: &Plan,
    options: &SplitOptions,
    surroundings: &Surroundings,
    fragments: &mut usize,
) -> Result<Plan> {
    if let Some(leaf) = driving_scan(plan, options) {
        let scan = file_scan(&leaf)
            .map(|scan| scan.file_groups.len())
            .unwrap_or_default();
        if scan == plan.output_partitioning().partition_count() && scan > 0 {
            *fragments += 1;
            let replayable = is_replayable(plan);
            let plan = fragment::insert(Arc::clone(plan))?;
            let fragment = Fragment::new(plan, leaf, replayable, &surroundings.statement.scans);
            return Ok(Arc::new(ShardGatherExec::new(fragment, surroundings.clone())));
        }
    }
    let children = plan.children();
    if children.is_empty() {
        return Ok(Arc::clone(plan));
    }
    let children = children
        .into_iter()
        .map(|child| replace(child, options, surroundings, fragments))
        .collect::<Result<Vec<_>>>()?;
    Arc::clone(plan).replace_children(
        children,
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}

/// The scan that decides the partitions of `plan`, if `plan` runs partition by partition.
fn driving_scan(plan: &Plan, options: &SplitOptions) -> Option<Plan> {
    if has_foreign_state(plan) {
        return None;
    }
    if let Some(scan) = file_scan(plan) {
        return (!scan.file_groups.is_empty()).then(|| Arc::clone(plan));
    }
    let child = probe_side(plan, options)?;
    let leaf = driving_scan(child, options)?;
    let single = file_scan(&leaf)?.file_groups.len() == 1;
    keeps_partitions(plan, single).then_some(leaf)
}

/// The child whose partitions are the node's own.
fn probe_side<'a>(plan: &'a Plan, options: &SplitOptions) -> Option<&'a Plan> {
    let (build, probe, join_type) = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        if *join.partition_mode() != PartitionMode::CollectLeft {
            return None;
        }
        (join.left(), join.right(), *join.join_type())
    } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        (join.left(), join.right(), *join.join_type())
    } else if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
        (join.left(), join.right(), JoinType::Inner)
    } else {
        let children = plan.children();
        return if let [child] = children.as_slice() {
            Some(*child)
        } else {
            None
        };
    };
    // Rows of the build side must come out only where a row of the probe side meets them: each task
    // has the whole build side, and would give the rest of it once per task.
    let per_probe_row = matches!(
        join_type,
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    );
    (per_probe_row && may_be_copied(build, options.broadcast_limit)).then_some(probe)
}

fn keeps_partitions(plan: &Plan, single: bool) -> bool {
    if plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<KnownOrderExec>()
        || plan.is::<GuardExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<UnnestExec>()
        || plan.is::<ShardWriteExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
    {
        return true;
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return *aggregate.mode() == AggregateMode::Partial || single;
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        return sort.preserve_partitioning() || single;
    }
    single
        && (shares_out(plan)
            || plan.is::<GlobalLimitExec>()
            || is_window(plan)
            || plan.is::<CoalescePartitionsExec>()
            || plan.is::<SortPreservingMergeExec>())
}

/// Whether the node's expressions refer to something of this process: results of subqueries that run
/// beside it.
pub(super) fn has_foreign_state(plan: &Plan) -> bool {
    if plan.name() == "ScalarSubqueryExec" {
        return true;
    }
    let mut foreign = false;
    let walked = plan.apply_expressions(&mut |expr| {
        expr.apply(|inner| {
            if inner.downcast_ref::<ScalarSubqueryExpr>().is_some() {
                foreign = true;
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    walked.is_err() || foreign
}

/// Whether partitions that run in one task tell each other which rows need not be looked at any more.
pub(super) fn shares_bounds(plan: &Plan) -> bool {
    let mut shares = plan
        .downcast_ref::<SortExec>()
        .is_some_and(|sort| sort.fetch().is_some());
    let walked = plan.apply_expressions(&mut |expr| {
        shares |= expr.exists(|inner| Ok(inner.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()))?;
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_err() || shares || plan.children().into_iter().any(shares_bounds)
}

/// Whether running a partition again gives the same rows in the same order, so that a retry can skip
/// what was delivered before.
fn is_replayable(plan: &Plan) -> bool {
    let mut replayable = true;
    let walked = plan.apply(|node| {
        let plain = node.is::<FilterExec>()
            || node.is::<ProjectionExec>()
            || node.is::<GuardExec>()
            || node.is::<CooperativeExec>()
            || file_scan(node).is_some();
        let mut steady = true;
        node.apply_expressions(&mut |expr| {
            expr.apply(|inner| {
                if inner.is_volatile_node() || inner.downcast_ref::<DynamicFilterPhysicalExpr>().is_some() {
                    steady = false;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        replayable &= plain && steady;
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && replayable
}

/// Why the scheduler would have to shuffle, join or sort rows that no fragment has reduced.
fn shuffles_raw_rows(plan: &Plan) -> Option<String> {
    let heavy = plan.is::<RepartitionExec>()
        || plan.is::<HashJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || is_window(plan);
    let children = plan.children();
    if heavy && children.iter().any(|child| gathers_raw_rows(child)) {
        return Some(format!("{} needs rows of several shards together", plan.name()));
    }
    children.into_iter().find_map(shuffles_raw_rows)
}

fn gathers_raw_rows(plan: &Plan) -> bool {
    if let Some(gather) = plan.downcast_ref::<ShardGatherExec>() {
        return !gather.fragment().is_reduced();
    }
    if plan.is::<AggregateExec>() {
        return false;
    }
    plan.children().into_iter().any(gathers_raw_rows)
}

/// The node's file scan, if it is one.
pub(crate) fn file_scan(plan: &Plan) -> Option<&FileScanConfig> {
    plan.downcast_ref::<DataSourceExec>()?
        .data_source()
        .downcast_ref::<FileScanConfig>()
}

/// The bytes of files that a scan may read.
pub(crate) fn scan_bytes(scan: &FileScanConfig) -> usize {
    scan.file_groups
        .iter()
        .flat_map(|group| group.files())
        .map(|file| usize::try_from(file.effective_size()).unwrap_or(usize::MAX))
        .fold(0, usize::saturating_add)
}

/// The bytes of files that all scans of a plan may read, and whether it has any scan of files.
pub(crate) fn plan_bytes(plan: &Plan) -> Option<usize> {
    let own = file_scan(plan).map(scan_bytes);
    plan.children()
        .into_iter()
        .filter_map(plan_bytes)
        .fold(own, |sum, bytes| Some(sum.unwrap_or(0).saturating_add(bytes)))
}
