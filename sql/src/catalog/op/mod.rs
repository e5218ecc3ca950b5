//! What a statement asks of the catalog, and the rules that turn it into facts.

mod alter;
mod cache;
mod create;
mod drop;
mod grants;
mod principals;

pub use cache::CacheOp;
pub use principals::PrincipalOp;

pub(crate) use create::builtin_form;
pub(crate) use principals::known as known_principal;

use std::sync::Arc;

use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::layout::{Column, TableLayout};

use super::model::{Catalog, INFORMATION_SCHEMA, SYSTEM_SCHEMA};
use super::object::{ExternalDef, Meant, Object, ObjectName, TableDef, ViewDef};
use super::record::Change;

/// One change of the catalog, not yet checked. It is checked again whenever the catalog has moved.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    CreateSchema {
        name: String,
        if_not_exists: bool,
    },
    DropSchema {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    CreateTable {
        schema: String,
        name: String,
        layout: TableLayout,
        if_not_exists: bool,
        or_replace: bool,
        /// The caller knows that the table of this name was never written, so that a built-in one may
        /// be given another shape.
        existing_unwritten: bool,
    },
    CreateExternal {
        def: ExternalDef,
        if_not_exists: bool,
        or_replace: bool,
    },
    CreateView {
        def: ViewDef,
        if_not_exists: bool,
        or_replace: bool,
    },
    DropTable {
        schema: String,
        name: ObjectName,
        meant: Meant,
        if_exists: bool,
    },
    DropView {
        schema: String,
        name: ObjectName,
        meant: Meant,
        if_exists: bool,
    },
    AlterTable {
        schema: String,
        name: ObjectName,
        meant: Meant,
        if_exists: bool,
        alteration: Alteration,
    },
    Principal(PrincipalOp),
    Cache(CacheOp),
}

/// What `ALTER TABLE` and `ALTER VIEW` change.
#[derive(Debug, Clone, PartialEq)]
pub enum Alteration {
    AddColumn { column: Column, if_not_exists: bool },
    DropColumn { name: String, if_exists: bool },
    RenameColumn { from: String, to: String },
    RenameTable { to: String },
    RenameView { to: String },
}

/// What an operation comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    Change {
        changes: Vec<Change>,
        notice: Option<String>,
    },
    /// It is as asked already.
    Nothing { notice: String },
}

impl Decision {
    fn changes(changes: Vec<Change>) -> Self {
        Self::Change {
            changes,
            notice: None,
        }
    }

    fn nothing(notice: impl Into<String>) -> Self {
        Self::Nothing {
            notice: notice.into(),
        }
    }
}

impl Op {
    /// The built-in data table that this operation would give another shape. Its caller may look
    /// whether it was ever written, and if not say so with [`Op::assume_unwritten`].
    pub fn redefines(&self, catalog: &Catalog) -> Option<Arc<TableDef>> {
        let Self::CreateTable {
            schema, name, layout, ..
        } = self
        else {
            return None;
        };
        match catalog.object(schema, name)? {
            Object::Table(def)
                if def.builtin && super::compare::table_difference(&def.layout, layout).is_some() =>
            {
                Some(Arc::clone(def))
            }
            _ => None,
        }
    }

    /// Says that the table [`Op::redefines`] named was never written.
    #[must_use]
    pub fn assume_unwritten(mut self) -> Self {
        if let Self::CreateTable {
            existing_unwritten, ..
        } = &mut self
        {
            *existing_unwritten = true;
        }
        self
    }

    /// The table an `ALTER TABLE` is about and the layout it gets, where the table's own log must
    /// change too.
    pub fn alteration(&self, catalog: &Catalog) -> Result<Option<(Arc<TableDef>, TableLayout)>> {
        let Self::AlterTable {
            schema,
            name,
            alteration,
            ..
        } = self
        else {
            return Ok(None);
        };
        let Decision::Change { .. } = self.decide(catalog)? else {
            return Ok(None);
        };
        match catalog.resolve(name, schema)? {
            Object::Table(def) => Ok(alter::altered(&def, alteration)?.map(|layout| (def, layout))),
            _ => Ok(None),
        }
    }

    /// The existing object that it is about, by name.
    fn subject(&self) -> Option<(&ObjectName, &str, &Meant)> {
        match self {
            Self::DropTable {
                schema, name, meant, ..
            }
            | Self::DropView {
                schema, name, meant, ..
            }
            | Self::AlterTable {
                schema, name, meant, ..
            } => Some((name, schema, meant)),
            Self::CreateSchema { .. }
            | Self::DropSchema { .. }
            | Self::CreateTable { .. }
            | Self::CreateExternal { .. }
            | Self::CreateView { .. }
            | Self::Principal(_)
            | Self::Cache(_) => None,
        }
    }

    /// An error if its name means another object than the one for which it was authorized.
    pub fn check_meaning(&self, catalog: &Catalog) -> Result<()> {
        match self.subject() {
            Some((name, schema, meant)) => meant.check(name, catalog.find(name, schema)),
            None => Ok(()),
        }
    }

    /// The facts it comes to, given all that exists.
    pub(super) fn decide(&self, catalog: &Catalog) -> Result<Decision> {
        self.check_meaning(catalog)?;
        match self {
            Self::CreateSchema { name, if_not_exists } => create::schema(catalog, name, *if_not_exists),
            Self::DropSchema {
                name,
                if_exists,
                cascade,
            } => drop::schema(catalog, name, *if_exists, *cascade),
            Self::CreateTable {
                schema,
                name,
                layout,
                if_not_exists,
                or_replace,
                existing_unwritten,
            } => {
                let existing = create::Existing {
                    keep: *if_not_exists,
                    replace: *or_replace,
                    unwritten: *existing_unwritten,
                };
                create::table(catalog, (schema, name), layout, existing)
            }
            Self::CreateExternal {
                def,
                if_not_exists,
                or_replace,
            } => create::external(catalog, def, *if_not_exists, *or_replace),
            Self::CreateView {
                def,
                if_not_exists,
                or_replace,
            } => create::view(catalog, def, *if_not_exists, *or_replace),
            Self::DropTable {
                schema,
                name,
                if_exists,
                ..
            } => drop::table(catalog, name, schema, *if_exists),
            Self::DropView {
                schema,
                name,
                if_exists,
                ..
            } => drop::view(catalog, name, schema, *if_exists),
            Self::AlterTable {
                schema,
                name,
                if_exists,
                alteration,
                ..
            } => alter::table(catalog, name, schema, *if_exists, alteration),
            Self::Principal(op) => op.decide(catalog),
            Self::Cache(op) => op.decide(catalog),
        }
    }
}

/// An error unless objects can be made in the schema.
fn check_open(catalog: &Catalog, schema: &str) -> Result<()> {
    if schema == INFORMATION_SCHEMA || schema == SYSTEM_SCHEMA {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("schema \"{schema}\" is the system's own"),
        )
        .with_hint("Create the object in another schema."));
    }
    catalog.check_schema(schema, None)
}
