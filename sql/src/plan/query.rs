//! Queries: names found, planned by DataFusion, put right, and typed by its analyzer.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableFunctionArgs;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, DFSchema, UnnestOptions, plan_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, TableSource};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use sqlparser::ast::{self, Query};
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;

use super::names::{self, Expanding, Names};
use super::{
    PlanContext, arrays, distinct_names, error, groupings, macros, numerals, parameters, patterns,
    registered, set_operations, size, subquery, syntax, temporal, totals, units, values, wide,
};
use crate::catalog::Object;
use crate::dialect::with_room;

/// Plans a query as a statement: typed, its parameters too.
pub(super) async fn plan(statement: &ast::Statement, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    let ast::Statement::Query(query) = statement else {
        return Err(Error::internal("a statement that is no query was planned as one"));
    };
    let names = Names::load(&**query, context.current_schema, context, &[]).await?;
    parameters::plan(query, &[], context, |query, planner| {
        temporal(to_plan_with_any_names(query, &names, planner)?, context)
    })
    .map_err(|error| error::at_query(error, query))
}

/// Plans a query as a part of another, of a view or of a table: not typed yet.
pub(super) async fn plan_body(
    query: &Query,
    schema: &str,
    context: &PlanContext<'_>,
    expanding: Expanding<'_>,
) -> Result<LogicalPlan> {
    let names = Names::load(query, schema, context, expanding).await?;
    with_room(|| {
        let planned = to_logical(Box::new(query.clone()), &names, &mut PlannerContext::new());
        planned.map_err(|found| error::refine(found, query, &names))
    })
}

/// What DataFusion makes of a query whose columns become those of a table, and so have distinct names.
pub(super) fn to_plan(query: &Query, names: &Names<'_>, planner: &mut PlannerContext) -> Result<LogicalPlan> {
    with_room(|| {
        to_logical(Box::new(query.clone()), names, planner)
            .map_err(|found| error::refine(found, query, names))
    })
}

/// What DataFusion makes of a query's text. Columns may be called the same, as in SQL they may.
pub(super) fn to_plan_with_any_names(
    query: &Query,
    names: &Names<'_>,
    planner: &mut PlannerContext,
) -> Result<LogicalPlan> {
    with_room(|| {
        let found = match to_logical(Box::new(query.clone()), names, &mut planner.clone()) {
            Ok(plan) => return shown(plan),
            Err(found) => found,
        };
        if !error::duplicate_names(&found) {
            return Err(error::refine(found, query, names));
        }
        let distinct = distinct_names::give(Box::new(query.clone()));
        let plan =
            to_logical(distinct, names, planner).map_err(|found| error::refine(found, query, names))?;
        shown(plan)
    })
}

/// The plan with the columns that share a name under that name, with numbers.
fn shown(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let is_plain = |column: &&Column| syntax::shared_name(&column.name).is_none();
    let mut taken: Vec<String> = columns
        .iter()
        .filter(is_plain)
        .map(|column| column.name.clone())
        .collect();
    if taken.len() == columns.len() {
        return Ok(plan);
    }
    let mut exprs = Vec::with_capacity(columns.len());
    for column in columns {
        let Some(name) = syntax::shared_name(&column.name).map(str::to_owned) else {
            exprs.push(Expr::Column(column));
            continue;
        };
        let name = distinct_names::distinct(&name, &taken);
        taken.push(name.clone());
        exprs.push(Expr::Column(column).alias(name));
    }
    LogicalPlanBuilder::from(plan)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)
}

/// A name that several columns of a plan have.
pub(super) fn repeated_name(plan: &LogicalPlan) -> Option<String> {
    let mut seen: Vec<&str> = Vec::new();
    for field in plan.schema().fields() {
        let name = syntax::shared_name(field.name()).unwrap_or(field.name());
        if seen.contains(&name) {
            return Some(name.to_owned());
        }
        seen.push(name);
    }
    None
}

fn to_logical(
    mut query: Box<Query>,
    names: &Names<'_>,
    planner: &mut PlannerContext,
) -> datafusion::common::Result<LogicalPlan> {
    syntax::give_titles(&mut query);
    macros::expand(&mut query);
    syntax::rewrite(&mut query, names)?;
    // Last: columns are named by numbers and patterns as they were written.
    numerals::rewrite(&mut *query);
    patterns::rewrite(&mut *query);
    arrays::rewrite(&mut *query);
    if let Some(marked) = wide::marked(&query, names) {
        let marked = ast::Statement::Query(Box::new(marked));
        let planned = planner_of(names).sql_statement_to_plan_with_context(marked, &mut planner.clone());
        // What is wrong with a query is said of the query itself.
        if let Ok(plan) = planned
            && size::check(&plan).is_ok()
            && let Some(plan) = wide::with_columns(plan)?
        {
            return registered::rewrite(values::retype(plan)?, names);
        }
    }
    let statement = ast::Statement::Query(query);
    let plan = planner_of(names).sql_statement_to_plan_with_context(statement, planner)?;
    size::check(&plan)?;
    registered::rewrite(values::retype(plan)?, names)
}

