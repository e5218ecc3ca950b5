//! Physical plans that Ballista can cut into stages and whose tasks give each row once.

mod filters;

use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::config::BALLISTA_BROADCAST_JOIN_THRESHOLD_BYTES;
use ballista_core::execution_plans::ShuffleWriter;
use ballista_scheduler::planner::{DefaultDistributedPlanner, DistributedPlanner};
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, JoinType};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use watershed_cluster::staged::{StagedCodec, staged_config};
use watershed_core::{Error, Result};
use watershed_storage::codec::{self, KnownOrderExec};
use watershed_storage::error::from_datafusion;
use watershed_storage::session::StatementOptions;

use crate::cluster::Members;
use crate::dispatch::physical::{self, Write};

use super::server::id_of_sessions;

/// A plan that is ready to be cut.
pub(super) struct Planned {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    /// The session that it was planned in, which its tasks get the options of.
    pub(super) state: SessionState,
    /// Partitions that the last stage gives.
    pub(super) partitions: usize,
}

/// How tables are joined by equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    /// By sorting both sides, which spills.
    Sorted,
    /// By a hash table of one side's part, which does not.
    Hashed,
}

/// Plans for `members`.
pub(super) async fn plan(
    state: &SessionState,
    logical: &LogicalPlan,
    write: Option<&Write>,
    members: &Members,
    rows: Option<usize>,
) -> Result<Planned> {
    let threads = members.threads();
    let state = &limited(state, rows);
    let error = match plan_joins(state, logical, write, threads, Joins::Sorted).await {
        Ok(planned) => return Ok(planned),
        Err(error) => error,
    };
    // Some orders over sorted joins are planned wrongly, which the planner itself finds out.
    match plan_joins(state, logical, write, threads, Joins::Hashed).await {
        Ok(planned) => Ok(planned),
        Err(_) => Err(error),
    }
}

/// The session with batches of so many rows.
fn limited(state: &SessionState, rows: Option<usize>) -> SessionState {
    let config = StatementOptions::default()
        .with_rows(rows)
        .limit_rows(state.config().clone());
    SessionStateBuilder::new_from_existing(state.clone())
        .with_config(config)
        .build()
}

async fn plan_joins(
    state: &SessionState,
    logical: &LogicalPlan,
    write: Option<&Write>,
    threads: usize,
    joins: Joins,
) -> Result<Planned> {
    let state = session(state, threads, joins);
    // Optimized with these options: they decide how subqueries become joins.
    let plan = physical::plan(&state, logical, write)
        .await
        .map_err(from_datafusion)?;
    let plan = one_probe_where_needed(plan)
        .and_then(with_orders_of_offsets)
        .and_then(filters::nullable)
        .map_err(from_datafusion)?;
    let plan = match codec::portable(&plan, &state.task_ctx()).map_err(from_datafusion)? {
        Ok(portable) => portable,
        Err(why) => return Err(unsupported(why)),
    };
    check(&plan)?;
    let stages = stages(&plan, state.config_options())
        .map_err(|error| refused("cannot be cut into stages", &error))?;
    let partitions = stages.last().map_or(0, |last| {
        last.properties().output_partitioning().partition_count()
    });
    Ok(Planned {
        plan,
        state,
        partitions,
    })
}

fn session(state: &SessionState, threads: usize, joins: Joins) -> SessionState {
    let mut config = staged_config(state.config().clone());
    if config.target_partitions() < threads {
        config = config.with_target_partitions(threads);
    }
    if joins == Joins::Hashed {
        // No side is read whole by every task: rows that match nothing would be given by each.
        config = config.set_usize(BALLISTA_BROADCAST_JOIN_THRESHOLD_BYTES, 0);
        config.options_mut().optimizer.prefer_hash_join = true;
    }
    let builder = SessionStateBuilder::new_from_existing(state.clone())
        .with_session_id(id_of_sessions())
        .with_config(config);
    match joins {
        Joins::Sorted => {
            // The rule moves a projection below a sorted join, and leaves the join's filter with the places
            // that columns had before (`SortMergeJoinExec::try_swapping_with_projection` of DataFusion 55).
            let rules = state.physical_optimizers().iter();
            let rules = rules.filter(|rule| rule.name() != "ProjectionPushdown").cloned();
            builder.with_physical_optimizer_rules(rules.collect()).build()
        }
        Joins::Hashed => builder.build(),
    }
}

