//! `INSERT`: rows in the table's own columns, in their order and of their types.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use sqlparser::ast::{self, Query, SetExpr, Value, ValueWithSpan};
use std::sync::Arc;
use watershed_core::error::{Error, Position, Result, SqlState, nearest};
use watershed_storage::error::from_datafusion;
use watershed_storage::layout::{Column, ColumnType};
use watershed_storage::numbers::nearest_micros;

use super::names::Names;
use super::{Plan, PlanContext, generated, literals, parameters, query};
use crate::authorize::Need;
use crate::catalog::{Object, ObjectName, Privilege};
use crate::dialect::Insert;

pub(super) async fn plan(insert: Insert, context: &PlanContext<'_>) -> Result<Plan> {
    let name = insert.table.clone();
    let object = context.resolve(&name, context.current_schema)?;
    // At once, as errors tell what columns there are.
    context.note(Need::on(Privilege::Insert, &object));
    let refused = |what: &str, hint: &str| {
        Err(name
            .error(
                SqlState::WrongObjectType,
                format!("\"{name}\" is {what} and takes no rows"),
            )
            .with_hint(hint))
    };
    match object {
        Object::Table(table) => {
            let columns = table.layout.columns.clone();
            let input = input(insert, &columns, context).await?;
            Ok(Plan::Insert { table, input })
        }
        Object::Live(table) => {
            let input = input(insert, &table.written_columns(), context).await?;
            Ok(Plan::InsertLive { table, input })
        }
        Object::View(_) => refused("a view", "Insert into the tables that it reads."),
        Object::External(_) => refused(
            "an external table",
            "Its files are others'. Copy it into a managed table with CREATE TABLE … AS SELECT ….",
        ),
    }
}

async fn input(mut insert: Insert, columns: &[Column], context: &PlanContext<'_>) -> Result<LogicalPlan> {
    let given = given(&insert.table, &insert.columns, columns)?;
    let names = Names::load(&*insert.source, context.current_schema, context, &[]).await?;
    let mut assigned = Vec::new();
    let targets: Vec<&Column> = given.iter().filter_map(|index| columns.get(*index)).collect();
    if let SetExpr::Values(values) = insert.source.body.as_mut() {
        for row in &values.rows {
            if row.content.len() != targets.len() {
                return Err(count(row.content.len(), targets.len(), insert.columns.is_empty()));
            }
            if row.content.iter().any(is_default) {
                return Err(Error::unsupported("DEFAULT is not supported in INSERT")
                    .with_hint("Leave the column out of the list of columns, or write the value."));
            }
        }
        let types: Vec<&ColumnType> = targets.iter().map(|column| &column.data_type).collect();
        literals::arrays(&mut insert.source.body, &types)?;
        assigned = assigned_types(&insert.source, &targets);
    }
    let is_values = matches!(insert.source.body.as_ref(), SetExpr::Values(_));
    parameters::plan(&insert.source, &assigned, context, |source, planner| {
        if is_values {
            planner.set_table_schema(Some(values_schema(&targets)?));
        }
        let source = query::to_plan_with_any_names(source, &names, planner)?;
        let width = source.schema().fields().len();
        if width != targets.len() {
            return Err(count(width, targets.len(), insert.columns.is_empty()));
        }
        assign(source, &given, columns, &names, context)
    })
}

fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default"))
}

/// The place in the table of each column that is given a value: of all of them where none is named.
pub(super) fn given(
    table: &ObjectName,
    named: &[(String, Option<Position>)],
    columns: &[Column],
) -> Result<Vec<usize>> {
    if named.is_empty() {
        return Ok((0..columns.len()).collect());
    }
    let mut given = Vec::with_capacity(named.len());
    for (name, position) in named {
        let at = |error: Error| match position {
            Some(position) => error.with_position(*position),
            None => error,
        };
        let Some(index) = columns.iter().position(|column| column.name == *name) else {
            let error = at(Error::new(
                SqlState::UndefinedColumn,
                format!("column \"{name}\" of \"{table}\" does not exist"),
            ));
            let known = columns.iter().map(|column| column.name.as_str());
            return Err(match nearest(name, known) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            });
        };
        if given.contains(&index) {
            return Err(at(Error::new(
                SqlState::DuplicateColumn,
                format!("column \"{name}\" stands twice"),
            )));
        }
        given.push(index);
    }
    Ok(given)
}

fn count(given: usize, wanted: usize, whole: bool) -> Error {
    let what = if whole {
        "the table has"
    } else {
        "the statement names"
    };
    let error = Error::new(
        SqlState::SyntaxError,
        format!("{given} values are given, but {what} {wanted} columns"),
    );
    if whole {
        error.with_hint("Name the columns: INSERT INTO t (a, b) VALUES (…).")
    } else {
        error
    }
}

