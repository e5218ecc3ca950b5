//! Plans brought to fewer partitions than DataFusion gives them for all threads of a cluster.
//!
//! Partial aggregates over scans of few partitions, whose rows are shared out among all threads first, are
//! brought back to the scan's own partitions, so that they run shard by shard. What runs in this process alone
//! has partitions for its own threads.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, Distribution, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};
use watershed_storage::fragment::{probe_of, replace_probe};

use super::gather::file_scan;

type Plan = Arc<dyn ExecutionPlan>;

/// A scan with at least this part of the partitions that are wanted keeps its own: its threads are busy enough.
const MIN_SHARE: usize = 2;

/// What becomes of an aggregate over a scan of one partition, whose rows several threads aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Single {
    /// One partition comes of it, that of the scan.
    Coalesced,
    /// It is left as it is.
    Left,
}

/// The plan with such aggregates in as many partitions as their scans have.
pub(super) fn narrowed(plan: &Plan, single: Single) -> Result<Plan> {
    Arc::clone(plan)
        .transform_up(|node| {
            let partial = node
                .downcast_ref::<AggregateExec>()
                .is_some_and(|aggregate| *aggregate.mode() == AggregateMode::Partial);
            let Some((groups, threads)) = partial.then(|| shared_out(&node)).flatten() else {
                return Ok(Transformed::no(node));
            };
            Ok(match (groups, single) {
                // It is aggregated by several threads all the same, wherever it is.
                (1, Single::Coalesced) => Transformed::yes(Arc::new(CoalescePartitionsExec::new(node))),
                (1, Single::Left) => Transformed::no(node),
                _ if groups * MIN_SHARE < threads => Transformed::no(node),
                _ => Transformed::yes(without_sharing(&node)?),
            })
        })
        .data()
}

/// The plan with its rows in as many partitions as there are threads here, wherever they are shared out.
pub(super) fn for_threads(plan: Plan, threads: usize) -> Result<Plan> {
    let threads = threads.max(1);
    plan.transform_up(|node| {
        let Some(repartition) = node.downcast_ref::<RepartitionExec>() else {
            return Ok(Transformed::no(node));
        };
        let partitioning = match repartition.partitioning() {
            Partitioning::Hash(keys, count) if *count > threads => Partitioning::Hash(keys.clone(), threads),
            Partitioning::RoundRobinBatch(count) if *count > threads => {
                Partitioning::RoundRobinBatch(threads)
            }
            _ => return Ok(Transformed::no(node)),
        };
        if repartition.preserve_order() {
            return Ok(Transformed::no(node));
        }
        let input = Arc::clone(repartition.input());
        Ok(Transformed::yes(
            match (input.output_partitioning().partition_count(), threads) {
                (1, 1) => input,
                (_, 1) => Arc::new(CoalescePartitionsExec::new(input)),
                _ => Arc::new(RepartitionExec::try_new(input, partitioning)?),
            },
        ))
    })
    .data()
}

/// The plan without sharing out rows that are then brought together. datafusion-distributed would take the
/// node that shares them out for a part of the connection between two stages, remove it, and ask the stage for
/// partitions that it does not have (`ProducerHead::insert` in its `network_boundary.rs`).
pub(super) fn without_idle_sharing(plan: Plan) -> Result<Plan> {
    plan.transform_up(|node| {
        let together = node.is::<CoalescePartitionsExec>() || node.is::<SortPreservingMergeExec>();
        let [child] = node.children()[..] else {
            return Ok(Transformed::no(node));
        };
        let shared = child
            .downcast_ref::<RepartitionExec>()
            .filter(|repartition| matches!(repartition.partitioning(), Partitioning::RoundRobinBatch(_)));
        match shared.filter(|_| together) {
            Some(repartition) => {
                let children = vec![Arc::clone(repartition.input())];
                let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                Arc::clone(&node)
                    .replace_children(children, options)
                    .map(Transformed::yes)
            }
            None => Ok(Transformed::no(node)),
        }
    })
    .data()
}

/// The plan with the rows of what needs all of them in one place brought together, also where they are in one partition
/// already. datafusion-distributed 4 makes tasks of such a node if a join beside it reads more files, and each task
/// takes the rows that it has for all: a join of `(SELECT count(*) FROM a)` has a count for each task.
pub(super) fn together(plan: Plan) -> Result<Plan> {
    let mut joins = false;
    plan.apply(|node| {
        joins = joins || node.children().len() > 1;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !joins {
        return Ok(plan);
    }
    plan.transform_up(|node| {
        // The sides of a join that are read whole are sent to all tasks.
        let ([child], [Distribution::SinglePartition]) = (
            &node.children()[..],
            &node.input_distribution_requirements().into_per_child()[..],
        ) else {
            return Ok(Transformed::no(node));
        };
        if child.is::<CoalescePartitionsExec>() || child.is::<SortPreservingMergeExec>() {
            return Ok(Transformed::no(node));
        }
        let child = Arc::clone(child);
        let gathered: Plan = match child.output_ordering() {
            Some(order) => Arc::new(SortPreservingMergeExec::new(order.clone(), child)),
            None => Arc::new(CoalescePartitionsExec::new(child)),
        };
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        node.replace_children(vec![gathered], options)
            .map(Transformed::yes)
    })
    .data()
}

/// Whether a node deals its rows out as they come.
pub(super) fn shares_out(plan: &Plan) -> bool {
    plan.downcast_ref::<RepartitionExec>().is_some_and(|repartition| {
        matches!(repartition.partitioning(), Partitioning::RoundRobinBatch(_))
            && !repartition.preserve_order()
    })
}

/// The partitions of the scan below, and those that its rows are shared out to on the way.
fn shared_out(plan: &Plan) -> Option<(usize, usize)> {
    let mut threads = None;
    let mut node = probe_of(plan)?;
    loop {
        if let Some(scan) = file_scan(node) {
            return Some((scan.file_groups.len(), threads?));
        }
        if shares_out(node) {
            threads = node.downcast_ref::<RepartitionExec>().map(|repartition| {
                let wanted = repartition.partitioning().partition_count();
                wanted.max(threads.unwrap_or_default())
            });
        } else if !(node.is::<FilterExec>()
            || node.is::<ProjectionExec>()
            || node.is::<CooperativeExec>()
            || node.is::<HashJoinExec>())
        {
            return None;
        }
        node = probe_of(node)?;
    }
}

fn without_sharing(plan: &Plan) -> Result<Plan> {
    let Some(child) = probe_of(plan) else {
        return Ok(Arc::clone(plan));
    };
    let inner = without_sharing(child)?;
    if shares_out(plan) {
        return Ok(inner);
    }
    replace_probe(plan, inner)
}
