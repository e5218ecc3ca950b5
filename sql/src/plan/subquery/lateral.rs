//! Lateral subqueries in FROM: joined by the columns that they read of what stands to their left.

use std::sync::Arc;

use datafusion::common::{JoinConstraint, JoinType, NullEquality, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, SubqueryAlias};

use super::dependent::push_down;
use super::domain::{Domain, references_to};
use super::{Fresh, node, refused, simple};

/// Replaces a lateral join; other nodes stay.
pub(super) fn rewrite(
    plan: LogicalPlan,
    fresh: &mut Fresh<'_>,
) -> Result<datafusion::common::tree_node::Transformed<LogicalPlan>> {
    use datafusion::common::tree_node::Transformed;
    let LogicalPlan::Join(join) = &plan else {
        return Ok(Transformed::no(plan));
    };
    let Some(right) = lateral(&join.right)? else {
        return Ok(Transformed::no(plan));
    };
    let columns = references_to(&right, join.left.schema())?;
    if columns.is_empty() {
        // It reads nothing of what stands to its left, maybe of a query further out.
        let join = Join {
            right: Arc::new(right),
            ..join.clone()
        };
        return Ok(Transformed::yes(LogicalPlan::Join(join)));
    }
    if join.join_type == JoinType::Inner && simple::as_lateral(&right, join.left.schema())? {
        return Ok(Transformed::no(plan));
    }
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Err(refused(
            &format!("LATERAL in a {} join", join.join_type),
            "Write the lateral subquery behind an inner or a LEFT join.",
        ));
    }
    let domain = Domain::new(&join.left, columns)?;
    let bound = push_down(&right, &domain, fresh)?;
    let alias = fresh.name("lateral");
    // The names of the subquery's own columns are those that the query around it uses.
    let mut exprs = Vec::new();
    let mut on = Vec::new();
    for (index, (column, outer)) in bound.columns.iter().zip(domain.columns()).enumerate() {
        let name = format!("k{index}");
        let key = datafusion::common::Column::new(Some(alias.clone()), &name);
        exprs.push(Expr::Column(column.clone()).alias_qualified(Some(alias.clone()), &name));
        on.push((Expr::Column(outer.clone()), Expr::Column(key)));
    }
    exprs.extend(right.schema().columns().into_iter().map(Expr::Column));
    let right = LogicalPlanBuilder::from(bound.plan).project(exprs)?.build()?;
    let conditions = join.on.iter().map(|(l, r)| l.clone().eq(r.clone()));
    let condition = conditions.chain(join.filter.clone()).reduce(Expr::and);
    let joined = LogicalPlan::Join(Join::try_new(
        Arc::clone(&join.left),
        Arc::new(right),
        on,
        condition,
        join.join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?);
    node::only(joined, &join.schema).map(Transformed::yes)
}

/// The plan of a lateral subquery, without the node that marks it.
fn lateral(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    Ok(match plan {
        LogicalPlan::Subquery(subquery) => Some(LogicalPlan::clone(&subquery.subquery)),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => {
                let alias = SubqueryAlias::try_new(Arc::clone(&subquery.subquery), alias.alias.clone())?;
                Some(LogicalPlan::SubqueryAlias(alias))
            }
            _ => None,
        },
        _ => None,
    })
}
