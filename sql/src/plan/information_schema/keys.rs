//! `information_schema.table_constraints` and `key_column_usage`: primary keys, the only constraints with a
//! name. They are declared and not enforced.

use crate::catalog::{CATALOG_NAME, Object};
use crate::plan::PlanContext;
use crate::plan::rows::Cell;

pub(super) const CONSTRAINT_NAMES: [&str; 10] = [
    "constraint_catalog",
    "constraint_schema",
    "constraint_name",
    "table_catalog",
    "table_schema",
    "table_name",
    "constraint_type",
    "is_deferrable",
    "initially_deferred",
    "enforced",
];

pub(super) const COLUMN_NAMES: [&str; 9] = [
    "constraint_catalog",
    "constraint_schema",
    "constraint_name",
    "table_catalog",
    "table_schema",
    "table_name",
    "column_name",
    "ordinal_position",
    "position_in_unique_constraint",
];

pub(super) const REFERENCE_NAMES: [&str; 9] = [
    "constraint_catalog",
    "constraint_schema",
    "constraint_name",
    "unique_constraint_catalog",
    "unique_constraint_schema",
    "unique_constraint_name",
    "match_option",
    "update_rule",
    "delete_rule",
];

pub(super) fn constraint_rows(context: &PlanContext<'_>) -> Vec<Vec<Cell>> {
    keyed(context)
        .map(|object| {
            let mut row = constraint(object);
            row.extend(["PRIMARY KEY", "NO", "NO", "NO"].map(Cell::from));
            row
        })
        .collect()
}

pub(super) fn column_rows(context: &PlanContext<'_>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for object in keyed(context) {
        for (index, column) in object.primary_key().iter().enumerate() {
            let mut row = constraint(object);
            row.extend([
                column.as_str().into(),
                Cell::Number(i64::try_from(index + 1).unwrap_or(i64::MAX)),
                None.into(),
            ]);
            rows.push(row);
        }
    }
    rows
}

fn keyed<'c>(context: &'c PlanContext<'_>) -> impl Iterator<Item = &'c Object> {
    context
        .catalog
        .all_objects()
        .filter(|object| context.access.sees(object) && !object.primary_key().is_empty())
}

/// The constraint's name as PostgreSQL makes it, and the table's.
fn constraint(object: &Object) -> Vec<Cell> {
    vec![
        CATALOG_NAME.into(),
        object.schema().into(),
        format!("{}_pkey", object.name()).into(),
        CATALOG_NAME.into(),
        object.schema().into(),
        object.name().into(),
    ]
}
