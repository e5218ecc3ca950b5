//! A subquery in an expression becomes columns that are joined to the plan whose rows it is evaluated for.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinConstraint, JoinType, NullEquality, Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::expr_fn::{count, first_value, max, min};
use datafusion::logical_expr::expr::{InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{
    Aggregate, Expr, Join, LogicalPlan, LogicalPlanBuilder, Operator, binary_expr, lit, when,
};

use super::dependent::push_down;
use super::domain::{Bound, Domain, references_to};
use super::{Fresh, domain};

/// The function that refuses a second row. It is declared with the session's functions.
const ONLY_ROW: &str = "__only_row";

/// Joins subqueries to a plan.
pub(super) struct Attach<'a, 's> {
    plan: LogicalPlan,
    attached: bool,
    fresh: &'a mut Fresh<'s>,
}

impl<'a, 's> Attach<'a, 's> {
    pub(super) fn new(plan: LogicalPlan, fresh: &'a mut Fresh<'s>) -> Self {
        Self {
            plan,
            attached: false,
            fresh,
        }
    }

    /// The plan with what was joined to it.
    pub(super) fn plan(self) -> LogicalPlan {
        self.plan
    }

    /// The same, if anything was joined to it.
    pub(super) fn finish(self) -> Option<LogicalPlan> {
        self.attached.then_some(self.plan)
    }

    /// The expression with columns in the places of its subqueries, but of those that are left as they are.
    pub(super) fn replace(
        &mut self,
        expr: Expr,
        left: &dyn Fn(&Expr) -> Result<bool>,
    ) -> Result<Transformed<Expr>> {
        expr.transform_up(|inner| {
            if left(&inner)? {
                return Ok(Transformed::no(inner));
            }
            Ok(match inner {
                Expr::ScalarSubquery(found) => Transformed::yes(self.scalar(&found.subquery)?),
                Expr::Exists(found) => {
                    let exists = self.exists(&found.subquery.subquery)?;
                    Transformed::yes(match found.negated {
                        true => Expr::Not(Box::new(exists)),
                        false => exists,
                    })
                }
                Expr::InSubquery(found) => Transformed::yes(self.contains(found)?),
                Expr::SetComparison(found) => Transformed::yes(self.compare(found)?),
                other => Transformed::no(other),
            })
        })
    }

    fn domain(&self, subquery: &LogicalPlan) -> Result<Domain> {
        Domain::new(&self.plan, references_to(subquery, self.plan.schema())?)
    }

    fn scalar(&mut self, subquery: &LogicalPlan) -> Result<Expr> {
        let domain = self.domain(subquery)?;
        let value = value_of(subquery)?;
        let single = gives_one_row(subquery);
        let bound = push_down(subquery, &domain, self.fresh)?;
        if single {
            let columns = self.joined(&domain, bound, vec![value])?;
            return first(columns);
        }
        let grouped = grouped(
            bound,
            vec![first_value(value, vec![]), count(lit(1_i64))],
            self.fresh,
        )?;
        let outputs = aggregates_of(&grouped);
        let columns = self.joined(&domain, grouped, outputs)?;
        let Some(function) = self.fresh.state.scalar_functions().get(ONLY_ROW) else {
            return plan_err!("the function {ONLY_ROW} is missing");
        };
        Ok(function.call(columns))
    }

    fn exists(&mut self, subquery: &LogicalPlan) -> Result<Expr> {
        let [rows] = self.figures(subquery, |_| vec![count(lit(1_i64))])?;
        Ok(Expr::IsTrue(Box::new(rows.gt(lit(0_i64)))))
    }

    /// `x IN (SELECT v …)`: true where a row is equal, NULL where one might be.
    fn contains(&mut self, found: InSubquery) -> Result<Expr> {
        let subquery = LogicalPlan::clone(&found.subquery.subquery);
        let (x, negated) = (*found.expr, found.negated);
        let [rows, values] = self.figures(&subquery, |v| vec![count(lit(1_i64)), count(v)])?;
        let domain = self.domain(&subquery)?;
        let v = value_of(&subquery)?;
        let bound = push_down(&subquery, &domain, self.fresh)?;
        let alias = self.fresh.name("in");
        let mut exprs: Vec<Expr> = bound
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Expr::Column(column.clone()).alias(format!("k{index}")))
            .collect();
        exprs.push(v.clone().alias("v"));
        let matches = LogicalPlanBuilder::from(bound.plan)
            .filter(v.is_not_null())?
            .project(exprs)?
            .distinct()?
            .build()?;
        let mut outputs: Vec<Expr> = matches.schema().columns().into_iter().map(Expr::Column).collect();
        outputs.push(lit(true).alias("found"));
        let matches = LogicalPlanBuilder::from(matches)
            .project(outputs)?
            .alias(alias.as_str())?
            .build()?;
        let of = |name: String| Expr::Column(Column::new(Some(alias.clone()), name));
        let keys = (0..domain.columns().len())
            .zip(domain.columns())
            .map(|(index, outer)| (Expr::Column(outer.clone()), of(format!("k{index}"))))
            .collect();
        // NULLs were taken out: whether keys of the join are compared with NULLs as equal makes no difference.
        let equal = x.clone().eq(of("v".to_owned()));
        self.left_join(matches, keys, Some(equal))?;
        let found = of("found".to_owned()).is_not_null();
        let unknown = x.is_null().or(rows.clone().gt(values));
        let expr = when(found, lit(true))
            .when(not_positive(rows), lit(false))
            .when(unknown, unknown_value())
            .otherwise(lit(false))?;
        Ok(match negated {
            true => Expr::Not(Box::new(expr)),
            false => expr,
        })
    }

    /// `x > ALL (SELECT v …)` and its like, by the least and the greatest value.
    fn compare(&mut self, found: SetComparison) -> Result<Expr> {
        let all = found.quantifier == SetQuantifier::All;
        match (found.op, all) {
            (Operator::Eq, false) => {
                return self.contains(InSubquery::new(found.expr, found.subquery, false));
            }
            (Operator::NotEq, true) => {
                return self.contains(InSubquery::new(found.expr, found.subquery, true));
            }
            _ => {}
        }
        let (x, op) = (*found.expr, found.op);
        let [rows, values, least, greatest] = self.figures(&found.subquery.subquery, |v| {
            vec![count(lit(1_i64)), count(v.clone()), min(v.clone()), max(v)]
        })?;
        let with = |bound: Expr| binary_expr(x.clone(), op, bound);
        // For ALL the bound that is hardest to meet, for ANY the one that is easiest.
        let met = match (op, all) {
            (Operator::Gt | Operator::GtEq, true) | (Operator::Lt | Operator::LtEq, false) => with(greatest),
            (Operator::Lt | Operator::LtEq, true) | (Operator::Gt | Operator::GtEq, false) => with(least),
            (Operator::Eq, _) => with(least).and(with(greatest)),
            (Operator::NotEq, _) => with(least).or(with(greatest)),
            _ => return plan_err!("{op} is no comparison"),
        };
        let decided = match all {
            true => Expr::IsFalse(Box::new(met)),
            false => Expr::IsTrue(Box::new(met)),
        };
        when(not_positive(rows.clone()), lit(all))
            .when(decided, lit(!all))
            .when(x.is_null().or(rows.gt(values)), unknown_value())
            .otherwise(lit(all))
    }

    /// Aggregates over the rows of a subquery, per row of the plan.
    fn figures<const N: usize>(
        &mut self,
        subquery: &LogicalPlan,
        aggregates: impl FnOnce(Expr) -> Vec<Expr>,
    ) -> Result<[Expr; N]> {
        let domain = self.domain(subquery)?;
        let aggregates = aggregates(value_of(subquery)?);
        let columns = if domain.is_empty() && domain::references(subquery)?.is_empty() {
            // One value each for all rows, which is computed ahead of the query.
            let mut columns = Vec::with_capacity(N);
            for aggregate in aggregates {
                let plan = subquery.clone();
                let single = grouped(
                    Bound {
                        plan,
                        columns: Vec::new(),
                    },
                    vec![aggregate],
                    self.fresh,
                )?;
                let plan = LogicalPlanBuilder::from(single.plan.clone())
                    .project(aggregates_of(&single))?
                    .build()?;
                columns.push(Expr::ScalarSubquery(domain::subquery(plan)?));
            }
            columns
        } else {
            let bound = push_down(subquery, &domain, self.fresh)?;
            let grouped = grouped(bound, aggregates, self.fresh)?;
            let outputs = aggregates_of(&grouped);
            self.joined(&domain, grouped, outputs)?
        };
        columns
            .try_into()
            .map_err(|_| datafusion::common::plan_datafusion_err!("a subquery has too few columns"))
    }

    /// Joins a bound plan with one row for each value of the domain, and gives columns for its outputs.
    fn joined(&mut self, domain: &Domain, bound: Bound, outputs: Vec<Expr>) -> Result<Vec<Expr>> {
        let alias = self.fresh.name("subquery");
        let mut exprs: Vec<Expr> = Vec::with_capacity(bound.columns.len() + outputs.len());
        let mut keys = Vec::with_capacity(bound.columns.len());
        for (index, (column, outer)) in bound.columns.iter().zip(domain.columns()).enumerate() {
            let name = format!("k{index}");
            exprs.push(Expr::Column(column.clone()).alias(&name));
            keys.push((
                Expr::Column(outer.clone()),
                Expr::Column(Column::new(Some(alias.clone()), name)),
            ));
        }
        let mut columns = Vec::with_capacity(outputs.len());
        for (index, output) in outputs.into_iter().enumerate() {
            let name = format!("v{index}");
            exprs.push(output.alias(&name));
            columns.push(Expr::Column(Column::new(Some(alias.clone()), name)));
        }
        let right = LogicalPlanBuilder::from(bound.plan)
            .project(exprs)?
            .alias(alias)?
            .build()?;
        self.left_join(right, keys, None)?;
        Ok(columns)
    }

    fn left_join(
        &mut self,
        right: LogicalPlan,
        keys: Vec<(Expr, Expr)>,
        condition: Option<Expr>,
    ) -> Result<()> {
        // What an outer row reads may be NULL, and finds the rows for NULL then.
        let null_equality = match keys.is_empty() {
            true => NullEquality::NullEqualsNothing,
            false => NullEquality::NullEqualsNull,
        };
        let plan = std::mem::replace(&mut self.plan, LogicalPlanBuilder::empty(false).build()?);
        self.plan = LogicalPlan::Join(Join::try_new(
            Arc::new(plan),
            Arc::new(right),
            keys,
            condition,
            JoinType::Left,
            JoinConstraint::On,
            null_equality,
            false,
        )?);
        self.attached = true;
        Ok(())
    }
}