/// The stages that Ballista makes of a plan, the last one last.
pub(super) fn stages(
    plan: &Arc<dyn ExecutionPlan>,
    options: &ConfigOptions,
) -> datafusion::common::Result<Vec<Arc<dyn ShuffleWriter>>> {
    DefaultDistributedPlanner::new()
        .plan_query_stages(&JobId::new("planned"), Arc::clone(plan), options)
        .map_err(|error| DataFusionError::External(Box::new(error)))
}

/// A join that gives rows of its left side by what *no* row of the right side matched must see all of
/// the right side. Within one process its partitions tell each other; tasks do not, and each of them
/// would give those rows. Joins by equality meet their rows in one task; these do not.
fn one_probe_where_needed(
    plan: Arc<dyn ExecutionPlan>,
) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    let replaced = plan.transform_up(|node| {
        let nested = node.downcast_ref::<NestedLoopJoinExec>();
        let hashed = node.downcast_ref::<HashJoinExec>();
        let (left, right) = if let Some(join) = nested.filter(|join| follows_left(*join.join_type())) {
            (Arc::clone(join.left()), Arc::clone(join.right()))
        } else if let Some(join) = hashed.filter(|join| join.null_aware) {
            (Arc::clone(join.left()), Arc::clone(join.right()))
        } else {
            return Ok(Transformed::no(node));
        };
        let children = vec![left, in_one_place(right)];
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        node.replace_children(children, options).map(Transformed::yes)
    })?;
    Ok(replaced.data)
}

/// An `OFFSET` leaves out the first rows of an order that nothing but itself needs: Ballista, which optimizes the pieces
/// once more, would merge them in any order.
fn with_orders_of_offsets(
    plan: Arc<dyn ExecutionPlan>,
) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    let ordered = plan.transform_up(|node| {
        let limit = node.downcast_ref::<GlobalLimitExec>();
        let Some(limit) = limit.filter(|limit| limit.skip() > 0 && limit.fetch().is_none()) else {
            return Ok(Transformed::no(node));
        };
        let input = in_order(limit.input())?;
        let limit = GlobalLimitExec::new(input, limit.skip(), None);
        Ok(Transformed::yes(Arc::new(limit) as _))
    })?;
    Ok(ordered.data)
}

fn in_order(input: &Arc<dyn ExecutionPlan>) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
    match input.downcast_ref::<ProjectionExec>() {
        Some(projection) => {
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            let below = in_order(projection.input())?;
            Arc::clone(input).replace_children(vec![below], options)
        }
        None => Ok(KnownOrderExec::required(input)),
    }
}

/// All rows in one partition. Ballista optimizes the pieces once more, by which a mere coalescing goes
/// where nobody requires it; a limit, even of no rows, requires it.
fn in_one_place(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let plan = match plan.output_partitioning().partition_count() {
        1 => plan,
        _ => Arc::new(CoalescePartitionsExec::new(plan)),
    };
    Arc::new(GlobalLimitExec::new(plan, 0, None))
}

fn follows_left(kind: JoinType) -> bool {
    match kind {
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark | JoinType::Full => {
            true
        }
        JoinType::Inner
        | JoinType::Right
        | JoinType::RightSemi
        | JoinType::RightAnti
        | JoinType::RightMark => false,
    }
}

/// Refuses what Ballista would run wrongly or not at all. It restricts a task to its partitions at the
/// leaves it knows; every task would read all of another one.
fn check(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let mut unknown = None;
    plan.apply(|node| {
        if node.children().is_empty() && !is_known_leaf(node) {
            unknown = Some(node.name().to_owned());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    if let Some(name) = unknown {
        return Err(unsupported(format!("staged execution does not read from {name}")));
    }
    PhysicalPlanNode::try_from_physical_plan(Arc::clone(plan), &StagedCodec::default())
        .map(drop)
        .map_err(|error| refused("cannot be sent to executors", &error))
}

fn is_known_leaf(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(scan) = node.downcast_ref::<DataSourceExec>() {
        let source: &dyn std::any::Any = scan.data_source().as_ref();
        return source.is::<FileScanConfig>() || source.is::<MemorySourceConfig>();
    }
    let single = node.output_partitioning().partition_count() == 1;
    single && (node.is::<PlaceholderRowExec>() || node.is::<EmptyExec>())
}

fn refused(what: &str, error: &DataFusionError) -> Error {
    unsupported(format!("this plan {what} for staged execution")).with_detail(error.to_string())
}

fn unsupported(message: String) -> Error {
    Error::unsupported(message).with_hint("SET watershed.execution = 'pipelined' runs it without stages.")
}

#[cfg(test)]
mod tests;
