//! `CREATE`, `DROP`, `ALTER`: definitions checked as far as the statement itself tells. What depends
//! on other objects the catalog checks when it is applied.

use std::collections::HashMap;

use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast::Query;
use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::layout::{
    Column, ColumnType, JSON_TYPE, SHARD_COLUMN, Sharding, TYPE_METADATA, TableLayout,
};

use super::names::Names;
use super::{Plan, PlanContext, generated, insert, parameters, query};
use crate::authorize::Need;
use crate::catalog::{
    ExternalDef, Meant, Object, ObjectName, Op, Privilege, Scope, ShardMapChoice, builtin_form, settle,
};
use crate::dialect::{CreateExternalTable, CreateTable, Statement};

pub(super) async fn create_table(table: CreateTable, context: &PlanContext<'_>) -> Result<Plan> {
    let names = Names::none(context);
    for column in &table.columns {
        generated::check(column, &table.columns, &names)?;
    }
    let columns = table.columns.clone();
    let layout = layout(&table, columns, context)?;
    Ok(Plan::Ddl(operation(table, layout, context)))
}

pub(super) async fn create_table_as(
    table: CreateTable,
    columns: Vec<String>,
    source: Box<Query>,
    context: &PlanContext<'_>,
) -> Result<Plan> {
    let schema = table.name.schema_or(context.current_schema).to_owned();
    context.check_schema(&schema, table.name.position)?;
    // An error about what is there is for those who may make something there.
    context.note(Need::Privilege(Privilege::Create, Scope::schema(&schema)));
    let names = Names::load(&*source, context.current_schema, context, &[]).await?;
    let plan = parameters::plan(&source, &[], context, |source, planner| {
        query::temporal(query::to_plan(source, &names, planner)?, context)
    })?;
    let plan = query::rename(plan, &columns)?;
    let columns = if table.columns.is_empty() {
        if let Some(name) = query::repeated_name(&plan) {
            return Err(Error::new(
                SqlState::DuplicateColumn,
                format!("column \"{name}\" stands twice in the query"),
            )
            .with_hint("Give one of them another name with AS."));
        }
        columns_of(&plan)?
    } else {
        for column in &table.columns {
            generated::check(column, &table.columns, &names)?;
        }
        table.columns.clone()
    };
    // Generated columns are computed, all others come from the query.
    let places: Vec<usize> = (0..columns.len())
        .filter(|place| columns[*place].generated.is_none())
        .collect();
    let width = plan.schema().fields().len();
    if width != places.len() {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!(
                "{} columns are declared, but the query gives {width}",
                places.len()
            ),
        ));
    }
    let layout = layout(&table, columns, context)?;
    let exists = context.catalog.object(&schema, &table.name.name).is_some() && !table.or_replace;
    if exists && !table.if_not_exists {
        return Err(table
            .name
            .error(
                SqlState::DuplicateTable,
                format!("\"{}\" exists already", table.name),
            )
            .with_hint("Write IF NOT EXISTS to go on, or drop it first."));
    }
    let input = insert::assign(plan, &places, &layout.columns, &names, context)?;
    let input = query::typed(input, context)?;
    let op = operation(table, layout.clone(), context);
    if exists {
        // Nothing is made: the catalog says so in a notice.
        return Ok(Plan::Ddl(op));
    }
    Ok(Plan::CreateTableAs { op, layout, input })
}

pub(super) fn operation(table: CreateTable, layout: TableLayout, context: &PlanContext<'_>) -> Op {
    let schema = table.name.schema_or(context.current_schema).to_owned();
    // The documented tables get their documented layout wherever they are made anew.
    let layout = match builtin_form(&schema, &table.name.name, &layout) {
        Some(def) if context.catalog.object(&schema, &table.name.name).is_none() => {
            TableLayout::clone(&def.layout)
        }
        Some(_) | None => layout,
    };
    Op::CreateTable {
        schema,
        name: table.name.name,
        layout,
        if_not_exists: table.if_not_exists,
        or_replace: table.or_replace,
        existing_unwritten: false,
    }
}