fn first(columns: Vec<Expr>) -> Result<Expr> {
    match columns.into_iter().next() {
        Some(column) => Ok(column),
        None => plan_err!("a subquery has no column"),
    }
}

/// The column of a subquery that is a value.
fn value_of(subquery: &LogicalPlan) -> Result<Expr> {
    match subquery.schema().iter().next() {
        Some(found) => Ok(Expr::Column(Column::from(found))),
        None => plan_err!("a subquery has no column"),
    }
}

/// Aggregates over a bound plan, for each value of its domain that has rows.
fn grouped(bound: Bound, aggregates: Vec<Expr>, fresh: &mut Fresh<'_>) -> Result<Bound> {
    let named = aggregates.into_iter().map(|aggregate| {
        let name = fresh.name("figure");
        aggregate.alias(name)
    });
    let named: Vec<Expr> = named.collect();
    let group = bound.columns.iter().cloned().map(Expr::Column).collect();
    let aggregate = Aggregate::try_new(Arc::new(bound.plan), group, named)?;
    Ok(Bound {
        plan: LogicalPlan::Aggregate(aggregate),
        columns: bound.columns,
    })
}

fn aggregates_of(grouped: &Bound) -> Vec<Expr> {
    let columns = grouped.plan.schema().columns();
    columns
        .into_iter()
        .skip(grouped.columns.len())
        .map(Expr::Column)
        .collect()
}

/// Whether a subquery gives one row at most for each row of the outer query.
fn gives_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(found) => gives_one_row(&found.input),
        LogicalPlan::SubqueryAlias(found) => gives_one_row(&found.input),
        LogicalPlan::Filter(found) => gives_one_row(&found.input),
        LogicalPlan::Sort(found) => gives_one_row(&found.input),
        LogicalPlan::Aggregate(found) => found.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Limit(found) => {
            let one = Expr::Literal(ScalarValue::Int64(Some(1)), None);
            found.fetch.as_deref() == Some(&one) || gives_one_row(&found.input)
        }
        _ => false,
    }
}

fn not_positive(rows: Expr) -> Expr {
    Expr::IsNotTrue(Box::new(rows.gt(lit(0_i64))))
}

fn unknown_value() -> Expr {
    lit(ScalarValue::Boolean(None))
}
