//! The rules of `ALTER TABLE`.

use std::sync::Arc;

use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::layout::{Column, SHARD_COLUMN, TableLayout};

use super::{Alteration, Decision, grants};
use crate::catalog::model::Catalog;
use crate::catalog::object::{ExternalDef, Object, ObjectName, TableDef, ViewDef};
use crate::catalog::principals::Scope;
use crate::catalog::record::Change;

pub(super) fn table(
    catalog: &Catalog,
    name: &ObjectName,
    schema: &str,
    if_exists: bool,
    alteration: &Alteration,
) -> Result<Decision> {
    if if_exists && catalog.find(name, schema).is_none() {
        return Ok(Decision::nothing(format!("\"{name}\" does not exist")));
    }
    let object = catalog.resolve(name, schema)?;
    if let Alteration::RenameTable { to } | Alteration::RenameView { to } = alteration {
        match object {
            Object::Table(_) | Object::External(_) if matches!(alteration, Alteration::RenameView { .. }) => {
                return Err(name
                    .error(
                        SqlState::WrongObjectType,
                        format!("\"{name}\" is {} and no view", object.kind().described()),
                    )
                    .with_hint("Write ALTER TABLE … RENAME TO."));
            }
            Object::Table(_) | Object::External(_) | Object::View(_) => return rename(catalog, &object, to),
            Object::Live(_) => {}
        }
    }
    let def = match object {
        Object::Table(def) => def,
        other => {
            return Err(name
                .error(
                    SqlState::WrongObjectType,
                    format!("\"{name}\" is {} and cannot be altered", other.kind().described()),
                )
                .with_hint(match other {
                    Object::View(_) => "CREATE OR REPLACE VIEW changes a view.",
                    Object::External(_) => "CREATE OR REPLACE EXTERNAL TABLE changes it.",
                    Object::Live(_) | Object::Table(_) => "Its shape is part of the system.",
                }));
        }
    };
    match altered(&def, alteration)? {
        Some(layout) => Ok(Decision::changes(vec![Change::TableAltered(TableDef {
            layout: Arc::new(layout),
            ..TableDef::clone(&def)
        })])),
        None => Ok(Decision::nothing(format!(
            "table \"{name}\" is as the statement says"
        ))),
    }
}

fn rename(catalog: &Catalog, object: &Object, to: &str) -> Result<Decision> {
    let (schema, from) = (object.schema().to_owned(), object.name().to_owned());
    if let Some(there) = catalog.object(&schema, to) {
        return Err(Error::new(
            SqlState::DuplicateTable,
            format!("\"{to}\" exists already and is {}", there.kind().described()),
        ));
    }
    let name = to.to_owned();
    let created = match object {
        Object::Table(def) => Change::TableCreated(TableDef {
            name,
            builtin: false,
            ..TableDef::clone(def)
        }),
        Object::View(def) => Change::ViewCreated(ViewDef {
            name,
            builtin: false,
            ..ViewDef::clone(def)
        }),
        Object::External(def) => Change::ExternalCreated(ExternalDef {
            name,
            ..ExternalDef::clone(def)
        }),
        Object::Live(_) => return Err(Error::internal("a live table was renamed")),
    };
    let dropped = Change::ObjectDropped {
        schema: schema.clone(),
        name: from.clone(),
    };
    let mut changes = vec![dropped, created];
    // It is the same object, so who may read it still may.
    let (from, to) = (Scope::object(&schema, &from), Scope::object(&schema, to));
    changes.extend(grants::moved(catalog, &from, &to));
    Ok(Decision::changes(changes))
}

/// The layout after a change of columns; `None` where nothing changes.
pub(super) fn altered(def: &TableDef, alteration: &Alteration) -> Result<Option<TableLayout>> {
    let mut layout = TableLayout::clone(&def.layout);
    match alteration {
        Alteration::RenameTable { .. } | Alteration::RenameView { .. } => return Ok(None),
        Alteration::AddColumn {
            column,
            if_not_exists,
        } => {
            if layout.column(&column.name).is_some() {
                if *if_not_exists {
                    return Ok(None);
                }
                return Err(duplicate(&column.name));
            }
            check_addable(column)?;
            layout.columns.push(column.clone());
        }
        Alteration::DropColumn { name, if_exists } => {
            if layout.column(name).is_none() && *if_exists {
                return Ok(None);
            }
            find(&layout, name)?;
            check_unused(&layout, name, "dropped")?;
            layout.columns.retain(|column| column.name != *name);
            if layout.columns.is_empty() {
                return Err(Error::new(
                    SqlState::InvalidTableDefinition,
                    format!("\"{name}\" is the table's only column"),
                ));
            }
        }
        Alteration::RenameColumn { from, to } => {
            find(&layout, from)?;
            if layout.column(to).is_some() || to == SHARD_COLUMN {
                return Err(duplicate(to));
            }
            check_unused(&layout, from, "renamed")?;
            for column in &mut layout.columns {
                if column.name == *from {
                    column.name.clone_from(to);
                }
            }
        }
    }
    Ok(Some(layout))
}

fn check_addable(column: &Column) -> Result<()> {
    if column.name == SHARD_COLUMN {
        return Err(duplicate(&column.name));
    }
    if !column.nullable {
        return Err(Error::unsupported(format!(
            "column \"{}\" cannot be added as NOT NULL, as rows that are there would have no value",
            column.name
        ))
        .with_hint("Add it without NOT NULL."));
    }
    if column.generated.is_some() {
        return Err(Error::unsupported(format!(
            "column \"{}\" cannot be added as a generated one, as rows that are there would have no value",
            column.name
        ))
        .with_hint("Declare generated columns when the table is made."));
    }
    Ok(())
}

fn find<'a>(layout: &'a TableLayout, name: &str) -> Result<&'a Column> {
    layout.column(name).ok_or_else(|| {
        let error = Error::new(
            SqlState::UndefinedColumn,
            format!("column \"{name}\" does not exist"),
        );
        let known = layout.columns.iter().map(|column| column.name.as_str());
        match nearest(name, known) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error,
        }
    })
}

fn duplicate(name: &str) -> Error {
    Error::new(
        SqlState::DuplicateColumn,
        format!("column \"{name}\" exists already"),
    )
}

/// Keys, partitions, shards and generated values name columns.
fn check_unused(layout: &TableLayout, name: &str, what: &str) -> Result<()> {
    let is = |other: &String| other == name;
    let used = if layout.primary_key.iter().any(is) {
        Some("the primary key has it".to_owned())
    } else if layout.partition_by.iter().any(is) {
        Some("the table is partitioned by it".to_owned())
    } else if layout
        .sharding
        .as_ref()
        .is_some_and(|sharding| sharding.key == name)
    {
        Some("it is the shard key".to_owned())
    } else if layout.sort_by.iter().any(is) {
        Some("files are sorted by it".to_owned())
    } else {
        layout
            .columns
            .iter()
            .find(|column| {
                column
                    .generated
                    .as_deref()
                    .is_some_and(|expr| crate::plan::expression_columns(expr).contains(name))
            })
            .map(|column| format!("column \"{}\" is generated from it", column.name))
    };
    match used {
        None => Ok(()),
        Some(why) => Err(Error::new(
            SqlState::DependentObjectsStillExist,
            format!("column \"{name}\" cannot be {what}"),
        )
        .with_detail(format!("{}{}.", why[..1].to_uppercase(), &why[1..]))),
    }
}
