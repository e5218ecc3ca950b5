//! Intervals grouped, sorted and aggregated by value: `1 day` and `24 hours` are one group.
//!
//! Of a group's intervals the one with the fewest months, and then days, stands for it, on whatever path.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, TableReference};
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, Projection, SortExpr, Window, WindowFunctionDefinition,
};
use watershed_core::error::Error;
use watershed_storage::error::into_datafusion;

use super::intervals::{code, key, of_code, sort};
use super::kinds::{is_interval, kind};

/// A node that groups, sorts, joins or aggregates by intervals.
pub(super) fn by_value(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Sort(mut found) => {
            let schema = Arc::clone(found.input.schema());
            let changed = sorts(&mut found.expr, &schema)?;
            Ok(transformed(LogicalPlan::Sort(found), changed))
        }
        LogicalPlan::Join(mut join) => {
            let mut changed = false;
            for (left, right) in &mut join.on {
                let is = |expr: &Expr, schema: &DFSchema| {
                    kind(expr, schema).is_some_and(|kind| is_interval(&kind))
                };
                if is(left, join.left.schema()) || is(right, join.right.schema()) {
                    *left = key(std::mem::take(left))?;
                    *right = key(std::mem::take(right))?;
                    changed = true;
                }
            }
            Ok(transformed(LogicalPlan::Join(join), changed))
        }
        LogicalPlan::Distinct(Distinct::All(input)) if has_intervals(input.schema()) => {
            let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
            let aggregate = Aggregate::try_new(input, columns, vec![])?;
            Ok(Transformed::yes(self::aggregate(aggregate)?.data))
        }
        LogicalPlan::Distinct(Distinct::On(mut found)) => {
            let schema = Arc::clone(found.input.schema());
            let mut changed = false;
            for expr in &mut found.on_expr {
                if kind(expr, &schema).is_some_and(|kind| is_interval(&kind)) {
                    *expr = key(std::mem::take(expr))?;
                    changed = true;
                }
            }
            if let Some(keys) = &mut found.sort_expr {
                changed |= sorts(keys, &schema)?;
            }
            Ok(transformed(LogicalPlan::Distinct(Distinct::On(found)), changed))
        }
        LogicalPlan::Aggregate(found) => aggregate(found),
        LogicalPlan::Window(found) => window(found),
        other => Ok(Transformed::no(other)),
    }
}

fn transformed(plan: LogicalPlan, changed: bool) -> Transformed<LogicalPlan> {
    match changed {
        true => Transformed::yes(plan),
        false => Transformed::no(plan),
    }
}

fn has_intervals(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|field| is_interval(field.data_type()))
}

fn sorts(keys: &mut [SortExpr], schema: &DFSchema) -> Result<bool> {
    let mut changed = false;
    for found in keys {
        let (by, done) = sort(found.clone(), schema)?;
        *found = by;
        changed |= done;
    }
    Ok(changed)
}

/// Makes the expression that stands for an aggregate from its arguments.
type Replacement = Box<dyn Fn(&[Expr]) -> Result<Expr>>;

/// What computes a column: expressions of the node, of which the first keeps the column's name, and what
/// the column is over these.
struct Parts {
    exprs: Vec<Expr>,
    value: Replacement,
}

