//! The objects that exist from the start: the documented eighteen, the exact view beside the
//! documented one, and the system's own tables.
//!
//! Data tables and views are facts of the log's first record, as they can be dropped. Control and live
//! tables cannot, so that they are here and in no record: a later version may give them columns.

mod control;
mod data;
mod system;

use std::sync::{Arc, LazyLock};

use watershed_core::id::TableId;
use watershed_storage::layout::{Column, ColumnType};

use super::model::{PUBLIC_SCHEMA, SYSTEM_SCHEMA};
use super::object::{LiveDef, TableDef, ViewDef};
use super::record::Change;

static LIVE: LazyLock<Vec<Arc<LiveDef>>> = LazyLock::new(|| {
    let control = control::TABLES.iter().map(|table| table.define(PUBLIC_SCHEMA));
    let system = system::TABLES.iter().map(|table| table.define(SYSTEM_SCHEMA));
    control.chain(system).map(Arc::new).collect()
});

static VIEWS: LazyLock<Vec<ViewDef>> = LazyLock::new(|| {
    data::VIEWS
        .iter()
        .map(|(name, sql)| ViewDef {
            schema: PUBLIC_SCHEMA.to_owned(),
            name: (*name).to_owned(),
            sql: sql.trim().to_owned(),
            columns: Vec::new(),
            builtin: true,
            owner: None,
            owner_created_at: None,
            reads: Vec::new(),
        })
        .collect()
});

/// The control and live tables.
pub fn live_tables() -> &'static [Arc<LiveDef>] {
    &LIVE
}

/// The views.
pub fn views() -> &'static [ViewDef] {
    &VIEWS
}

/// The data table of that name in its documented form, under a given identity.
pub fn data_table(schema: &str, name: &str, id: TableId) -> Option<TableDef> {
    if schema != PUBLIC_SCHEMA {
        return None;
    }
    data::TABLES
        .iter()
        .find(|table| table.name == name)
        .map(|table| table.define(id))
}

/// The first record's facts.
pub(super) fn bootstrap() -> Vec<Change> {
    let tables = data::TABLES
        .iter()
        .map(|table| Change::TableCreated(table.define(TableId::generate())));
    let views = views().iter().cloned().map(Change::ViewCreated);
    tables.chain(views).collect()
}

/// A declaration's short names for types.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Boolean,
    Int,
    BigInt,
    Double,
    Text,
    Json,
    Date,
    Timestamp,
    Texts,
}

impl Kind {
    fn column_type(self) -> ColumnType {
        match self {
            Self::Boolean => ColumnType::Boolean,
            Self::Int => ColumnType::Int,
            Self::BigInt => ColumnType::BigInt,
            Self::Double => ColumnType::Double,
            Self::Text => ColumnType::String,
            Self::Json => ColumnType::Json,
            Self::Date => ColumnType::Date,
            Self::Timestamp => ColumnType::Timestamp,
            Self::Texts => ColumnType::Array(Box::new(ColumnType::String)),
        }
    }
}

fn columns(declared: &[(&str, Kind)], key: &[&str]) -> Vec<Column> {
    declared
        .iter()
        .map(|(name, kind)| {
            let column = Column::new(*name, kind.column_type());
            if key.contains(name) {
                column.not_null()
            } else {
                column
            }
        })
        .collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The declaration of a control or live table.
struct Live {
    name: &'static str,
    /// Whether writing it is meant to change how the system behaves.
    control: bool,
    comment: &'static str,
    columns: &'static [(&'static str, Kind)],
    key: &'static [&'static str],
    /// Columns of the key that the system fills where a row gives none.
    filled: &'static [&'static str],
}

impl Live {
    fn define(&self, schema: &str) -> LiveDef {
        LiveDef {
            schema: schema.to_owned(),
            name: self.name.to_owned(),
            columns: columns(self.columns, self.key),
            primary_key: names(self.key),
            filled: names(self.filled),
            control: self.control,
            comment: self.comment,
        }
    }
}
