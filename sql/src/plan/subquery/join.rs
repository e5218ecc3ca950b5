//! Joins within a subquery, for each value of its domain.

use std::sync::Arc;

use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, Result};
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};

use super::domain::{Bound, Domain};
use super::{Fresh, dependent, refused};

pub(super) fn push_down(found: &Join, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right};
    let mut in_left = domain.is_read_by(&found.left)?;
    let mut in_right = domain.is_read_by(&found.right)?;
    let read_by_condition = !in_left && !in_right;
    match found.join_type {
        Inner => in_left = in_left || read_by_condition,
        Left | LeftSemi | LeftAnti | LeftMark => in_left = true,
        Right => in_right = true,
        Full => (in_left, in_right) = (true, true),
        other => {
            return Err(refused(
                &format!("a {other} join"),
                "Write the subquery as a join.",
            ));
        }
    }
    let left = side(&found.left, in_left, domain, fresh)?;
    let right = side(&found.right, in_right, domain, fresh)?;
    let shown = match in_left {
        true => &left.columns,
        false => &right.columns,
    };
    let shown = shown.clone();
    let filter = match &found.filter {
        Some(condition) => Some(domain.bind(condition.clone(), &shown)?),
        None => None,
    };
    let mut on = Vec::with_capacity(found.on.len());
    for (l, r) in &found.on {
        on.push((domain.bind(l.clone(), &shown)?, domain.bind(r.clone(), &shown)?));
    }
    let (on, filter, null_equality) = with_domain(found, on, filter, &left.columns, &right.columns);
    let schemas = Arc::clone(&found.schema);
    let (left_columns, right_columns) = (left.columns, right.columns);
    let joined = LogicalPlan::Join(Join::try_new(
        Arc::new(left.plan),
        Arc::new(right.plan),
        on,
        filter,
        found.join_type,
        JoinConstraint::On,
        null_equality,
        found.null_aware,
    )?);
    if found.join_type != Full {
        return dependent::arranged(joined, shown, &schemas);
    }
    let alias = fresh.name("domain");
    let mut all = Vec::new();
    let mut columns = Vec::new();
    for (index, (l, r)) in left_columns.into_iter().zip(right_columns).enumerate() {
        let name = format!("c{index}");
        let either = coalesce(vec![Expr::Column(l), Expr::Column(r)]);
        all.push(either.alias_qualified(Some(alias.clone()), &name));
        columns.push(Column::new(Some(alias.clone()), name));
    }
    all.extend(schemas.columns().into_iter().map(Expr::Column));
    let plan = LogicalPlanBuilder::from(joined).project(all)?.build()?;
    Ok(Bound { plan, columns })
}

fn side(plan: &LogicalPlan, read: bool, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    match read {
        true => dependent::push_down(plan, domain, fresh),
        false => Ok(Bound {
            plan: plan.clone(),
            columns: Vec::new(),
        }),
    }
}

/// A join compares all its keys alike: the keys of the domain, which compare NULLs as equal, are keys if the
/// join's own do so or if it has none; otherwise its own become conditions.
fn with_domain(
    join: &Join,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    left: &[Column],
    right: &[Column],
) -> (Vec<(Expr, Expr)>, Option<Expr>, NullEquality) {
    if left.is_empty() || right.is_empty() {
        return (on, filter, join.null_equality);
    }
    let pairs = left.iter().cloned().zip(right.iter().cloned());
    let own = pairs.map(|(l, r)| (Expr::Column(l), Expr::Column(r)));
    if join.null_equality == NullEquality::NullEqualsNull {
        return (on.into_iter().chain(own).collect(), filter, join.null_equality);
    }
    let conditions = on.into_iter().map(|(l, r)| l.eq(r)).chain(filter);
    (
        own.collect(),
        conditions.reduce(Expr::and),
        NullEquality::NullEqualsNull,
    )
}
