//! Dynamic filters of joins that would wait for partitions that nobody reads.
//!
//! A `HashJoinExec` whose build side is read by all partitions waits, before it probes, until each partition has
//! reported. If a join above has no build rows in a partition, it ends there and drops the join below unread: the others
//! then wait for ever. For partitioned joins a dropped partition is reported (https://github.com/apache/datafusion/pull/21666),
//! for those with a collected build side it is not (DataFusion 55). Such joins get no dynamic filter where a partition may
//! be dropped.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, HashJoinExecBuilder, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use super::hidden::Rule;

/// The rules, with one behind all others that removes such filters.
pub(super) fn guarded(mut rules: Vec<Rule>) -> Vec<Rule> {
    rules.push(Arc::new(UnreadPartitions));
    rules
}

#[derive(Debug)]
struct UnreadPartitions;

impl PhysicalOptimizerRule for UnreadPartitions {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(without(&plan, false)?.unwrap_or(plan))
    }

    fn name(&self) -> &'static str {
        "unread_partitions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan without such filters, where it has some. `dropped` says whether single partitions of it may be dropped.
fn without(plan: &Arc<dyn ExecutionPlan>, dropped: bool) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let join = plan.downcast_ref::<HashJoinExec>();
    let by_partition = join.is_some_and(|join| *join.partition_mode() == PartitionMode::Partitioned);
    // A task of its own reads each partition.
    let reads_all = plan.is::<RepartitionExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<SortPreservingMergeExec>();
    let children: Vec<_> = plan.children().into_iter().cloned().collect();
    let mut changed = false;
    let mut kept = Vec::with_capacity(children.len());
    for (place, child) in children.into_iter().enumerate() {
        let dropped = match plan.is::<SortMergeJoinExec>() {
            true => true,
            false => !reads_all && (dropped || by_partition && place == 1),
        };
        let new = without(&child, dropped)?;
        changed |= new.is_some();
        kept.push(new.unwrap_or(child));
    }
    let plan = match changed {
        true => {
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
            Some(Arc::clone(plan).replace_children(kept, options)?)
        }
        false => None,
    };
    let waits = join.is_some_and(|join| {
        dropped
            && *join.partition_mode() == PartitionMode::CollectLeft
            && !join.dynamic_expressions_produced().is_empty()
    });
    match (plan, join) {
        (plan, Some(join)) if waits => {
            let join = plan.as_ref().and_then(|plan| plan.downcast_ref()).unwrap_or(join);
            HashJoinExecBuilder::from(join)
                .reset_state()
                .build_exec()
                .map(Some)
        }
        (plan, _) => Ok(plan),
    }
}
