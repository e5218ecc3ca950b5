//! A subquery evaluated for all values of its domain at once: the domain is pushed down to where its columns
//! are read, and every node on the way works within the rows of one value.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, Result, TableReference, plan_err};
use datafusion::logical_expr::logical_plan::{FetchType, SkipType};
use datafusion::logical_expr::{
    Distinct, DistinctOn, EmptyRelation, Expr, ExprFunctionExt, Filter, Limit, LogicalPlan,
    LogicalPlanBuilder, Projection, SortExpr, Union, Values, Window, lit,
};
use watershed_storage::numbers::row_number;

use super::domain::{Bound, Domain};
use super::{Fresh, aggregate, join, refused};

/// The plan for each value of the domain. Its columns keep their names and their order behind the domain's.
pub(super) fn push_down(plan: &LogicalPlan, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    if domain.is_empty() {
        return Ok(Bound {
            plan: plan.clone(),
            columns: Vec::new(),
        });
    }
    if !domain.is_read_by(plan)? {
        return crossed(plan, domain, fresh);
    }
    match plan {
        LogicalPlan::Projection(found) => {
            let below = push_down(&found.input, domain, fresh)?;
            project(below, found.expr.clone(), &found.schema, domain)
        }
        LogicalPlan::Filter(found) => {
            let below = push_down(&found.input, domain, fresh)?;
            let predicate = domain.bind(found.predicate.clone(), &below.columns)?;
            let filter = Filter::try_new(predicate, Arc::new(below.plan))?;
            Ok(Bound {
                plan: LogicalPlan::Filter(filter),
                columns: below.columns,
            })
        }
        LogicalPlan::SubqueryAlias(found) => {
            let below = push_down(&found.input, domain, fresh)?;
            let exprs = found.input.schema().columns().into_iter().map(Expr::Column);
            project(below, exprs.collect(), &found.schema, domain)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let below = push_down(input, domain, fresh)?;
            let plan = LogicalPlanBuilder::from(below.plan).distinct()?.build()?;
            Ok(Bound {
                plan,
                columns: below.columns,
            })
        }
        LogicalPlan::Distinct(Distinct::On(found)) => distinct_on(found, domain, fresh),
        // The order of rows within a subquery means nothing, but below LIMIT.
        LogicalPlan::Sort(found) if found.fetch.is_none() => push_down(&found.input, domain, fresh),
        LogicalPlan::Limit(found) => limit(found, domain, fresh),
        LogicalPlan::Aggregate(found) => aggregate::push_down(found, domain, fresh),
        LogicalPlan::Join(found) => join::push_down(found, domain, fresh),
        LogicalPlan::Union(found) => union(found, domain, fresh),
        LogicalPlan::Window(found) => window(found, domain, fresh),
        LogicalPlan::Values(found) => push_down(&rows_of(found)?, domain, fresh),
        LogicalPlan::Unnest(found) => {
            let below = push_down(&found.input, domain, fresh)?;
            let plan = LogicalPlanBuilder::from(below.plan)
                .unnest_columns_with_options(found.exec_columns.clone(), found.options.clone())?
                .build()?;
            Ok(Bound {
                plan,
                columns: below.columns,
            })
        }
        other => Err(refused(
            &format!("{}", other.display()),
            "Write the subquery as a join.",
        )),
    }
}

/// Every row for every value: for what does not read the domain.
fn crossed(plan: &LogicalPlan, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    let values = domain.instance(fresh)?;
    let single = matches!(
        plan,
        LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: true,
            ..
        })
    );
    if single {
        return Ok(values);
    }
    let plan = LogicalPlanBuilder::from(values.plan)
        .cross_join(plan.clone())?
        .build()?;
    Ok(Bound {
        plan,
        columns: values.columns,
    })
}