/// The types of the parameters in `VALUES` that go into columns as they are.
fn assigned_types(source: &Query, targets: &[&Column]) -> Vec<Option<FieldRef>> {
    match source.body.as_ref() {
        SetExpr::Values(values) => {
            let cells = values.rows.iter().flat_map(|row| row.content.iter().zip(targets));
            parameter_types(cells.map(|(value, target)| (value, *target)))
        }
        _ => Vec::new(),
    }
}

/// Lets `VALUES` be read as the table's columns: texts become what the column is.
fn values_schema(targets: &[&Column]) -> Result<DFSchemaRef> {
    let fields: Vec<_> = targets
        .iter()
        .map(|column| column.field().with_nullable(true))
        .collect();
    let schema =
        DFSchema::from_unqualified_fields(fields.into(), Default::default()).map_err(from_datafusion)?;
    Ok(Arc::new(schema))
}

/// The types of parameters that are given to columns as they are.
pub(super) fn parameter_types<'c>(
    cells: impl Iterator<Item = (&'c ast::Expr, &'c Column)>,
) -> Vec<Option<FieldRef>> {
    let mut types: Vec<Option<FieldRef>> = Vec::new();
    for (value, target) in cells {
        if let ast::Expr::Value(ValueWithSpan {
            value: Value::Placeholder(id),
            ..
        }) = value
            && let Ok(number @ 1..) = id.trim_start_matches('$').parse::<usize>()
        {
            if types.len() < number {
                types.resize(number, None);
            }
            let field = target
                .field()
                .with_nullable(true)
                .with_metadata(Default::default());
            types[number - 1].get_or_insert_with(|| Arc::new(field));
        }
    }
    types
}

/// Projects a query's columns to a table's: `given[i]` is the place of its i-th column.
pub(super) fn assign(
    source: LogicalPlan,
    given: &[usize],
    columns: &[Column],
    names: &Names<'_>,
    context: &PlanContext<'_>,
) -> Result<LogicalPlan> {
    let mut exprs = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let target = column.data_type.arrow();
        let expr = match given.iter().position(|place| *place == index) {
            Some(from) => value(&source, from, column)?,
            None if column.generated.is_none() && !column.nullable => {
                return Err(Error::new(
                    SqlState::NotNullViolation,
                    format!("column \"{}\" is NOT NULL and is given no value", column.name),
                ));
            }
            None => lit(ScalarValue::try_from(&target).map_err(from_datafusion)?),
        };
        exprs.push(expr.alias(&column.name));
    }
    // What is given is read in the session's zone; what is generated from it does not depend on that.
    let plan = query::temporal(project(source, exprs)?, context)?;
    if columns.iter().all(|column| column.generated.is_none()) {
        return Ok(plan);
    }
    let mut exprs = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let value = query::column(&plan, index);
        exprs.push(match generated::plan(column, plan.schema(), names)? {
            // A value that is given is kept; a NULL is no value.
            Some(expr) if given.contains(&index) => {
                datafusion::functions::expr_fn::coalesce(vec![value, expr]).alias(&column.name)
            }
            Some(expr) => expr.alias(&column.name),
            None => value,
        });
    }
    project(plan, exprs)
}

/// A column of a query as a value of a table's column.
pub(super) fn value(source: &LogicalPlan, from: usize, column: &Column) -> Result<Expr> {
    let value = query::column(source, from);
    let (from, target) = (source.schema().field(from).data_type(), column.data_type.arrow());
    check_assignable(from, column)?;
    if *from == target {
        return Ok(value);
    }
    let whole = match target {
        DataType::Timestamp(_, _) => nearest_micros(value.clone(), from),
        _ => None,
    };
    Ok(cast(whole.unwrap_or(value), target))
}

pub(super) fn project(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)
}

/// Refuses conversions that nobody means, and that a cast would make all the same.
fn check_assignable(from: &DataType, column: &Column) -> Result<()> {
    let text = matches!(from, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let number = from.is_numeric();
    let time = matches!(
        from,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _)
    );
    let fits = *from == DataType::Null
        || match &column.data_type {
            ColumnType::Boolean => *from == DataType::Boolean || text,
            ColumnType::TinyInt
            | ColumnType::SmallInt
            | ColumnType::Int
            | ColumnType::BigInt
            | ColumnType::Float
            | ColumnType::Double
            | ColumnType::Decimal { .. } => number || text,
            ColumnType::String => !from.is_nested(),
            ColumnType::Json => text || number || *from == DataType::Boolean,
            ColumnType::Binary => text || from.is_binary(),
            ColumnType::Date | ColumnType::Timestamp => time || text,
            ColumnType::Array(_) => matches!(
                from,
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _)
            ),
            ColumnType::Struct(_) => matches!(from, DataType::Struct(_)),
        };
    if fits {
        return Ok(());
    }
    let given = ColumnType::from_arrow(from).map_or_else(|| from.to_string(), |kind| kind.sql());
    Err(Error::new(
        SqlState::DatatypeMismatch,
        format!(
            "column \"{}\" is {}, but is given {given}",
            column.name,
            column.sql_type()
        ),
    )
    .with_hint("Convert the value with CAST."))
}
