//! Bulk ingest: rows that come as a stream and not as a query, planned as `INSERT` and
//! `CREATE TABLE … AS` are.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::error::from_datafusion;
use watershed_storage::layout::Column;

use super::names::Names;
use super::{Plan, PlanContext, ddl, insert, query};
use crate::authorize::Need;
use crate::catalog::{Object, ObjectName, Privilege, Scope};
use crate::dialect::CreateTable;

/// What to do with the table that rows are ingested into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestMode {
    /// It must not be there.
    Create,
    /// It must be there.
    Append,
    /// It is there or not.
    CreateOrAppend,
    /// Whatever is there is replaced.
    Replace,
}

/// Where ingested rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    pub table: ObjectName,
    pub mode: IngestMode,
}

/// Plans the way of `rows` into their table. Columns are found by name.
pub fn ingest(ingest: &Ingest, rows: Arc<dyn TableProvider>, context: &PlanContext<'_>) -> Result<Plan> {
    let rows = provider_as_source(rows);
    context.scans.open_to_all(&rows);
    let source = LogicalPlanBuilder::scan("rows", rows, None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    let name = &ingest.table;
    let there = context.catalog.find(name, context.current_schema);
    // The error of an existing table is for users with CREATE, and a hidden table gives the error of an absent one.
    let appends = match (ingest.mode, &there) {
        (IngestMode::Append, _) => true,
        (IngestMode::CreateOrAppend, Some(there)) => context.access.sees(there),
        _ => false,
    };
    if !appends {
        let schema = name.schema_or(context.current_schema);
        context.check_schema(schema, name.position)?;
        context.note(Need::Privilege(Privilege::Create, Scope::schema(schema)));
    }
    match (ingest.mode, there) {
        (IngestMode::Append, _) | (IngestMode::CreateOrAppend, Some(_)) => {
            append(&ingest.table, source, context)
        }
        (IngestMode::Create, Some(there)) if is_named(there, &ingest.table, context) => Err(ingest
            .table
            .error(
                SqlState::DuplicateTable,
                format!("\"{}\" exists already", ingest.table),
            )
            .with_hint("Append to it, or replace it.")),
        (IngestMode::Create | IngestMode::CreateOrAppend | IngestMode::Replace, _) => {
            create(ingest, source, context)
        }
    }
}

/// Whether it is in the very schema that a new object of the name would be in.
fn is_named(there: &Object, name: &ObjectName, context: &PlanContext<'_>) -> bool {
    there.schema() == name.schema_or(context.current_schema)
}

fn append(name: &ObjectName, source: LogicalPlan, context: &PlanContext<'_>) -> Result<Plan> {
    let object = context.resolve(name, context.current_schema)?;
    // At once, as errors tell what columns there are.
    context.note(Need::on(Privilege::Insert, &object));
    match object {
        Object::Table(table) => {
            let input = assigned(source, name, &table.layout.columns, context)?;
            Ok(Plan::Insert { table, input })
        }
        Object::Live(table) => {
            let input = assigned(source, name, &table.written_columns(), context)?;
            Ok(Plan::InsertLive { table, input })
        }
        other @ (Object::View(_) | Object::External(_)) => Err(name.error(
            SqlState::WrongObjectType,
            format!("\"{name}\" is {} and takes no rows", other.kind().described()),
        )),
    }
}

fn create(ingest: &Ingest, source: LogicalPlan, context: &PlanContext<'_>) -> Result<Plan> {
    let name = &ingest.table;
    context.check_schema(name.schema_or(context.current_schema), name.position)?;
    let table = CreateTable {
        name: name.clone(),
        if_not_exists: false,
        or_replace: ingest.mode == IngestMode::Replace,
        columns: Vec::new(),
        primary_key: Vec::new(),
        partition_by: Vec::new(),
        sharding: None,
        sort_by: Vec::new(),
        shard_map: None,
    };
    let columns = ddl::columns_of(&source)?;
    let layout = ddl::layout(&table, columns, context)?;
    let input = assigned(source, name, &layout.columns, context)?;
    let op = ddl::operation(table, layout.clone(), context);
    Ok(Plan::CreateTableAs { op, layout, input })
}

/// The rows in the table's own columns.
fn assigned(
    source: LogicalPlan,
    table: &ObjectName,
    columns: &[Column],
    context: &PlanContext<'_>,
) -> Result<LogicalPlan> {
    let given = places(&source, table, columns)?;
    let input = insert::assign(source, &given, columns, &Names::none(context), context)?;
    query::typed(input, context)
}

/// The place in the table of each column of the rows: that of its name, or else of the one name that
/// differs by case alone.
fn places(source: &LogicalPlan, table: &ObjectName, columns: &[Column]) -> Result<Vec<usize>> {
    let mut places = Vec::with_capacity(columns.len());
    for field in source.schema().fields() {
        let name = field.name();
        let exact = columns.iter().position(|column| column.name == *name);
        let place = exact.or_else(|| {
            let lower = name.to_lowercase();
            let alike = |column: &Column| column.name.to_lowercase() == lower;
            let mut found = columns.iter().enumerate().filter(|(_, column)| alike(column));
            let (place, _) = found.next()?;
            found.next().is_none().then_some(place)
        });
        let Some(place) = place else {
            let error = Error::new(
                SqlState::UndefinedColumn,
                format!("column \"{name}\" of \"{table}\" does not exist"),
            );
            let known = columns.iter().map(|column| column.name.as_str());
            return Err(match nearest(name, known) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            });
        };
        if places.contains(&place) {
            return Err(Error::new(
                SqlState::DuplicateColumn,
                format!("column \"{name}\" is given twice"),
            ));
        }
        places.push(place);
    }
    Ok(places)
}
