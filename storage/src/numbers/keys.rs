//! Floats as keys: in comparisons, grouping, DISTINCT, joins, windows and sort orders each float stands in its
//! one form, so that NaN equals NaN and is the greatest of all, and -0.0 equals 0.0, as in PostgreSQL.
//!
//! Nested values that are compared or ordered give way to their keys ([`super::nested`]). Where values go on, as those of
//! groups, the floats within them get their one form.
//!
//! Statistics of Parquet leave NaN out. A key that is a call of a function is not looked up in them, so that
//! nothing is skipped for a NaN that they do not know; what they may be used for is added in [`super::bounds`].

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, InList, InSubquery, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Case, Distinct, Expr, ExprSchemable, GroupingSet, JoinConstraint, LogicalPlan,
    LogicalPlanBuilder, Projection, ScalarUDF, SortExpr, lit, when,
};
use datafusion::optimizer::AnalyzerRule;

use super::exprs;
use super::floats::{argument, canonical, has_forms};
use super::nested;

/// Functions that compare their arguments.
const COMPARING_FUNCTIONS: [&str; 3] = ["greatest", "least", "nullif"];

/// Functions that compare elements of lists.
const OVER_ELEMENTS: [&str; 15] = [
    "array_distinct",
    "array_except",
    "array_has",
    "array_has_all",
    "array_has_any",
    "array_intersect",
    "array_max",
    "array_min",
    "array_position",
    "array_positions",
    "array_remove",
    "array_remove_all",
    "array_remove_n",
    "array_sort",
    "array_union",
];

/// Aggregates that tell values apart.
const COUNTING_AGGREGATES: [&str; 1] = ["approx_distinct"];

/// Gives each float that is a key its one form. The plan is typed.
#[derive(Debug)]
pub(super) struct FloatKeys;

impl AnalyzerRule for FloatKeys {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| exprs::rewrite(node, &convert)?.transform_data(keys))
            .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "float_keys"
    }
}

/// Puts an expression into its one form, if it is a float that may have another.
fn fix(expr: &mut Expr, schema: &DFSchema) -> bool {
    if argument(expr).is_some() {
        return false;
    }
    let Some(kind) = expr.get_type(schema).ok().filter(has_forms) else {
        return false;
    };
    let before = std::mem::take(expr);
    let literal = before.clone();
    *expr = canonical(before, &kind);
    *expr != literal
}

fn fix_all<'e>(exprs: impl IntoIterator<Item = &'e mut Expr>, schema: &DFSchema) -> bool {
    exprs
        .into_iter()
        .fold(false, |changed, expr| fix(expr, schema) | changed)
}

fn fix_sorts(sorts: &mut [SortExpr], schema: &DFSchema) -> bool {
    fix_all(sorts.iter_mut().map(|sort| &mut sort.expr), schema)
}

/// Puts what orders rows or tells them apart into the form that is compared.
fn order(expr: &mut Expr, schema: &DFSchema) -> bool {
    if !expr.get_type(schema).is_ok_and(|kind| nested::is_nested(&kind)) {
        return fix(expr, schema);
    }
    *expr = nested::key(std::mem::take(expr));
    true
}

fn order_all<'e>(exprs: impl IntoIterator<Item = &'e mut Expr>, schema: &DFSchema) -> bool {
    exprs
        .into_iter()
        .fold(false, |changed, expr| order(expr, schema) | changed)
}

fn order_sorts(sorts: &mut [SortExpr], schema: &DFSchema) -> bool {
    order_all(sorts.iter_mut().map(|sort| &mut sort.expr), schema)
}

/// Whether expressions are nested values that can be compared with each other.
fn are_nested(exprs: &[(&Expr, &DFSchema)]) -> bool {
    let kind = |(expr, schema): &(&Expr, &DFSchema)| expr.get_type(*schema).ok();
    let Some((first, others)) = exprs.split_first() else {
        return false;
    };
    match kind(first).filter(nested::is_nested) {
        Some(first) => others
            .iter()
            .all(|other| kind(other).is_some_and(|other| nested::alike(&first, &other))),
        None => false,
    }
}

/// Puts expressions that are compared with each other into the form that is compared.
fn compare(mut exprs: Vec<&mut Expr>, schema: &DFSchema) -> bool {
    let all: Vec<_> = exprs.iter().map(|expr| (&**expr, schema)).collect();
    match are_nested(&all) {
        true => order_all(exprs, schema),
        false => fix_all(exprs.drain(..), schema),
    }
}