/// The planner of DataFusion, with our options.
pub(super) fn planner_of<'n, 's>(names: &'n Names<'s>) -> SqlToRel<'n, Names<'s>> {
    use datafusion::logical_expr::planner::ContextProvider;
    let options = ParserOptions::from(&names.options().sql_parser)
        .with_enable_ident_normalization(true)
        .with_parse_float_as_decimal(true)
        .with_support_varchar_with_length(true)
        .with_map_string_types_to_utf8view(false);
    SqlToRel::new_with_options(names, options)
}

/// Puts a plan right and types it: what it gives is then what its schema says.
pub(super) fn finish(plan: LogicalPlan, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    typed(temporal(plan, context)?, context)
}

/// Set operations and subqueries as joins, totals without groups, and times in the session's zone.
pub(super) fn temporal(plan: LogicalPlan, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    with_room(|| {
        set_operations::rewrite(plan)
            .and_then(totals::rewrite)
            .and_then(|plan| subquery::rewrite(plan, context.state))
            .and_then(|plan| size::check(&plan).map(|_| plan))
            .and_then(groupings::rewrite)
            .and_then(|plan| temporal::rewrite(plan, context.settings.time_zone()))
            .map_err(from_datafusion)
    })
}

/// Types a plan whose parameters have types.
pub(super) fn typed(plan: LogicalPlan, context: &PlanContext<'_>) -> Result<LogicalPlan> {
    with_room(|| {
        registered::aggregates(plan, context.state)
            .and_then(|plan| {
                let analyzer = context.state.analyzer();
                analyzer.execute_and_check(plan, context.state.config_options(), |_, _| {})
            })
            .map_err(from_datafusion)
            .and_then(|plan| units::apart(&plan).map(|()| plan))
    })
}

/// The plan with other names for its columns. None where `names` is empty.
pub(super) fn rename(plan: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    if names.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns();
    if columns.len() < names.len() {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!(
                "{} columns are named, but the query gives {}",
                names.len(),
                columns.len()
            ),
        ));
    }
    let exprs = columns.into_iter().enumerate().map(|(index, column)| {
        let expr = Expr::Column(column);
        match names.get(index) {
            Some(name) => expr.alias(name),
            None => expr,
        }
    });
    LogicalPlanBuilder::from(plan)
        .project(exprs.collect::<Vec<_>>())
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)
}

/// The columns of an object as queries see them. Views are planned for it.
pub async fn object_schema(object: &Object, context: &PlanContext<'_>) -> Result<SchemaRef> {
    schema_of(object, context, &[]).await
}

pub(super) async fn schema_of(
    object: &Object,
    context: &PlanContext<'_>,
    expanding: Expanding<'_>,
) -> Result<SchemaRef> {
    match object {
        Object::Table(def) => Ok(def.layout.arrow_schema()),
        Object::Live(def) => Ok(def.arrow_schema()),
        Object::External(_) => Ok(context.tables.provider(object).await?.schema()),
        Object::View(def) => {
            let plan = names::expand(def, context, expanding).await?;
            Ok(Arc::clone(finish(plan, context)?.schema().inner()))
        }
    }
}

/// `FROM generate_series(…)` and its like.
pub(super) fn table_function(
    state: &SessionState,
    name: &str,
    args: Vec<Expr>,
) -> datafusion::common::Result<Arc<dyn TableSource>> {
    let schema = DFSchema::empty();
    if let Some(series) = series(state, name, &args)? {
        return Ok(provider_as_source(Arc::new(ViewTable::new(series, None))));
    }
    let Some(function) = state.table_functions().get(name) else {
        return plan_err!("table function '{name}' not found");
    };
    let simplifier = ExprSimplifier::new(
        SimplifyContext::builder()
            .with_config_options(Arc::clone(state.config_options()))
            .with_query_execution_start_time(state.execution_props().query_execution_start_time)
            .build(),
    );
    let args = args
        .into_iter()
        .map(|arg| simplifier.simplify(simplifier.coerce(arg, &schema)?))
        .collect::<datafusion::common::Result<Vec<_>>>()?;
    let provider = function.create_table_provider_with_args(TableFunctionArgs::new(&args, state))?;
    Ok(provider_as_source(provider))
}

/// A series of times as a query over the function of the same name that gives a list: DataFusion's table has
/// nanoseconds alone, and no zone of the session.
fn series(
    state: &SessionState,
    name: &str,
    args: &[Expr],
) -> datafusion::common::Result<Option<LogicalPlan>> {
    let empty = DFSchema::empty();
    let of_times = args.iter().any(|arg| {
        arg.get_type(&empty).is_ok_and(|kind| {
            matches!(
                kind,
                DataType::Timestamp(_, _) | DataType::Date32 | DataType::Interval(_)
            )
        })
    });
    let function = match name {
        "generate_series" | "range" if of_times => state.scalar_functions().get(name),
        _ => None,
    };
    let Some(function) = function else {
        return Ok(None);
    };
    let list = function.call(args.to_vec()).alias("value");
    let plan = LogicalPlanBuilder::empty(true)
        .project(vec![list])?
        .unnest_column_with_options("value", UnnestOptions::new().with_preserve_nulls(false))?
        .build()?;
    Ok(Some(plan))
}

/// A column of a plan by its place.
pub(super) fn column(plan: &LogicalPlan, index: usize) -> Expr {
    Expr::Column(Column::from(plan.schema().qualified_field(index)))
}