/// Projects a bound plan on the domain's columns and on expressions, which are named as in a schema.
pub(super) fn project(below: Bound, exprs: Vec<Expr>, schema: &DFSchema, domain: &Domain) -> Result<Bound> {
    let mut all: Vec<Expr> = below.columns.iter().cloned().map(Expr::Column).collect();
    for (expr, (qualifier, field)) in exprs.into_iter().zip(schema.iter()) {
        let bound = domain.bind(expr, &below.columns)?;
        all.push(named(bound, qualifier, field.name()));
    }
    let projection = Projection::try_new(all, Arc::new(below.plan))?;
    Ok(Bound {
        plan: LogicalPlan::Projection(projection),
        columns: below.columns,
    })
}

/// An expression under the name that it had before a part of it was replaced.
fn named(expr: Expr, qualifier: Option<&TableReference>, name: &str) -> Expr {
    let (own_qualifier, own_name) = expr.qualified_name();
    if own_qualifier.as_ref() == qualifier && own_name == name {
        return expr;
    }
    expr.unalias().alias_qualified(qualifier.cloned(), name)
}

/// Gives the columns behind the domain's their former names, by their places.
pub(super) fn renamed(below: Bound, schema: &DFSchema) -> Result<Bound> {
    let own: Vec<Column> = below.plan.schema().columns();
    let mut all: Vec<Expr> = below.columns.iter().cloned().map(Expr::Column).collect();
    let behind = own.into_iter().skip(below.columns.len());
    for (column, (qualifier, field)) in behind.zip(schema.iter()) {
        all.push(named(Expr::Column(column), qualifier, field.name()));
    }
    let plan = LogicalPlanBuilder::from(below.plan).project(all)?.build()?;
    Ok(Bound {
        plan,
        columns: below.columns,
    })
}

/// Brings the columns of a schema behind the domain's, by their names.
pub(super) fn arranged(plan: LogicalPlan, columns: Vec<Column>, schema: &DFSchema) -> Result<Bound> {
    let all = columns.iter().cloned().chain(schema.columns()).map(Expr::Column);
    let plan = LogicalPlanBuilder::from(plan)
        .project(all.collect::<Vec<_>>())?
        .build()?;
    Ok(Bound { plan, columns })
}

fn distinct_on(found: &DistinctOn, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    let below = push_down(&found.input, domain, fresh)?;
    let own: Vec<Expr> = below.columns.iter().cloned().map(Expr::Column).collect();
    let with_own = |exprs: &[Expr]| -> Result<Vec<Expr>> {
        let mut all = own.clone();
        for expr in exprs {
            all.push(domain.bind(expr.clone(), &below.columns)?);
        }
        Ok(all)
    };
    let on = with_own(&found.on_expr)?;
    let mut select = own.clone();
    for (expr, (qualifier, field)) in found.select_expr.iter().zip(found.schema.iter()) {
        let bound = domain.bind(expr.clone(), &below.columns)?;
        select.push(named(bound, qualifier, field.name()));
    }
    let sort = match &found.sort_expr {
        Some(keys) => {
            let mut all: Vec<SortExpr> = own
                .iter()
                .map(|column| column.clone().sort(true, false))
                .collect();
            all.extend(sort_keys(keys, domain, &below.columns)?);
            Some(all)
        }
        None => None,
    };
    let distinct = DistinctOn::try_new(on, select, sort, Arc::new(below.plan))?;
    Ok(Bound {
        plan: LogicalPlan::Distinct(Distinct::On(distinct)),
        columns: below.columns,
    })
}

fn sort_keys(keys: &[SortExpr], domain: &Domain, columns: &[Column]) -> Result<Vec<SortExpr>> {
    keys.iter()
        .map(|key| Ok(key.with_expr(domain.bind(key.expr.clone(), columns)?)))
        .collect()
}