/// The columns of a table that a query fills.
pub(super) fn columns_of(plan: &LogicalPlan) -> Result<Vec<Column>> {
    plan.schema()
        .fields()
        .iter()
        .map(|field| {
            let json = field
                .metadata()
                .get(TYPE_METADATA)
                .is_some_and(|kind| kind == JSON_TYPE);
            let kind = match ColumnType::from_arrow(field.data_type()) {
                Some(ColumnType::String) if json => ColumnType::Json,
                Some(kind) => kind,
                None => {
                    return Err(Error::unsupported(format!(
                        "column \"{}\" is {}, which no table stores",
                        field.name(),
                        field.data_type()
                    ))
                    .with_hint("Convert it with CAST in the query."));
                }
            };
            Ok(Column::new(field.name(), kind))
        })
        .collect()
}

/// The layout a definition means.
pub(super) fn layout(
    table: &CreateTable,
    mut columns: Vec<Column>,
    context: &PlanContext<'_>,
) -> Result<TableLayout> {
    check_columns(&columns)?;
    check_case(&columns)?;
    let known = |what: &str, names: &[String]| -> Result<()> {
        let mut seen: Vec<&String> = Vec::new();
        for name in names {
            find(&columns, name, what)?;
            if seen.contains(&name) {
                return Err(Error::new(
                    SqlState::DuplicateColumn,
                    format!("column \"{name}\" stands twice in {what}"),
                ));
            }
            seen.push(name);
        }
        Ok(())
    };
    known("PRIMARY KEY", &table.primary_key)?;
    known("PARTITIONED BY", &table.partition_by)?;
    known("SORTED BY", &table.sort_by)?;
    check_kinds(table, &columns)?;
    if table.partition_by.len() == columns.len() {
        return Err(Error::new(
            SqlState::InvalidTableDefinition,
            "a table needs a column that is no partition",
        ));
    }
    for column in &mut columns {
        column.nullable &= !table.primary_key.contains(&column.name);
    }
    let mut layout = TableLayout {
        primary_key: table.primary_key.clone(),
        partition_by: table.partition_by.clone(),
        sharding: table.sharding.as_ref().map(|clustering| Sharding {
            key: clustering.key.clone(),
            shards: clustering.shards.unwrap_or(crate::catalog::DEFAULT_SHARDS),
        }),
        sort_by: table.sort_by.clone(),
        ..TableLayout::new(columns)
    };
    let choice = match &table.shard_map {
        Some(name) => ShardMapChoice::Named(name.clone()),
        None => ShardMapChoice::Default,
    };
    let shards = table.sharding.as_ref().and_then(|clustering| clustering.shards);
    settle(&mut layout, shards, &choice, &context.catalog)?;
    Ok(layout)
}

fn check_columns(columns: &[Column]) -> Result<()> {
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|other| other.name == column.name) {
            return Err(Error::new(
                SqlState::DuplicateColumn,
                format!("column \"{}\" stands twice", column.name),
            ));
        }
        if column.name == SHARD_COLUMN || column.name.is_empty() {
            return Err(Error::new(
                SqlState::InvalidTableDefinition,
                format!("a column cannot be named \"{}\"", column.name),
            ));
        }
    }
    Ok(())
}

/// Tables are stored in Delta's form, whose names of columns differ by more than case.
fn check_case(columns: &[Column]) -> Result<()> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for Column { name, .. } in columns {
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            let message = format!("columns \"{other}\" and \"{name}\" differ by case alone");
            let error = Error::new(SqlState::DuplicateColumn, message);
            return Err(error.with_hint("Names of stored columns differ by more than case."));
        }
    }
    Ok(())
}

