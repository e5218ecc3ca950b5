//! The rules of `DROP`.

use watershed_core::error::{Error, Result, SqlState};

use super::{Decision, grants};
use crate::catalog::model::{Catalog, INFORMATION_SCHEMA, PUBLIC_SCHEMA, SYSTEM_SCHEMA, TEMPORARY_SCHEMA};
use crate::catalog::object::{Object, ObjectKind, ObjectName};
use crate::catalog::principals::Scope;
use crate::catalog::record::Change;

pub(super) fn schema(catalog: &Catalog, name: &str, if_exists: bool, cascade: bool) -> Result<Decision> {
    if !catalog.has_schema(name) && if_exists {
        return Ok(Decision::nothing(format!("schema \"{name}\" does not exist")));
    }
    catalog.check_schema(name, None)?;
    if [PUBLIC_SCHEMA, SYSTEM_SCHEMA, INFORMATION_SCHEMA, TEMPORARY_SCHEMA].contains(&name) {
        return Err(Error::unsupported(format!(
            "schema \"{name}\" is built in and cannot be dropped"
        )));
    }
    let count = catalog.objects(name).count();
    if count > 0 && !cascade {
        let names: Vec<_> = catalog.objects(name).map(Object::name).take(5).collect();
        return Err(Error::new(
            SqlState::DependentObjectsStillExist,
            format!("schema \"{name}\" is not empty"),
        )
        .with_detail(format!("{count} objects are in it: {} …", names.join(", ")))
        .with_hint("Write DROP SCHEMA … CASCADE to drop them with it."));
    }
    let mut changes: Vec<Change> = catalog
        .objects(name)
        .flat_map(|object| dropped(catalog, object))
        .collect();
    changes.extend(grants::revoked(catalog, &Scope::schema(name)));
    changes.push(Change::SchemaDropped {
        name: name.to_owned(),
    });
    Ok(Decision::changes(changes))
}

pub(super) fn table(catalog: &Catalog, name: &ObjectName, schema: &str, if_exists: bool) -> Result<Decision> {
    if let Some(nothing) = absent(catalog, name, schema, if_exists) {
        return Ok(nothing);
    }
    let object = catalog.resolve(name, schema)?;
    match object {
        Object::Table(_) | Object::External(_) => Ok(Decision::changes(dropped(catalog, &object))),
        Object::View(_) => Err(name
            .error(SqlState::WrongObjectType, format!("\"{name}\" is a view"))
            .with_hint("Write DROP VIEW.")),
        Object::Live(_) => Err(undroppable(name, object.kind())),
    }
}

pub(super) fn view(catalog: &Catalog, name: &ObjectName, schema: &str, if_exists: bool) -> Result<Decision> {
    if let Some(nothing) = absent(catalog, name, schema, if_exists) {
        return Ok(nothing);
    }
    let object = catalog.resolve(name, schema)?;
    match object {
        Object::View(_) => Ok(Decision::changes(dropped(catalog, &object))),
        Object::Live(_) => Err(undroppable(name, object.kind())),
        Object::Table(_) | Object::External(_) => Err(name
            .error(
                SqlState::WrongObjectType,
                format!("\"{name}\" is {}", object.kind().described()),
            )
            .with_hint("Write DROP TABLE.")),
    }
}

fn absent(catalog: &Catalog, name: &ObjectName, schema: &str, if_exists: bool) -> Option<Decision> {
    let there = catalog.find(name, schema).is_some();
    (if_exists && !there).then(|| Decision::nothing(format!("\"{name}\" does not exist")))
}

fn undroppable(name: &ObjectName, kind: ObjectKind) -> Error {
    name.error(
        SqlState::WrongObjectType,
        format!(
            "\"{name}\" is {} of the system and cannot be dropped",
            kind.described()
        ),
    )
    .with_hint("It is part of how the system works; its rows can be changed, itself it stays.")
}

/// An object goes with all grants on it: another one of its name is another.
fn dropped(catalog: &Catalog, object: &Object) -> Vec<Change> {
    let mut changes = grants::revoked(catalog, &Scope::object(object.schema(), object.name()));
    changes.push(Change::ObjectDropped {
        schema: object.schema().to_owned(),
        name: object.name().to_owned(),
    });
    changes
}
