//! What names may mean: tables, views, and the tables the system itself keeps.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use watershed_core::error::{Error, Position, Result, SqlState};
use watershed_core::id::TableId;
use watershed_storage::layout::{Column, TableLayout};

/// The name of an object as a statement gives it, folded already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    pub schema: Option<String>,
    pub name: String,
    /// Where it stands in the statement.
    pub position: Option<Position>,
}

impl ObjectName {
    pub fn bare(name: impl Into<String>) -> Self {
        Self {
            schema: None,
            name: name.into(),
            position: None,
        }
    }

    pub fn full(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: Some(schema.into()),
            name: name.into(),
            position: None,
        }
    }

    /// The schema it means.
    pub fn schema_or<'a>(&'a self, current: &'a str) -> &'a str {
        self.schema.as_deref().unwrap_or(current)
    }

    /// An error about this name, pointing at it.
    pub(crate) fn error(&self, code: SqlState, message: impl Into<String>) -> Error {
        let error = Error::new(code, message);
        match self.position {
            Some(position) => error.with_position(position),
            None => error,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A managed table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableDef {
    pub schema: String,
    pub name: String,
    pub layout: Arc<TableLayout>,
    /// One of the documented data tables, in its documented form.
    #[serde(default)]
    pub builtin: bool,
}

/// What an external table's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalFormat {
    Parquet,
    Csv,
    Json,
    Delta,
}

impl ExternalFormat {
    pub const ALL: [Self; 4] = [Self::Parquet, Self::Csv, Self::Json, Self::Delta];

    /// The word after `STORED AS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "PARQUET",
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Delta => "DELTA",
        }
    }
}

/// A table whose files others wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalDef {
    pub schema: String,
    pub name: String,
    pub format: ExternalFormat,
    pub location: String,
    /// Empty where the files tell.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// The keys of a Hive tree, outermost first.
    #[serde(default)]
    pub partition_by: Vec<String>,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// A named query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewDef {
    pub schema: String,
    pub name: String,
    /// The query's text.
    pub sql: String,
    /// The names `CREATE VIEW v (…)` gave its columns. Empty where the query names them.
    #[serde(default)]
    pub columns: Vec<String>,
    #[serde(default)]
    pub builtin: bool,
    /// Whose rights reading it takes, as they are when it is read. None has all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When the owner was created: a later user of the same name is not the owner. None if the owner is no user of the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_created_at: Option<DateTime<Utc>>,
    /// What its query reads by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ViewRead>,
}

/// What a view reads: a table that has the name after the first was dropped is another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewRead {
    pub schema: String,
    pub name: String,
    /// None where it is no managed table. A view that it reads is read with the rights of that view's own owner, so that
    /// another one shows no more than its owner may read.
    pub table: Option<TableId>,
}

/// A table whose rows the scheduler makes when they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveDef {
    pub schema: String,
    pub name: String,
    pub columns: Vec<Column>,
    pub primary_key: Vec<String>,
    /// Columns of the key that the system fills where a row gives none.
    pub filled: Vec<String>,
    /// Whether writing it is meant to change how the system behaves.
    pub control: bool,
    pub comment: &'static str,
}

impl LiveDef {
    /// The Arrow schema that its rows must have.
    pub fn arrow_schema(&self) -> arrow::datatypes::SchemaRef {
        Arc::new(arrow::datatypes::Schema::new(
            self.columns.iter().map(Column::field).collect::<Vec<_>>(),
        ))
    }

    /// The columns as rows are written: what the system fills may be left out.
    pub fn written_columns(&self) -> Vec<Column> {
        let mut columns = self.columns.clone();
        for column in &mut columns {
            column.nullable |= self.filled.contains(&column.name);
        }
        columns
    }
}

/// What a name may mean.
#[derive(Debug, Clone)]
pub enum Object {
    Table(Arc<TableDef>),
    External(Arc<ExternalDef>),
    View(Arc<ViewDef>),
    Live(Arc<LiveDef>),
}

/// The kinds of objects, as errors and `information_schema` name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    External,
    View,
    Control,
    Live,
}

impl ObjectKind {
    /// With its article, for messages.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Table => "a table",
            Self::External => "an external table",
            Self::View => "a view",
            Self::Control => "a control table",
            Self::Live => "a live table",
        }
    }
}

/// Which object a name means. Another one that has the name later is another object; one that is altered stays the same.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    Table(TableId),
    External(Arc<ExternalDef>),
    View(Arc<ViewDef>),
    /// Of a schema, which has no other of this name.
    Live(String),
}

/// What a name meant when its statement was planned and authorized.
#[derive(Debug, Clone, PartialEq)]
pub enum Meant {
    /// Not recorded: the name means what it means when the operation is applied.
    Anything,
    /// Exactly this object, or none.
    Object(Option<Identity>),
}

impl Meant {
    /// An error if the name means another object by now. None is not another one: that it is gone, the operation says.
    pub(crate) fn check(&self, name: &ObjectName, found: Option<&Object>) -> Result<()> {
        match (self, found) {
            (Self::Object(meant), Some(found)) if meant.as_ref() != Some(&found.identity()) => Err(name
                .error(
                    SqlState::SerializationFailure,
                    format!("\"{name}\" means another object than when the statement began"),
                )
                .with_hint("Run the statement again.")),
            _ => Ok(()),
        }
    }
}

impl Object {
    pub fn identity(&self) -> Identity {
        match self {
            Self::Table(def) => Identity::Table(def.layout.id),
            Self::External(def) => Identity::External(Arc::clone(def)),
            Self::View(def) => Identity::View(Arc::clone(def)),
            Self::Live(def) => Identity::Live(def.schema.clone()),
        }
    }

    pub fn schema(&self) -> &str {
        match self {
            Self::Table(def) => &def.schema,
            Self::External(def) => &def.schema,
            Self::View(def) => &def.schema,
            Self::Live(def) => &def.schema,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Table(def) => &def.name,
            Self::External(def) => &def.name,
            Self::View(def) => &def.name,
            Self::Live(def) => &def.name,
        }
    }

    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Table(_) => ObjectKind::Table,
            Self::External(_) => ObjectKind::External,
            Self::View(_) => ObjectKind::View,
            Self::Live(def) if def.control => ObjectKind::Control,
            Self::Live(_) => ObjectKind::Live,
        }
    }

    /// The columns as declared. Views have none, external tables only if they were written down.
    pub fn columns(&self) -> &[Column] {
        match self {
            Self::Table(def) => &def.layout.columns,
            // The log of a Delta table says what its columns are now, whatever they were at its definition.
            Self::External(def) if def.format == ExternalFormat::Delta => &[],
            Self::External(def) => &def.columns,
            Self::View(_) => &[],
            Self::Live(def) => &def.columns,
        }
    }

    /// The names of the primary key's columns.
    pub fn primary_key(&self) -> &[String] {
        match self {
            Self::Table(def) => &def.layout.primary_key,
            Self::Live(def) => &def.primary_key,
            Self::External(_) | Self::View(_) => &[],
        }
    }

    /// Whether it was there at the first start.
    pub fn builtin(&self) -> bool {
        match self {
            Self::Table(def) => def.builtin,
            Self::View(def) => def.builtin,
            Self::Live(_) => true,
            Self::External(_) => false,
        }
    }
}
