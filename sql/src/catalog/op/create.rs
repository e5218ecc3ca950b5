//! The rules of `CREATE`.

use std::sync::Arc;

use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::layout::TableLayout;

use super::{Decision, check_open};
use crate::catalog::compare::{live_difference, same_view, table_difference};
use crate::catalog::model::{Catalog, TEMPORARY_SCHEMA};
use crate::catalog::object::{ExternalDef, Object, TableDef, ViewDef};
use crate::catalog::record::Change;
use crate::catalog::{builtin, shard_map};

pub(super) fn schema(catalog: &Catalog, name: &str, if_not_exists: bool) -> Result<Decision> {
    if !catalog.has_schema(name) {
        return Ok(Decision::changes(vec![Change::SchemaCreated {
            name: name.to_owned(),
        }]));
    }
    let message = format!("schema \"{name}\" exists already");
    if if_not_exists {
        return Ok(Decision::nothing(message));
    }
    Err(Error::new(SqlState::DuplicateSchema, message).with_hint("Write IF NOT EXISTS to go on."))
}

/// What is done about an object that has the name already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Existing {
    /// `IF NOT EXISTS`.
    pub(super) keep: bool,
    /// `OR REPLACE`.
    pub(super) replace: bool,
    /// It was never written, so that a built-in table may be given another shape.
    pub(super) unwritten: bool,
}

pub(super) fn table(
    catalog: &Catalog,
    (schema, name): (&str, &str),
    layout: &TableLayout,
    existing: Existing,
) -> Result<Decision> {
    check_open(catalog, schema)?;
    let created = |catalog: &Catalog| -> Result<Change> {
        let def = builtin_form(schema, name, layout).unwrap_or_else(|| TableDef {
            schema: schema.to_owned(),
            name: name.to_owned(),
            layout: Arc::new(layout.clone()),
            builtin: false,
        });
        shard_map::check(&def.layout, catalog)?;
        Ok(Change::TableCreated(def))
    };
    let Some(there) = catalog.object(schema, name) else {
        return Ok(Decision::changes(vec![created(catalog)?]));
    };
    let replaced = |catalog: &Catalog| -> Result<Decision> {
        let gone = Change::ObjectDropped {
            schema: schema.to_owned(),
            name: name.to_owned(),
        };
        // The new one is checked against a catalog without the old one.
        let without = catalog.with(std::slice::from_ref(&gone));
        Ok(Decision::changes(vec![gone, created(&without)?]))
    };
    if existing.replace && matches!(there, Object::Table(_) | Object::External(_)) {
        return replaced(catalog);
    }
    let difference = match there {
        Object::Table(def) if def.builtin => table_difference(&def.layout, layout),
        Object::Live(def) => live_difference(def, layout),
        Object::Table(_) | Object::External(_) | Object::View(_) => {
            return exists(there, existing.keep);
        }
    };
    let Some(difference) = difference else {
        return Ok(Decision::nothing(format!(
            "table \"{name}\" is built in and is as the statement says"
        )));
    };
    if existing.keep {
        return exists(there, true);
    }
    if existing.unwritten && matches!(there, Object::Table(_)) {
        return replaced(catalog);
    }
    let error = Error::new(
        SqlState::DuplicateTable,
        format!("table \"{name}\" is built in and differs from the statement"),
    )
    .with_detail(format!("In the system {difference}."));
    Err(match there {
        Object::Table(_) => error.with_hint(format!("Run DROP TABLE {name} first; its rows go with it.")),
        Object::Live(_) | Object::External(_) | Object::View(_) => {
            error.with_hint("Control tables keep their shape. Give the table another name or schema.")
        }
    })
}

/// A documented table in its documented form gets the documented layout, under the new identity.
pub(crate) fn builtin_form(schema: &str, name: &str, layout: &TableLayout) -> Option<TableDef> {
    let def = builtin::data_table(schema, name, layout.id)?;
    table_difference(&def.layout, layout).is_none().then_some(def)
}

pub(super) fn external(
    catalog: &Catalog,
    def: &ExternalDef,
    if_not_exists: bool,
    or_replace: bool,
) -> Result<Decision> {
    check_open(catalog, &def.schema)?;
    if def.schema == TEMPORARY_SCHEMA {
        return Err(Error::unsupported("an external table cannot be temporary").with_hint(
            "Create it in another schema, or a temporary view of its files: CREATE TEMPORARY VIEW … AS SELECT … FROM read_parquet(…).",
        ));
    }
    match catalog.object(&def.schema, &def.name) {
        None => {}
        Some(Object::External(_)) if or_replace => {}
        Some(there) => return exists(there, if_not_exists),
    }
    Ok(Decision::changes(vec![Change::ExternalCreated(def.clone())]))
}

pub(super) fn view(
    catalog: &Catalog,
    def: &ViewDef,
    if_not_exists: bool,
    or_replace: bool,
) -> Result<Decision> {
    check_open(catalog, &def.schema)?;
    match catalog.object(&def.schema, &def.name) {
        None => {}
        Some(Object::View(there)) if there.builtin && same_view(there, def) => {
            return Ok(Decision::nothing(format!(
                "view \"{}\" is built in and is as the statement says",
                def.name
            )));
        }
        Some(Object::View(_)) if or_replace => {}
        Some(there) => return exists(there, if_not_exists),
    }
    let mut def = def.clone();
    def.builtin = builtin::views()
        .iter()
        .any(|known| known.schema == def.schema && known.name == def.name && same_view(known, &def));
    Ok(Decision::changes(vec![Change::ViewCreated(def)]))
}

fn exists(there: &Object, if_not_exists: bool) -> Result<Decision> {
    let message = format!(
        "\"{}\" exists already and is {}",
        there.name(),
        there.kind().described()
    );
    if if_not_exists {
        return Ok(Decision::nothing(message));
    }
    Err(
        Error::new(SqlState::DuplicateTable, message).with_hint(match there {
            Object::View(_) => "Write CREATE OR REPLACE VIEW, or drop it first.",
            Object::Table(_) | Object::External(_) | Object::Live(_) => {
                "Write IF NOT EXISTS to go on, or drop it first."
            }
        }),
    )
}
