//! Where the cache stands in a fragment: on its partial aggregate.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use super::describe::{conjuncts, describe, expression, file_scan};
use super::exec::FragmentCacheExec;

/// The fragment with the cache in it; as it was if nothing of it can be reused.
pub fn insert(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if Cacheable::of(&plan).is_some() {
        return Ok(Arc::new(FragmentCacheExec::new(plan)));
    }
    let [child] = plan.children()[..] else {
        return Ok(plan);
    };
    let inner = insert(Arc::clone(child))?;
    if Arc::ptr_eq(&inner, child) {
        return Ok(plan);
    }
    plan.replace_children(
        vec![inner],
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}

/// A partial aggregate whose state over a file can be reused.
pub(super) struct Cacheable {
    pub(super) leaf: Arc<dyn ExecutionPlan>,
    /// The fragment without files and conditions.
    pub(super) text: String,
}

impl Cacheable {
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let aggregate = plan.downcast_ref::<AggregateExec>()?;
        if *aggregate.mode() != AggregateMode::Partial {
            return None;
        }
        let leaf = leaf_of(plan)?;
        let whole = file_scan(&leaf)?
            .file_groups
            .iter()
            .flat_map(|group| group.files())
            .all(|file| file.range.is_none());
        if !whole {
            return None;
        }
        for conjunct in conjuncts(&leaf)? {
            expression(&conjunct)?;
        }
        let text = describe(plan, &leaf)?;
        Some(Self { leaf, text })
    }
}

fn leaf_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match plan.children()[..] {
        [] => Some(Arc::clone(plan)),
        [child] => leaf_of(child),
        _ => None,
    }
}

/// The plan over another scan.
pub(super) fn over(
    plan: &Arc<dyn ExecutionPlan>,
    leaf: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    match plan.children()[..] {
        [child] => Arc::clone(plan).replace_children(
            vec![over(child, leaf)?],
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        ),
        _ => Ok(Arc::clone(leaf)),
    }
}