/// A call that compares nested values, over what they are compared by; none of another call.
fn over_nested(func: &Arc<ScalarUDF>, args: &[Expr], schema: &DFSchema) -> Result<Option<Expr>> {
    let all: Vec<_> = args.iter().map(|arg| (arg, schema)).collect();
    if !are_nested(&all) {
        return Ok(None);
    }
    Ok(match (func.name(), args) {
        ("nullif", [value, other]) => {
            let nothing = lit(ScalarValue::try_from(&value.get_type(schema)?)?);
            let equal = nested::key(value.clone()).eq(nested::key(other.clone()));
            Some(when(equal, nothing).otherwise(value.clone())?)
        }
        ("greatest" | "least", [first, ..]) => {
            let codes = args.iter().cloned().map(nested::code).collect();
            Some(nested::of_code(func.call(codes), first.clone()))
        }
        _ => None,
    })
}

fn convert(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(mut binary) => {
            let BinaryExpr { left, op, right } = &mut binary;
            let changed = op.supports_propagation() && compare(vec![left.as_mut(), right.as_mut()], schema);
            Transformed::new_transformed(Expr::BinaryExpr(binary), changed)
        }
        Expr::Between(mut between) => {
            let changed = compare(
                vec![between.expr.as_mut(), between.low.as_mut(), between.high.as_mut()],
                schema,
            );
            Transformed::new_transformed(Expr::Between(between), changed)
        }
        Expr::InList(mut found) => {
            let InList { expr, list, .. } = &mut found;
            let changed = compare(std::iter::once(expr.as_mut()).chain(list).collect(), schema);
            Transformed::new_transformed(Expr::InList(found), changed)
        }
        Expr::InSubquery(found) => in_subquery(found, schema)?,
        Expr::Case(mut case) => {
            let Case {
                expr, when_then_expr, ..
            } = &mut case;
            let changed = match expr {
                Some(expr) => {
                    let whens = when_then_expr.iter_mut().map(|(when, _)| when.as_mut());
                    compare(std::iter::once(expr.as_mut()).chain(whens).collect(), schema)
                }
                None => false,
            };
            Transformed::new_transformed(Expr::Case(case), changed)
        }
        Expr::ScalarFunction(ScalarFunction { func, mut args })
            if COMPARING_FUNCTIONS.contains(&func.name()) || OVER_ELEMENTS.contains(&func.name()) =>
        {
            if COMPARING_FUNCTIONS.contains(&func.name())
                && let Some(call) = over_nested(&func, &args, schema)?
            {
                return Ok(Transformed::yes(call));
            }
            let changed = fix_all(&mut args, schema);
            Transformed::new_transformed(Expr::ScalarFunction(ScalarFunction { func, args }), changed)
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            let apart = params.distinct || COUNTING_AGGREGATES.contains(&func.name());
            let mut changed = apart && fix_all(&mut params.args, schema);
            // What is sorted by has to be an argument, where rows are told apart.
            changed |= match params.distinct {
                true => fix_sorts(&mut params.order_by, schema),
                false => order_sorts(&mut params.order_by, schema),
            };
            let expr = Expr::AggregateFunction(AggregateFunction { func, params });
            Transformed::new_transformed(expr, changed)
        }
        Expr::WindowFunction(mut window) => {
            let WindowFunction { params, .. } = window.as_mut();
            let mut changed = order_all(&mut params.partition_by, schema);
            changed |= order_sorts(&mut params.order_by, schema);
            changed |= params.distinct && fix_all(&mut params.args, schema);
            Transformed::new_transformed(Expr::WindowFunction(window), changed)
        }
        other => Transformed::no(other),
    })
}

fn in_subquery(mut found: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let inner = Arc::unwrap_or_clone(found.subquery.subquery);
    let column = inner.schema().iter().next().map(Column::from);
    if let Some(column) = column {
        let name = format!("__canonical_{}", column.name);
        let values = Expr::Column(column);
        if are_nested(&[(found.expr.as_ref(), schema), (&values, inner.schema().as_ref())]) {
            let keys = nested::key(values).alias(name);
            found.expr = Box::new(nested::key(*found.expr));
            found.subquery.subquery = Arc::new(LogicalPlanBuilder::from(inner).project([keys])?.build()?);
            return Ok(Transformed::yes(Expr::InSubquery(found)));
        }
    }
    let mut changed = fix(&mut found.expr, schema);
    let inner = canonical_columns(inner)?;
    changed |= inner.transformed;
    // A correlated predicate may need the column itself beside its one form, so that the latter has a name of its own.
    let inner = match inner.data {
        LogicalPlan::Projection(projection) if inner.transformed => {
            let exprs = projection.expr.into_iter().map(|expr| match expr {
                Expr::Alias(alias) => {
                    let name = format!("__canonical_{}", alias.name);
                    alias.expr.alias(name)
                }
                other => other,
            });
            LogicalPlan::Projection(Projection::try_new(exprs.collect(), projection.input)?)
        }
        other => other,
    };
    found.subquery.subquery = Arc::new(inner);
    Ok(Transformed::new_transformed(Expr::InSubquery(found), changed))
}

