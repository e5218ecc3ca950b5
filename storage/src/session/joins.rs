//! Joins that compare NULLs as equal, kept apart from those that do not.
//!
//! All keys of a join compare NULLs alike. Some of DataFusion's rules move keys from one join into another and
//! take its way of comparing for theirs: a condition `a = b` beside `c IS NOT DISTINCT FROM d` then holds for
//! NULLs, or the latter no longer does. These rules do not see such joins.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{NullEquality, Result, Spans};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Subquery, lit};
use datafusion::optimizer::OptimizerConfig;

use super::guards::{Guard, Rule};

/// Of the rules that move keys between joins.
pub(super) const GUARD: Guard = Guard {
    rules: &["eliminate_cross_join", "extract_equijoin_predicate"],
    rewrite,
};

/// Marks the nodes that hide a join.
const HIDDEN: &str = "__hidden";

fn rewrite(rule: &Rule, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
    if rule.apply_order().is_some() {
        // The rule sees one node at a time.
        return match &plan {
            LogicalPlan::Join(join) if compares_nulls(join) => Ok(Transformed::no(plan)),
            _ => rule.rewrite(plan, config),
        };
    }
    let mut any = false;
    plan.apply(|node| {
        any = any || matches!(node, LogicalPlan::Join(join) if compares_nulls(join));
        Ok(match any {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !any {
        return rule.rewrite(plan, config);
    }
    // The rule takes joins that follow each other together: a node between them keeps them apart.
    let apart = plan.transform_up(|node| match node {
        LogicalPlan::Join(join) if compares_nulls(&join) => {
            let join = Join {
                left: Arc::new(hidden(join.left)),
                right: Arc::new(hidden(join.right)),
                ..join
            };
            Ok(Transformed::yes(hidden(Arc::new(LogicalPlan::Join(join)))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let rewritten = rule.rewrite(apart.data, config)?;
    let changed = rewritten.transformed;
    let shown = rewritten.data.transform_up(|node| {
        Ok(match node {
            LogicalPlan::Subquery(subquery) if is_hidden(&subquery) => {
                Transformed::yes(Arc::unwrap_or_clone(subquery.subquery))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(match changed {
        true => Transformed::yes(shown.data),
        false => Transformed::no(shown.data),
    })
}

fn compares_nulls(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull && !join.on.is_empty()
}

fn marker() -> Expr {
    lit(HIDDEN)
}

fn hidden(plan: Arc<LogicalPlan>) -> LogicalPlan {
    LogicalPlan::Subquery(Subquery {
        subquery: plan,
        outer_ref_columns: vec![marker()],
        spans: Spans::new(),
    })
}

fn is_hidden(subquery: &Subquery) -> bool {
    subquery.outer_ref_columns == [marker()]
}