/// What may be a key, a partition, a shard key.
fn check_kinds(table: &CreateTable, columns: &[Column]) -> Result<()> {
    let refuse = |name: &str, what: &str, hint: &str| {
        Err(Error::new(
            SqlState::InvalidTableDefinition,
            format!("column \"{name}\" cannot be {what}"),
        )
        .with_hint(hint))
    };
    for name in table.primary_key.iter().chain(&table.sort_by) {
        let kind = &find(columns, name, "the key")?.data_type;
        if matches!(
            kind,
            ColumnType::Json | ColumnType::Array(_) | ColumnType::Struct(_)
        ) {
            return refuse(name, "a key", "Keys are numbers, texts, dates or timestamps.");
        }
    }
    for name in &table.partition_by {
        let kind = &find(columns, name, "PARTITIONED BY")?.data_type;
        let fits = matches!(
            kind,
            ColumnType::Boolean
                | ColumnType::TinyInt
                | ColumnType::SmallInt
                | ColumnType::Int
                | ColumnType::BigInt
                | ColumnType::String
                | ColumnType::Date
        );
        if !fits {
            return refuse(
                name,
                "a partition",
                "Partitions are of whole numbers, texts, dates or booleans.",
            );
        }
    }
    if let Some(clustering) = &table.sharding {
        let kind = &find(columns, &clustering.key, "CLUSTERED BY")?.data_type;
        let fits = matches!(
            kind,
            ColumnType::TinyInt
                | ColumnType::SmallInt
                | ColumnType::Int
                | ColumnType::BigInt
                | ColumnType::String
                | ColumnType::Date
                | ColumnType::Timestamp
        );
        if !fits {
            return refuse(
                &clustering.key,
                "a shard key",
                "A shard key is a whole number, a text, a date or a timestamp.",
            );
        }
        if table.partition_by.contains(&clustering.key) {
            return refuse(
                &clustering.key,
                "a partition and the shard key",
                "Choose another column for one of them.",
            );
        }
    }
    Ok(())
}

fn find<'c>(columns: &'c [Column], name: &str, what: &str) -> Result<&'c Column> {
    columns.iter().find(|column| column.name == name).ok_or_else(|| {
        let error = Error::new(
            SqlState::UndefinedColumn,
            format!("column \"{name}\" in {what} does not exist"),
        );
        match nearest(name, columns.iter().map(|column| column.name.as_str())) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error,
        }
    })
}

pub(super) fn create_external(mut table: CreateExternalTable, context: &PlanContext<'_>) -> Result<Plan> {
    check_columns(&table.columns)?;
    // Nobody checks the values in others' files.
    for column in &mut table.columns {
        column.limit = None;
    }
    if !table.columns.is_empty() {
        for name in &table.partition_by {
            find(&table.columns, name, "PARTITIONED BY")?;
        }
    }
    if table.location.trim().is_empty() {
        return Err(Error::new(SqlState::InvalidParameterValue, "LOCATION is empty"));
    }
    Ok(Plan::Ddl(Op::CreateExternal {
        def: ExternalDef {
            schema: table.name.schema_or(context.current_schema).to_owned(),
            name: table.name.name,
            format: table.format,
            location: table.location,
            columns: table.columns,
            partition_by: table.partition_by,
            options: table.options,
        },
        if_not_exists: table.if_not_exists,
        or_replace: table.or_replace,
    }))
}

/// Statements that say all there is to say.
pub(super) fn simple(statement: Statement, context: &PlanContext<'_>) -> Result<Plan> {
    let schema = context.current_schema.to_owned();
    let meant = |name: &ObjectName| {
        let object = context.catalog.find(name, context.current_schema);
        Meant::Object(object.map(Object::identity))
    };
    // Errors of the operation itself know nothing of who reads them.
    if let Statement::DropTable {
        name,
        if_exists: false,
    }
    | Statement::DropView {
        name,
        if_exists: false,
    }
    | Statement::AlterTable {
        name,
        if_exists: false,
        ..
    } = &statement
    {
        context.resolve(name, context.current_schema)?;
    }
    Ok(Plan::Ddl(match statement {
        Statement::CreateSchema { name, if_not_exists } => Op::CreateSchema { name, if_not_exists },
        Statement::DropSchema {
            name,
            if_exists,
            cascade,
        } => Op::DropSchema {
            name,
            if_exists,
            cascade,
        },
        Statement::DropTable { name, if_exists } => Op::DropTable {
            schema,
            meant: meant(&name),
            name,
            if_exists,
        },
        Statement::DropView { name, if_exists } => Op::DropView {
            schema,
            meant: meant(&name),
            name,
            if_exists,
        },
        Statement::AlterTable {
            name,
            if_exists,
            alteration,
        } => Op::AlterTable {
            schema,
            meant: meant(&name),
            name,
            if_exists,
            alteration,
        },
        other => {
            return Err(Error::internal(format!("no change of the catalog: {other:?}")));
        }
    }))
}