fn aggregate(found: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let input = Arc::clone(found.input.schema());
    let is = |expr: &Expr| kind(expr, &input).is_some_and(|kind| is_interval(&kind));
    let sets = matches!(found.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    if sets {
        let mut keys = vec![];
        if let [Expr::GroupingSet(set)] = found.group_expr.as_slice() {
            keys.extend(set.distinct_expr());
        }
        if keys.into_iter().any(is) {
            return Err(into_datafusion(
                Error::unsupported("intervals in GROUPING SETS, CUBE and ROLLUP are not supported")
                    .with_hint("Group by extract(epoch FROM …) instead."),
            ));
        }
    }
    let groups = found.group_expr.len();
    let changes = !sets && found.group_expr.iter().any(is)
        || found
            .aggr_expr
            .iter()
            .any(|expr| parts(expr, &input).is_ok_and(|parts| parts.is_some()));
    if !changes || sets {
        return Ok(Transformed::no(LogicalPlan::Aggregate(found)));
    }
    let Aggregate {
        input: plan,
        group_expr,
        aggr_expr,
        schema,
        ..
    } = found;
    let mut keys = Vec::with_capacity(groups);
    let mut exprs = Vec::new();
    let mut columns = Vec::new();
    for (index, expr) in group_expr.into_iter().enumerate() {
        if is(&expr) {
            let bare = expr.unalias();
            keys.push(key(bare.clone())?.alias(format!("__key_{index}")));
            let shown = format!("__shown_{index}");
            exprs.push(min(code(bare)?).alias(&shown));
            columns.push(of_code(Expr::Column(Column::from_name(shown)))?);
        } else {
            let (qualifier, field) = schema.qualified_field(index);
            keys.push(expr);
            columns.push(Expr::Column(Column::from((qualifier, field))));
        }
    }
    for (index, expr) in aggr_expr.into_iter().enumerate() {
        match parts(&expr, &input)? {
            Some(Parts { exprs: new, value }) => {
                let mut made = Vec::with_capacity(new.len());
                for (part, new) in new.into_iter().enumerate() {
                    let name = format!("__part_{index}_{part}");
                    exprs.push(new.alias(&name));
                    made.push(Expr::Column(Column::from_name(name)));
                }
                columns.push(value(&made)?);
            }
            None => {
                let (qualifier, field) = schema.qualified_field(groups + index);
                exprs.push(expr);
                columns.push(Expr::Column(Column::from((qualifier, field))));
            }
        }
    }
    let aggregate = LogicalPlan::Aggregate(Aggregate::try_new(plan, keys, exprs)?);
    named(aggregate, columns, &schema)
}

fn window(mut found: Window) -> Result<Transformed<LogicalPlan>> {
    let input = Arc::clone(found.input.schema());
    let mut changed = false;
    let mut recode = Vec::new();
    for (index, expr) in found.window_expr.iter_mut().enumerate() {
        let (function, alias) = match expr {
            Expr::WindowFunction(function) => (function.as_mut(), None),
            Expr::Alias(alias) => match alias.expr.as_mut() {
                Expr::WindowFunction(function) => (function.as_mut(), Some(alias.name.clone())),
                _ => continue,
            },
            _ => continue,
        };
        let name = alias.unwrap_or_else(|| Expr::from(function.clone()).schema_name().to_string());
        let (sorted, extreme) = by_value_over(function, &input)?;
        if !(sorted || extreme) {
            continue;
        }
        changed = true;
        if extreme {
            recode.push(index);
        }
        let bare = std::mem::take(expr).unalias();
        *expr = bare.alias(name);
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Window(found)));
    }
    let schema = Arc::clone(&found.schema);
    let window = LogicalPlan::Window(Window::try_new(found.window_expr, found.input)?);
    if recode.is_empty() {
        return Ok(Transformed::yes(window));
    }
    let before = input.fields().len();
    let columns = window
        .schema()
        .columns()
        .into_iter()
        .enumerate()
        .map(
            |(index, column)| match index >= before && recode.contains(&(index - before)) {
                true => of_code(Expr::Column(column)),
                false => Ok(Expr::Column(column)),
            },
        )
        .collect::<Result<Vec<_>>>()?;
    named(window, columns, &schema)
}

/// Whether the order or the partitions of a window changed, and whether it now gives a code.
fn by_value_over(function: &mut WindowFunction, input: &DFSchema) -> Result<(bool, bool)> {
    let is = |expr: &Expr| kind(expr, input).is_some_and(|kind| is_interval(&kind));
    let mut sorted = sorts(&mut function.params.order_by, input)?;
    for expr in &mut function.params.partition_by {
        if is(expr) {
            *expr = key(std::mem::take(expr))?;
            sorted = true;
        }
    }
    let WindowFunctionDefinition::AggregateUDF(aggregate) = &function.fun else {
        return Ok((sorted, false));
    };
    match (aggregate.name(), function.params.args.as_mut_slice()) {
        ("min" | "max", [arg]) if is(arg) => {
            *arg = code(std::mem::take(arg))?;
            Ok((sorted, true))
        }
        _ => Ok((sorted, false)),
    }
}

/// The parts of an aggregate over intervals that is one of values. None for all others.
fn parts(expr: &Expr, input: &DFSchema) -> Result<Option<Parts>> {
    let Expr::AggregateFunction(found) = expr.clone().unalias() else {
        return Ok(None);
    };
    let is = |expr: &Expr| kind(expr, input).is_some_and(|kind| is_interval(&kind));
    let AggregateFunction { func, params } = found;
    let with = |args: Vec<Expr>, params: &AggregateFunctionParams| {
        Expr::AggregateFunction(AggregateFunction {
            func: Arc::clone(&func),
            params: AggregateFunctionParams {
                args,
                ..params.clone()
            },
        })
    };
    let mut by: Vec<Sort> = params.order_by.clone();
    let sorted = sorts(&mut by, input)?;
    let params = AggregateFunctionParams {
        order_by: by,
        ..params
    };
    let first = params.args.first().cloned();
    Ok(match (func.name(), first) {
        ("min" | "max", Some(arg)) if is(&arg) => Some(Parts {
            exprs: vec![with(vec![code(arg)?], &params)],
            value: Box::new(|made| of_code(made[0].clone())),
        }),
        ("count", Some(arg)) if params.distinct && params.args.len() == 1 && is(&arg) => Some(Parts {
            exprs: vec![with(vec![key(arg)?], &params)],
            value: Box::new(|made| Ok(made[0].clone())),
        }),
        _ if sorted => Some(Parts {
            exprs: vec![with(params.args.clone(), &params)],
            value: Box::new(|made| Ok(made[0].clone())),
        }),
        _ => None,
    })
}

/// A projection that gives the columns the names they had.
fn named(input: LogicalPlan, columns: Vec<Expr>, schema: &DFSchemaRef) -> Result<Transformed<LogicalPlan>> {
    let exprs = columns
        .into_iter()
        .zip(schema.iter())
        .map(|(expr, (qualifier, field))| {
            let qualifier: Option<TableReference> = qualifier.cloned();
            let same = matches!(
                &expr,
                Expr::Column(column) if column.relation == qualifier && column.name == *field.name()
            );
            match same {
                true => expr,
                false => expr.alias_qualified(qualifier, field.name()),
            }
        })
        .collect();
    let projection = Projection::try_new(exprs, Arc::new(input))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}
