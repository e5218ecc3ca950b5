//! `information_schema`: the catalog as tables.

use datafusion::catalog::TableProvider;
use std::sync::Arc;
use watershed_core::error::{Result, SqlState, nearest};

use super::names::Expanding;
use super::rows::{self, Cell};
use super::show::{type_name, yes_no};
use super::{PlanContext, query};
use crate::catalog::{CATALOG_NAME, INFORMATION_SCHEMA, Object, ObjectKind, ObjectName};

/// Its tables, each with its columns.
const TABLES: [(&str, &[&str]); 4] = [
    (
        "columns",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "column_default",
            "is_nullable",
            "data_type",
            "is_generated",
            "generation_expression",
            "comment",
        ],
    ),
    ("schemata", &["catalog_name", "schema_name"]),
    (
        "tables",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "table_type",
            "comment",
        ],
    ),
    (
        "views",
        &["table_catalog", "table_schema", "table_name", "view_definition"],
    ),
];

/// The names and kinds of what is in a schema, in order.
pub(super) fn tables_of<'c>(schema: &'c str, context: &'c PlanContext<'_>) -> Vec<(&'c str, &'static str)> {
    if schema == INFORMATION_SCHEMA {
        return TABLES.iter().map(|(name, _)| (*name, "VIEW")).collect();
    }
    context
        .catalog
        .objects(schema)
        .filter(|object| context.access.sees(object))
        .map(|object| (object.name(), table_type(object.kind())))
        .collect()
}

fn table_type(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Table => "BASE TABLE",
        ObjectKind::External => "EXTERNAL TABLE",
        ObjectKind::View => "VIEW",
        ObjectKind::Control => "CONTROL TABLE",
        ObjectKind::Live => "LIVE TABLE",
    }
}

/// The rows of one of its tables.
pub(super) async fn provider(
    name: &ObjectName,
    context: &PlanContext<'_>,
    expanding: Expanding<'_>,
) -> Result<Arc<dyn TableProvider>> {
    let Some((_, columns)) = TABLES.iter().find(|(table, _)| *table == name.name) else {
        let error = name.error(
            SqlState::UndefinedTable,
            format!("table or view \"{name}\" does not exist"),
        );
        let known = TABLES.iter().map(|(table, _)| *table);
        return Err(match nearest(&name.name, known) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error,
        });
    };
    let rows = match name.name.as_str() {
        "columns" => column_rows(context, expanding).await?,
        "schemata" => context
            .catalog
            .schemas()
            .into_iter()
            .filter(|schema| context.access.sees_schema(schema))
            .map(|schema| vec![CATALOG_NAME.into(), schema.into()])
            .collect(),
        "tables" => table_rows(context),
        _ => view_rows(context),
    };
    rows::provider(columns, &rows)
}

fn table_rows(context: &PlanContext<'_>) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for schema in context.catalog.schemas() {
        for (name, kind) in tables_of(schema, context) {
            let comment = match context.catalog.object(schema, name) {
                Some(Object::Live(def)) => Some(def.comment.to_owned()),
                _ => None,
            };
            rows.push(vec![
                CATALOG_NAME.into(),
                schema.into(),
                name.into(),
                kind.into(),
                comment.into(),
            ]);
        }
    }
    rows
}

fn view_rows(context: &PlanContext<'_>) -> Vec<Vec<Cell>> {
    context
        .catalog
        .all_objects()
        .filter(|object| context.access.sees(object))
        .filter_map(|object| match object {
            Object::View(def) => Some(vec![
                CATALOG_NAME.into(),
                def.schema.as_str().into(),
                def.name.as_str().into(),
                def.sql.as_str().into(),
            ]),
            Object::Table(_) | Object::External(_) | Object::Live(_) => None,
        })
        .collect()
}

async fn column_rows(context: &PlanContext<'_>, expanding: Expanding<'_>) -> Result<Vec<Vec<Cell>>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let seen = |object: &&Object| context.access.sees(object);
    for object in context.catalog.all_objects().filter(seen) {
        let place = |index: usize| Cell::Number(i64::try_from(index + 1).unwrap_or(i64::MAX));
        let declared = object.columns();
        for (index, column) in declared.iter().enumerate() {
            let generated = column.generated.is_some();
            rows.push(vec![
                CATALOG_NAME.into(),
                object.schema().into(),
                object.name().into(),
                column.name.as_str().into(),
                place(index),
                None.into(),
                yes_no(column.nullable).into(),
                column.data_type.sql().into(),
                if generated { "ALWAYS" } else { "NEVER" }.into(),
                column.generated.clone().into(),
                column.comment.clone().into(),
            ]);
        }
        if !declared.is_empty() {
            continue;
        }
        // A view whose tables are gone, or files that cannot be read, have no columns to show; that
        // is no reason to refuse those of all others.
        let Ok(schema) = query::schema_of(object, context, expanding).await else {
            continue;
        };
        for (index, field) in schema.fields().iter().enumerate() {
            rows.push(vec![
                CATALOG_NAME.into(),
                object.schema().into(),
                object.name().into(),
                field.name().as_str().into(),
                place(index),
                None.into(),
                yes_no(field.is_nullable()).into(),
                type_name(field.data_type()).into(),
                "NEVER".into(),
                None.into(),
                None.into(),
            ]);
        }
    }
    Ok(rows)
}
