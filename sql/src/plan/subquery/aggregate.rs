//! Aggregates of a subquery, for each value of its domain.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, Result};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan, LogicalPlanBuilder, lit, when};

use super::domain::{Bound, Domain};
use super::{Fresh, dependent, refused};

pub(super) fn push_down(found: &Aggregate, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    let below = dependent::push_down(&found.input, domain, fresh)?;
    let own: Vec<Expr> = below.columns.iter().cloned().map(Expr::Column).collect();
    let bind = |exprs: &[Expr]| -> Result<Vec<Expr>> {
        exprs
            .iter()
            .map(|expr| domain.bind(expr.clone(), &below.columns))
            .collect()
    };
    let group = match found.group_expr.as_slice() {
        [Expr::GroupingSet(sets)] => vec![Expr::GroupingSet(within(sets, &own, &bind)?)],
        plain => {
            // A key that is a column of the domain is a column of its own, as it is for the nodes above.
            let keys = bind(plain)?
                .into_iter()
                .enumerate()
                .map(|(index, key)| match &key {
                    Expr::Column(column) if below.columns.contains(column) => {
                        key.alias(format!("__key_{index}"))
                    }
                    _ => key,
                });
            own.iter().cloned().chain(keys).collect()
        }
    };
    let aggregate = Aggregate::try_new(Arc::new(below.plan), group, bind(&found.aggr_expr)?)?;
    let bound = Bound {
        plan: LogicalPlan::Aggregate(aggregate),
        columns: below.columns,
    };
    let bound = dependent::renamed(bound, &found.schema)?;
    match found.group_expr.is_empty() {
        true => with_empty_groups(bound, found, domain, fresh),
        false => Ok(bound),
    }
}

/// Refuses an aggregate whose arguments are columns of the outer query alone: in SQL it belongs to that query.
pub(super) fn check(subquery: &LogicalPlan) -> Result<()> {
    subquery.apply(|node| {
        if let LogicalPlan::Aggregate(found) = node {
            for expr in &found.aggr_expr {
                let outer = expr.exists(|inner| Ok(matches!(inner, Expr::OuterReferenceColumn(_, _))))?;
                if outer && expr.column_refs().is_empty() {
                    return Err(refused(
                        "an aggregate of columns of the outer query alone",
                        "Aggregate in the outer query, or use a column of the subquery.",
                    ));
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Grouping sets, each within the rows of one value.
fn within(
    sets: &GroupingSet,
    own: &[Expr],
    bind: &dyn Fn(&[Expr]) -> Result<Vec<Expr>>,
) -> Result<GroupingSet> {
    match sets {
        GroupingSet::GroupingSets(sets) if sets.iter().all(|set| !set.is_empty()) => {
            let sets = sets
                .iter()
                .map(|set| Ok(own.iter().cloned().chain(bind(set)?).collect()))
                .collect::<Result<Vec<_>>>()?;
            Ok(GroupingSet::GroupingSets(sets))
        }
        // Its total is a row even where there are no rows.
        _ => Err(refused(
            "GROUP BY with a total (ROLLUP, CUBE)",
            "Write the total as a subquery of its own.",
        )),
    }
}

/// An aggregate without GROUP BY gives a row also for values that have no rows.
fn with_empty_groups(
    grouped: Bound,
    found: &Aggregate,
    domain: &Domain,
    fresh: &mut Fresh<'_>,
) -> Result<Bound> {
    let values = domain.instance(fresh)?;
    let alias = fresh.name("groups");
    let of = |name: &str| Expr::Column(Column::new(Some(alias.clone()), name));
    let mut exprs = vec![lit(true).alias("found")];
    let mut on = Vec::with_capacity(grouped.columns.len());
    for (index, (own, column)) in values.columns.iter().zip(&grouped.columns).enumerate() {
        let name = format!("k{index}");
        exprs.push(Expr::Column(column.clone()).alias(&name));
        on.push((Expr::Column(own.clone()), of(&name)));
    }
    let mut all: Vec<Expr> = values.columns.iter().cloned().map(Expr::Column).collect();
    let results = found.aggr_expr.iter().zip(found.schema.iter());
    for (index, (expr, (qualifier, field))) in results.enumerate() {
        let name = format!("v{index}");
        exprs.push(Expr::Column(Column::new(qualifier.cloned(), field.name())).alias(&name));
        let empty = match expr.clone().unalias() {
            Expr::AggregateFunction(function) => function.func.default_value(field.data_type())?,
            _ => datafusion::common::ScalarValue::try_from(field.data_type())?,
        };
        let value = match empty.is_null() {
            true => of(&name),
            false => when(of("found").is_null(), lit(empty)).otherwise(of(&name))?,
        };
        all.push(value.alias_qualified(qualifier.cloned(), field.name()));
    }
    let right = LogicalPlanBuilder::from(grouped.plan)
        .project(exprs)?
        .alias(alias.as_str())?
        .build()?;
    let joined = LogicalPlan::Join(Join::try_new(
        Arc::new(values.plan),
        Arc::new(right),
        on,
        None,
        JoinType::Left,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?);
    let plan = LogicalPlanBuilder::from(joined).project(all)?.build()?;
    Ok(Bound {
        plan,
        columns: values.columns,
    })
}