/// What nodes compare by themselves.
fn keys(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    Ok(match node {
        LogicalPlan::Sort(mut sort) => {
            let changed = order_sorts(&mut sort.expr, sort.input.schema());
            Transformed::new_transformed(LogicalPlan::Sort(sort), changed)
        }
        LogicalPlan::Join(mut join) => {
            let (left, right) = (Arc::clone(&join.left), Arc::clone(&join.right));
            let mut changed = false;
            for (of_left, of_right) in &mut join.on {
                if are_nested(&[
                    (&*of_left, left.schema().as_ref()),
                    (&*of_right, right.schema().as_ref()),
                ]) {
                    changed |= order(of_left, left.schema()) | order(of_right, right.schema());
                    continue;
                }
                changed |= fix(of_left, left.schema());
                changed |= fix(of_right, right.schema());
            }
            if changed {
                // USING has columns alone, and has been resolved.
                join.join_constraint = JoinConstraint::On;
            }
            Transformed::new_transformed(LogicalPlan::Join(join), changed)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let input = canonical_columns(Arc::unwrap_or_clone(input))?;
            input.update_data(|input| LogicalPlan::Distinct(Distinct::All(Arc::new(input))))
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let schema = Arc::clone(on.input.schema());
            let mut changed = order_all(&mut on.on_expr, &schema);
            if let Some(sorts) = &mut on.sort_expr {
                changed |= order_sorts(sorts, &schema);
            }
            Transformed::new_transformed(LogicalPlan::Distinct(Distinct::On(on)), changed)
        }
        LogicalPlan::Aggregate(aggregate) => grouping(aggregate)?,
        LogicalPlan::RecursiveQuery(mut query) if query.is_distinct => {
            let begun = canonical_columns(Arc::unwrap_or_clone(query.static_term))?;
            let step = canonical_columns(Arc::unwrap_or_clone(query.recursive_term))?;
            let changed = begun.transformed || step.transformed;
            query.static_term = Arc::new(begun.data);
            query.recursive_term = Arc::new(step.data);
            Transformed::new_transformed(LogicalPlan::RecursiveQuery(query), changed)
        }
        other => Transformed::no(other),
    })
}

/// Group keys, which keep their names and their qualifiers.
fn grouping(mut aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(aggregate.input.schema());
    let is_set = matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_)));
    let mut changed = false;
    if is_set {
        // Columns of grouping sets are told by their expressions, so that the input changes instead.
        let any = aggregate
            .group_expr
            .iter()
            .any(|set| matches!(set, Expr::GroupingSet(set) if floats(set, &schema)));
        if any {
            let input = canonical_columns(Arc::unwrap_or_clone(aggregate.input))?;
            changed = input.transformed;
            aggregate.input = Arc::new(input.data);
        }
    } else {
        for key in &mut aggregate.group_expr {
            if let Expr::Alias(alias) = key {
                changed |= fix(&mut alias.expr, &schema);
                continue;
            }
            let (qualifier, field) = key.to_field(&schema)?;
            if fix(key, &schema) {
                changed = true;
                *key = std::mem::take(key).alias_qualified(qualifier, field.name());
            }
        }
    }
    let plan = match changed {
        true => LogicalPlan::Aggregate(Aggregate::try_new(
            aggregate.input,
            aggregate.group_expr,
            aggregate.aggr_expr,
        )?),
        false => LogicalPlan::Aggregate(aggregate),
    };
    Ok(Transformed::new_transformed(plan, changed))
}

fn floats(set: &GroupingSet, schema: &DFSchema) -> bool {
    set.distinct_expr()
        .iter()
        .any(|expr| expr.get_type(schema).is_ok_and(|kind| has_forms(&kind)))
}

/// The plan with its columns of floats in their one form, under their own names.
fn canonical_columns(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let done = |index: usize| match &plan {
        LogicalPlan::Projection(projection) => projection.expr.get(index).is_some_and(|expr| match expr {
            Expr::Alias(alias) => argument(&alias.expr).is_some(),
            other => argument(other).is_some(),
        }),
        _ => false,
    };
    let fields = plan.schema().fields();
    let open: Vec<bool> = (0..fields.len())
        .map(|index| has_forms(fields[index].data_type()) && !done(index))
        .collect();
    if !open.contains(&true) {
        return Ok(Transformed::no(plan));
    }
    let exprs: Vec<Expr> = open
        .iter()
        .enumerate()
        .map(|(index, open)| {
            let (qualifier, field) = plan.schema().qualified_field(index);
            let column = Expr::Column(Column::from((qualifier, field)));
            match open {
                true => {
                    canonical(column, field.data_type()).alias_qualified(qualifier.cloned(), field.name())
                }
                false => column,
            }
        })
        .collect();
    let plan = LogicalPlanBuilder::from(plan).project(exprs)?.build()?;
    Ok(Transformed::yes(plan))
}
