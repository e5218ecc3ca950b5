//! `DESCRIBE` of a query, and `SUMMARIZE`: what is in each column of a result.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::execution::FunctionRegistry;
use datafusion::functions::core::expr_fn::{get_field, nullif};
use datafusion::functions::core::named_struct;
use datafusion::functions_aggregate::expr_fn::{approx_percentile_cont, avg, count, max, min, stddev};
use datafusion::functions_nested::make_array::make_array;
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::Query;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::error::from_datafusion;

use super::names::Names;
use super::{Plan, PlanContext, parameters, query as queries, show};

pub(super) async fn query(query: &Query, context: &PlanContext<'_>) -> Result<Plan> {
    let (_, typed) = planned(query, context).await?;
    let plan = show::columns(typed.schema().as_arrow())?;
    Ok(Plan::Query(queries::finish(plan, context)?))
}

/// The plan of a query before and after it was typed.
async fn planned(query: &Query, context: &PlanContext<'_>) -> Result<(LogicalPlan, LogicalPlan)> {
    if parameters::any(query) {
        return Err(Error::unsupported("DESCRIBE and SUMMARIZE take no parameters"));
    }
    let names = Names::load(query, context.current_schema, context, &[]).await?;
    let mut planner = datafusion::sql::planner::PlannerContext::new();
    let plan = queries::to_plan_with_any_names(query, &names, &mut planner)?;
    let typed = queries::finish(plan.clone(), context)?;
    Ok((plan, typed))
}

/// The columns of the summary that are texts about a column's values.
const FIGURES: [&str; 7] = ["min", "max", "avg", "std", "q25", "q50", "q75"];

/// Columns whose figures one scan computes. The time to plan grows with the square of their number.
const AT_ONCE: usize = 16;

/// The most columns of a summary.
const COLUMNS_MAX: usize = 500;

/// A row per column: the figures of some columns are one row, whose parts are then made rows.
pub(super) async fn summarize(query: &Query, context: &PlanContext<'_>) -> Result<Plan> {
    let (plan, typed) = planned(query, context).await?;
    let width = typed.schema().fields().len();
    if width > COLUMNS_MAX {
        let error = Error::new(
            SqlState::StatementTooComplex,
            format!("SUMMARIZE takes at most {COLUMNS_MAX} columns, and these are {width}"),
        );
        return Err(error.with_hint("Name the columns: SUMMARIZE SELECT a, b FROM …"));
    }
    let distinct = context.state.udaf("approx_distinct").map_err(from_datafusion)?;
    let indexes: Vec<usize> = (0..width).collect();
    let mut parts = indexes
        .chunks(AT_ONCE)
        .map(|some| figures_of(&plan, &typed, some, &distinct));
    let mut all = match parts.next() {
        Some(first) => LogicalPlanBuilder::from(first?),
        None => {
            return Err(Error::new(
                SqlState::SyntaxError,
                "there are no columns to summarize",
            ));
        }
    };
    for part in parts {
        all = part.and_then(|part| all.union(part).map_err(from_datafusion))?;
    }
    let column = |name: &str| Expr::Column(Column::new_unqualified(name));
    let summary = all
        .sort(vec![column(PLACE).sort(true, false)])
        .and_then(|builder| builder.project(COLUMNS.map(column)))
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    Ok(Plan::Query(queries::finish(summary, context)?))
}

/// The columns of a summary.
const COLUMNS: [&str; 12] = [
    "column_name",
    "column_type",
    "min",
    "max",
    "approx_unique",
    "avg",
    "std",
    "q25",
    "q50",
    "q75",
    "count",
    "null_percentage",
];

/// Orders the rows of a summary.
const PLACE: &str = "__place";

/// A row for each of these columns.
fn figures_of(
    plan: &LogicalPlan,
    typed: &LogicalPlan,
    indexes: &[usize],
    distinct: &AggregateUDF,
) -> Result<LogicalPlan> {
    let mut aggregates = vec![count(lit(1)).alias("rows")];
    let mut structs = Vec::new();
    let fields = typed.schema().fields();
    for (index, field) in indexes
        .iter()
        .filter_map(|index| Some((*index, fields.get(*index)?)))
    {
        let column = queries::column(plan, index);
        let data_type = field.data_type();
        for (figure, expr) in FIGURES.iter().zip(figures(&column, data_type)) {
            if let Some(expr) = expr {
                aggregates.push(expr.alias(named(figure, index)));
            }
        }
        if !data_type.is_nested() {
            let distinct = distinct.call(vec![cast(column.clone(), DataType::Utf8)]);
            aggregates.push(distinct.alias(named("distinct", index)));
        }
        aggregates.push(count(column).alias(named("count", index)));
        let known = |name: &str| {
            let name = named(name, index);
            aggregates
                .iter()
                .any(|aggregate| matches!(aggregate, Expr::Alias(alias) if alias.name == name))
                .then(|| Expr::Column(Column::new_unqualified(name)))
        };
        structs.push(described(index, field.name(), &show::type_of(field), known));
    }
    let parts = COLUMNS.into_iter().chain([PLACE]).map(|name| {
        let row = Expr::Column(Column::new_unqualified("row"));
        get_field(row, name).alias(name)
    });
    LogicalPlanBuilder::from(plan.clone())
        .aggregate(Vec::<Expr>::new(), aggregates)
        .and_then(|builder| builder.project(vec![make_array(structs).alias("row")]))
        .and_then(|builder| builder.unnest_column("row"))
        .and_then(|builder| builder.project(parts))
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)
}

fn named(figure: &str, index: usize) -> String {
    format!("{figure} {index}")
}

/// The aggregates of [`FIGURES`] that a column of the type has.
fn figures(column: &Expr, data_type: &DataType) -> [Option<Expr>; 7] {
    let ordered = !data_type.is_nested() && *data_type != DataType::Null && !data_type.is_binary();
    let number = || cast(column.clone(), DataType::Float64);
    let numeric = data_type.is_numeric();
    let quantile =
        |part: f64| numeric.then(|| approx_percentile_cont(number().sort(true, false), lit(part), None));
    [
        ordered.then(|| min(column.clone())),
        ordered.then(|| max(column.clone())),
        numeric.then(|| avg(number())),
        numeric.then(|| stddev(number())),
        quantile(0.25),
        quantile(0.5),
        quantile(0.75),
    ]
}

/// The summary of a column as a struct of its figures.
fn described(index: usize, name: &str, data_type: &str, known: impl Fn(&str) -> Option<Expr>) -> Expr {
    let none = || lit(ScalarValue::Utf8(None));
    let place = i64::try_from(index).unwrap_or(i64::MAX);
    let mut parts = vec![
        lit(PLACE),
        lit(place),
        lit("column_name"),
        lit(name),
        lit("column_type"),
        lit(data_type),
        lit("approx_unique"),
        cast(
            known("distinct").unwrap_or_else(|| lit(ScalarValue::Int64(None))),
            DataType::Int64,
        ),
    ];
    for figure in FIGURES {
        let value = known(figure).map_or_else(none, |value| cast(value, DataType::Utf8));
        parts.extend([lit(figure), value]);
    }
    let rows = || Expr::Column(Column::new_unqualified("rows"));
    let values = known("count").unwrap_or_else(|| lit(0_i64));
    let missing = cast(rows() - values, DataType::Float64) * lit(100.0);
    let share = missing / nullif(cast(rows(), DataType::Float64), lit(0.0));
    parts.extend([
        lit("count"),
        rows(),
        lit("null_percentage"),
        cast(share, DataType::Decimal128(9, 2)),
    ]);
    named_struct().call(parts)
}
