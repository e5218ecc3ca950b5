//! Where the cache stands in a fragment: on its partial aggregate.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};

use super::describe::{describe, expression};
use super::exec::FragmentCacheExec;
use super::scan::{Conditions, conditions_of_joins, conjuncts, file_scan, join_filters};

type Plan = Arc<dyn ExecutionPlan>;

/// The plan with the cache on each partial aggregate that can be reused, the uppermost ones.
pub fn insert(plan: Plan) -> Result<Plan> {
    plan.transform_down(|node| {
        Ok(match cached(&node)? {
            Some(cached) => Transformed::new(cached, true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })
    .data()
}

/// An aggregate, be it brought together from several threads, with the cache on it if it can be reused.
fn cached(plan: &Plan) -> Result<Option<Plan>> {
    if !plan.is::<AggregateExec>() && !plan.is::<CoalescePartitionsExec>() {
        return Ok(None);
    }
    match Cacheable::of(plan)? {
        Some(_) => Ok(Some(Arc::new(FragmentCacheExec::new(Arc::clone(plan))))),
        None => in_two_phases(plan),
    }
}

/// An aggregate that DataFusion has put into one node, as there is but one partition, as a partial one with
/// the cache and a final one.
fn in_two_phases(plan: &Plan) -> Result<Option<Plan>> {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else {
        return Ok(None);
    };
    if *aggregate.mode() != AggregateMode::Single || aggregate.limit_options().is_some() {
        return Ok(None);
    }
    let calls = aggregate.aggr_expr().to_vec();
    let partial: Plan = Arc::new(AggregateExec::try_new(
        AggregateMode::Partial,
        aggregate.group_expr().clone(),
        calls.clone(),
        aggregate.filter_expr().to_vec(),
        Arc::clone(aggregate.input()),
        aggregate.input_schema(),
    )?);
    if Cacheable::of(&partial)?.is_none() {
        return Ok(None);
    }
    let unfiltered = vec![None; calls.len()];
    let last = AggregateExec::try_new(
        AggregateMode::Final,
        aggregate.group_expr().as_final(),
        calls,
        unfiltered,
        Arc::new(FragmentCacheExec::new(partial)),
        aggregate.input_schema(),
    )?;
    Ok((last.schema() == plan.schema()).then(|| Arc::new(last) as Plan))
}

/// A partial aggregate whose state over a file can be reused.
pub(super) struct Cacheable {
    /// It, as it runs over a single file.
    pub(super) plan: Plan,
    /// The scan whose files there are states of.
    pub(super) leaf: Plan,
    /// The fragment without files and conditions of that scan.
    pub(super) text: String,
    /// What joins of the fragment ask of the scan as they run.
    pub(super) of_joins: Conditions,
    /// The path of a file of every scan, one a line.
    pub(super) tables: String,
}

impl Cacheable {
    pub(super) fn of(plan: &Plan) -> Result<Option<Self>> {
        let bare = bare(plan)?;
        let Some((leaf, text)) = parts_of(&bare) else {
            return Ok(None);
        };
        let groups = file_scan(&leaf).map_or(0, |scan| scan.file_groups.len());
        if groups != plan.output_partitioning().partition_count() {
            return Ok(None);
        }
        let of_joins = conditions_of_joins(&leaf, &join_filters(&bare));
        let mut tables = String::new();
        note_tables(&bare, &mut tables);
        Ok(Some(Self {
            plan: bare,
            leaf,
            text,
            of_joins,
            tables,
        }))
    }
}

/// The scan and the text of a partial aggregate, if every part of it can be described.
fn parts_of(plan: &Plan) -> Option<(Plan, String)> {
    let aggregate = plan.downcast_ref::<AggregateExec>()?;
    if *aggregate.mode() != AggregateMode::Partial {
        return None;
    }
    let leaf = leaf_of(aggregate.input())?;
    for conjunct in conjuncts(&leaf)? {
        expression(&conjunct)?;
    }
    Some((leaf, describe(plan)?))
}

/// The plan without nodes that share the rows of a partition out among threads and bring them together again:
/// every part is an aggregation of its own.
fn bare(plan: &Plan) -> Result<Plan> {
    if plan.is::<AggregateExec>() {
        return without_repartitions(plan);
    }
    match plan.children()[..] {
        [child] if plan.is::<CoalescePartitionsExec>() && plan.fetch().is_none() => bare(child),
        _ => Ok(Arc::clone(plan)),
    }
}

fn without_repartitions(plan: &Plan) -> Result<Plan> {
    let Some(probe) = probe_of(plan) else {
        return Ok(Arc::clone(plan));
    };
    let inner = without_repartitions(probe)?;
    if plan.is::<RepartitionExec>() {
        return Ok(inner);
    }
    match Arc::ptr_eq(&inner, probe) {
        true => Ok(Arc::clone(plan)),
        false => replace_probe(plan, inner),
    }
}

/// The scan that decides which rows there are, if what a node on the way gives for some of its rows does not
/// hang on the others.
fn leaf_of(plan: &Plan) -> Option<Plan> {
    if plan.is::<AggregateExec>() || plan.is::<CoalescePartitionsExec>() || plan.fetch().is_some() {
        return None;
    }
    match probe_of(plan) {
        Some(probe) => leaf_of(probe),
        None => file_scan(plan).map(|_| Arc::clone(plan)),
    }
}

/// The child of which the rows are taken one by one: the only one, or a join's probe side.
pub fn probe_of(plan: &Plan) -> Option<&Plan> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some(join.right());
    }
    match plan.children()[..] {
        [child] => Some(child),
        _ => None,
    }
}

/// The plan over another scan. Joins share what they build with those of the plan it is made from: a build
/// side is read once, and not at all if nothing is probed.
pub(super) fn over(plan: &Plan, leaf: &Plan) -> Result<Plan> {
    match probe_of(plan) {
        Some(probe) => replace_probe(plan, over(probe, leaf)?),
        None => Ok(Arc::clone(leaf)),
    }
}

/// The plan with another child in the place of [`probe_of`].
pub fn replace_probe(plan: &Plan, probe: Plan) -> Result<Plan> {
    let mut children: Vec<Plan> = plan.children().into_iter().cloned().collect();
    if let Some(last) = children.last_mut() {
        *last = probe;
    }
    Arc::clone(plan).replace_children(
        children,
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}

fn note_tables(plan: &Plan, tables: &mut String) {
    let files = file_scan(plan).map(|scan| scan.file_groups.iter().flat_map(|group| group.files()));
    if let Some(file) = files.and_then(|mut files| files.next()) {
        tables.push_str(file.object_meta.location.as_ref());
        tables.push('\n');
    }
    for child in plan.children() {
        note_tables(child, tables);
    }
}
