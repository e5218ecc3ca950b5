//! The statements there are. Names are folded already; queries stay as sqlparser reads them.

use std::collections::BTreeMap;
use std::fmt;

use sqlparser::ast;
use watershed_core::error::Position;
use watershed_storage::layout::Column;

use super::principals::PrincipalStatement;
use crate::catalog::{Alteration, ExternalFormat, ObjectName};

/// One statement and its text.
#[derive(Clone, PartialEq)]
pub struct Parsed {
    pub statement: Statement,
    /// As it was written, without the `;`.
    pub text: String,
}

/// The text may hold a password.
impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed")
            .field("statement", &self.statement)
            .finish_non_exhaustive()
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, WITH, TABLE: always [`ast::Statement::Query`].
    Query(Box<ast::Statement>),
    Insert(Box<Insert>),
    Delete(Box<Delete>),
    Update(Box<Update>),
    CreateTable(Box<CreateTable>),
    /// The table's columns come from the query, unless they are declared.
    CreateTableAs {
        table: Box<CreateTable>,
        /// The names of the query's columns; empty where the query names them, or they are declared.
        names: Vec<String>,
        query: Box<ast::Query>,
    },
    CreateExternalTable(Box<CreateExternalTable>),
    CreateView(Box<CreateView>),
    CreateSchema {
        name: String,
        if_not_exists: bool,
    },
    DropTable {
        name: ObjectName,
        if_exists: bool,
    },
    DropView {
        name: ObjectName,
        if_exists: bool,
    },
    DropSchema {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    AlterTable {
        name: ObjectName,
        if_exists: bool,
        alteration: Alteration,
    },
    Explain {
        analyze: bool,
        verbose: bool,
        statement: Box<Statement>,
    },
    /// Where a query's answer would come from.
    ExplainCache(Box<Statement>),
    /// `None` is `DEFAULT`.
    Set {
        name: String,
        value: Option<String>,
    },
    ShowVariable {
        name: String,
    },
    ShowAll,
    ShowTables {
        schema: Option<String>,
        pattern: Option<String>,
    },
    ShowViews {
        schema: Option<String>,
        pattern: Option<String>,
    },
    ShowSchemas {
        pattern: Option<String>,
    },
    ShowCatalogs {
        pattern: Option<String>,
    },
    ShowFunctions {
        pattern: Option<String>,
    },
    ShowColumns {
        table: ObjectName,
    },
    ShowCreate {
        table: ObjectName,
    },
    Describe {
        table: ObjectName,
    },
    /// The columns of a query's result.
    DescribeQuery(Box<ast::Query>),
    /// Figures about each column of a query's result.
    Summarize(Box<ast::Query>),
    Use {
        schema: String,
    },
    /// Keeps a statement under a name for as long as the session lasts.
    Prepare {
        name: String,
        /// The statement as it was written.
        text: String,
    },
    Execute {
        name: String,
        values: Vec<ast::Expr>,
    },
    /// `None` is all of them.
    Deallocate {
        name: Option<String>,
    },
    ShowSessions,
    /// Ends a statement that runs.
    Kill {
        statement: String,
    },
    Principal(Box<PrincipalStatement>),
}

/// `INSERT INTO table [(columns)] query`.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub table: ObjectName,
    /// Empty where none were named.
    pub columns: Vec<(String, Option<Position>)>,
    pub source: Box<ast::Query>,
}

/// `DELETE FROM table [WHERE …]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    pub table: ObjectName,
    /// Gives the rows that go.
    pub rows: Box<ast::Query>,
}

/// `UPDATE table SET column = value, … [WHERE …]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub table: ObjectName,
    /// Those that are given a value.
    pub columns: Vec<(String, Option<Position>)>,
    /// Gives the rows that change as they are, and behind their columns the values, in order.
    pub rows: Box<ast::Query>,
}

/// `CREATE TABLE`, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub or_replace: bool,
    /// A partition column declared in `PARTITIONED BY` stands last.
    pub columns: Vec<Column>,
    pub primary_key: Vec<String>,
    pub partition_by: Vec<String>,
    pub sharding: Option<Clustering>,
    pub sort_by: Vec<String>,
    /// The value of the option `shard_map`.
    pub shard_map: Option<String>,
}

/// `CLUSTERED BY (key) INTO n BUCKETS`, or its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clustering {
    pub key: String,
    /// `None` where only the key was given.
    pub shards: Option<u32>,
}

/// `CREATE EXTERNAL TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateExternalTable {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub or_replace: bool,
    pub columns: Vec<Column>,
    pub format: ExternalFormat,
    pub location: String,
    pub partition_by: Vec<String>,
    pub options: BTreeMap<String, String>,
}

/// `CREATE VIEW`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    pub name: ObjectName,
    pub if_not_exists: bool,
    pub or_replace: bool,
    /// Empty where the query names them.
    pub columns: Vec<String>,
    pub query: Box<ast::Query>,
    /// The query as it was written.
    pub text: String,
}