/// LIMIT and OFFSET count the rows of each value.
fn limit(found: &Limit, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    let (skip, fetch) = match (found.get_skip_type()?, found.get_fetch_type()?) {
        (SkipType::Literal(skip), FetchType::Literal(fetch)) => (skip, fetch),
        _ => return Err(refused("a computed LIMIT", "Write it as a number.")),
    };
    // The order is below what is projected.
    match found.input.as_ref() {
        LogicalPlan::Projection(outer) => {
            let inner = Limit {
                input: Arc::clone(&outer.input),
                ..found.clone()
            };
            let below = limit(&inner, domain, fresh)?;
            return project(below, outer.expr.clone(), &outer.schema, domain);
        }
        LogicalPlan::SubqueryAlias(outer) => {
            let inner = Limit {
                input: Arc::clone(&outer.input),
                ..found.clone()
            };
            let below = limit(&inner, domain, fresh)?;
            let exprs = outer.input.schema().columns().into_iter().map(Expr::Column);
            return project(below, exprs.collect(), &outer.schema, domain);
        }
        _ => {}
    }
    let unordered: &[SortExpr] = &[];
    let (input, keys) = match found.input.as_ref() {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => (&sort.input, sort.expr.as_slice()),
        _ => (&found.input, unordered),
    };
    let schema = input.schema();
    let below = push_down(input, domain, fresh)?;
    let place = fresh.name("place");
    let mut builder = row_number().partition_by(below.columns.iter().cloned().map(Expr::Column).collect());
    if !keys.is_empty() {
        builder = builder.order_by(sort_keys(keys, domain, &below.columns)?);
    }
    let numbered = builder.build()?.alias(&place);
    let number = |count: usize| lit(i64::try_from(count).unwrap_or(i64::MAX));
    let at = Expr::Column(Column::new_unqualified(place));
    let after = at.clone().gt(number(skip));
    let within = match fetch {
        Some(fetch) => after.and(at.lt_eq(number(skip.saturating_add(fetch)))),
        None => after,
    };
    let plan = LogicalPlanBuilder::from(below.plan)
        .window(vec![numbered])?
        .filter(within)?
        .build()?;
    arranged(plan, below.columns, schema)
}

fn window(found: &Window, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    let below = push_down(&found.input, domain, fresh)?;
    let mut exprs = Vec::with_capacity(found.window_expr.len());
    for expr in &found.window_expr {
        let bound = domain.bind(expr.clone(), &below.columns)?;
        exprs.push(match bound.unalias() {
            Expr::WindowFunction(mut function) => {
                let own = below.columns.iter().cloned().map(Expr::Column);
                let mut partition: Vec<Expr> = own.collect();
                partition.append(&mut function.params.partition_by);
                function.params.partition_by = partition;
                Expr::WindowFunction(function)
            }
            other => return plan_err!("{other} is no window function"),
        });
    }
    let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(below.plan))?);
    let bound = Bound {
        plan,
        columns: below.columns,
    };
    renamed(bound, &found.schema)
}

fn union(found: &Union, domain: &Domain, fresh: &mut Fresh<'_>) -> Result<Bound> {
    let alias = fresh.name("domain");
    let mut inputs = Vec::with_capacity(found.inputs.len());
    for input in &found.inputs {
        let below = push_down(input, domain, fresh)?;
        let behind = input.schema().columns().into_iter().map(Expr::Column);
        let own = below
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Expr::Column(column.clone()).alias(format!("{alias}_{index}")));
        let all: Vec<Expr> = own.chain(behind).collect();
        inputs.push(Arc::new(
            LogicalPlanBuilder::from(below.plan).project(all)?.build()?,
        ));
    }
    let union = Union::try_new_with_loose_types(inputs)?;
    let columns = union
        .schema
        .columns()
        .into_iter()
        .take(domain.columns().len())
        .collect();
    let bound = Bound {
        plan: LogicalPlan::Union(union),
        columns,
    };
    renamed(bound, &found.schema)
}

/// `VALUES` over outer columns: a query per row.
fn rows_of(found: &Values) -> Result<LogicalPlan> {
    let mut inputs = Vec::with_capacity(found.values.len());
    for row in &found.values {
        let named = row
            .iter()
            .zip(found.schema.fields())
            .map(|(expr, field)| expr.clone().alias(field.name()));
        let one = LogicalPlanBuilder::empty(true)
            .project(named.collect::<Vec<_>>())?
            .build()?;
        inputs.push(Arc::new(one));
    }
    let single = inputs.len() == 1;
    match inputs.pop() {
        Some(row) if single => Ok(Arc::unwrap_or_clone(row)),
        Some(row) => {
            inputs.push(row);
            Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
        }
        None => plan_err!("VALUES without rows"),
    }
}
