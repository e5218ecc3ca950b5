//! `information_schema`: the catalog as tables.

mod columns;
mod keys;

use datafusion::catalog::TableProvider;
use std::sync::Arc;
use watershed_core::error::{Result, SqlState, nearest};

use super::names::Expanding;
use super::rows::{self, Cell};
use super::show::yes_no;
use super::{PlanContext, routines, views};
use crate::catalog::{CATALOG_NAME, INFORMATION_SCHEMA, Object, ObjectKind, ObjectName};

/// Its tables, each with its columns.
const TABLES: [(&str, &[&str]); 8] = [
    ("columns", &columns::NAMES),
    ("key_column_usage", &keys::COLUMN_NAMES),
    ("referential_constraints", &keys::REFERENCE_NAMES),
    (
        "routines",
        &[
            "specific_catalog",
            "specific_schema",
            "specific_name",
            "routine_catalog",
            "routine_schema",
            "routine_name",
            "routine_type",
            "function_type",
        ],
    ),
    (
        "schemata",
        &[
            "catalog_name",
            "schema_name",
            "schema_owner",
            "default_character_set_catalog",
            "default_character_set_schema",
            "default_character_set_name",
            "sql_path",
        ],
    ),
    ("table_constraints", &keys::CONSTRAINT_NAMES),
    (
        "tables",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "table_type",
            "comment",
            "is_insertable_into",
            "is_typed",
            "commit_action",
        ],
    ),
    (
        "views",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "view_definition",
            "check_option",
            "is_updatable",
            "is_insertable_into",
        ],
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
        _ if context.scans.is_of_schema() => Vec::new(),
        "columns" => columns::rows(context, expanding).await?,
        "key_column_usage" => keys::column_rows(context),
        "referential_constraints" => Vec::new(),
        "routines" => routine_rows(context),
        "schemata" => schema_rows(context),
        "table_constraints" => keys::constraint_rows(context),
        "tables" => table_rows(context),
        _ => view_rows(context, expanding).await,
    };
    rows::provider(columns, &rows)
}

fn schema_rows(context: &PlanContext<'_>) -> Vec<Vec<Cell>> {
    let schemas = context.catalog.schemas().into_iter();
    let seen = schemas.filter(|schema| context.access.sees_schema(schema));
    seen.map(|schema| {
        vec![
            CATALOG_NAME.into(),
            schema.into(),
            None.into(),
            None.into(),
            None.into(),
            "UTF8".into(),
            None.into(),
        ]
    })
    .collect()
}

/// Functions are in no schema of their own, and found in all.
fn routine_rows(context: &PlanContext<'_>) -> Vec<Vec<Cell>> {
    let routines = routines::all(context).into_iter();
    let rows = routines.map(|(name, kind)| {
        let mut row: Vec<Cell> = Vec::new();
        for _ in 0..2 {
            row.extend([
                CATALOG_NAME.into(),
                INFORMATION_SCHEMA.into(),
                name.as_str().into(),
            ]);
        }
        row.extend(["FUNCTION".into(), kind.into()]);
        row
    });
    rows.collect()
}

fn table_rows(context: &PlanContext<'_>) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for schema in context.catalog.schemas() {
        for (name, kind) in tables_of(schema, context) {
            let object = context.catalog.object(schema, name);
            let comment = match object {
                Some(Object::Live(def)) => Some(def.comment.to_owned()),
                _ => None,
            };
            let takes_rows = matches!(object, Some(Object::Table(_)));
            rows.push(vec![
                CATALOG_NAME.into(),
                schema.into(),
                name.into(),
                kind.into(),
                comment.into(),
                yes_no(takes_rows).into(),
                "NO".into(),
                None.into(),
            ]);
        }
    }
    rows
}

async fn view_rows(context: &PlanContext<'_>, expanding: Expanding<'_>) -> Vec<Vec<Cell>> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for object in context.catalog.all_objects() {
        let Object::View(def) = object else { continue };
        if !context.access.sees(object) {
            continue;
        }
        let text = views::shows_text(def, context, expanding)
            .await
            .then(|| def.sql.clone());
        rows.push(vec![
            CATALOG_NAME.into(),
            def.schema.as_str().into(),
            def.name.as_str().into(),
            text.into(),
            "NONE".into(),
            "NO".into(),
            "NO".into(),
        ]);
    }
    rows
}
