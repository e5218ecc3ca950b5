//! `CREATE TABLE`, `CREATE VIEW`, `CREATE SCHEMA`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::layout::Column;

use super::ast::{Clustering, CreateTable, CreateView, Statement};
use super::error::{at, syntax};
use super::parser::{Lines, Parser};
use crate::catalog::{ObjectName, TEMPORARY_SCHEMA};

/// What `WITH (…)` of a managed table takes.
pub(super) const TABLE_OPTIONS: [&str; 4] = ["shard_key", "shard_map", "shards", "sort_by"];

impl Parser {
    pub(super) fn create(&mut self, lines: &Lines<'_>) -> Result<Statement> {
        let start = self.here();
        self.expect_keyword(Keyword::CREATE)?;
        let or_replace = self.keywords(&[Keyword::OR, Keyword::REPLACE]);
        let temporary = self.keyword(Keyword::TEMP) || self.keyword(Keyword::TEMPORARY);
        if self.keyword(Keyword::VIEW) {
            return self.create_view(or_replace, temporary, lines);
        }
        if self.keyword(Keyword::TABLE) {
            return self.create_table(or_replace, temporary);
        }
        if temporary {
            return Err(self.expected("TABLE or VIEW"));
        }
        if self.keyword(Keyword::EXTERNAL) {
            self.expect_keyword(Keyword::TABLE)?;
            return self.create_external(or_replace);
        }
        if or_replace {
            return Err(self.expected("TABLE, EXTERNAL TABLE or VIEW"));
        }
        if self.keyword(Keyword::SCHEMA) {
            let if_not_exists = self.if_not_exists();
            let name = self.object_name("the schema's name")?;
            return Ok(Statement::CreateSchema {
                name: schema_only(&name)?,
                if_not_exists,
            });
        }
        if let Some(statement) = self.create_principal()? {
            return Ok(statement);
        }
        for word in [
            "MATERIALIZED",
            "INDEX",
            "UNIQUE",
            "FUNCTION",
            "DATABASE",
            "SEQUENCE",
            "TYPE",
            "TRIGGER",
            "PROCEDURE",
            "MACRO",
            "SECRET",
            "POLICY",
            "UNLOGGED",
            "EXTENSION",
        ] {
            if self.word(word) {
                return Err(at(
                    Error::unsupported(format!("CREATE {word} is not supported")),
                    start,
                ));
            }
        }
        Err(self.expected("TABLE, EXTERNAL TABLE, VIEW, SCHEMA, USER, ROLE or TOKEN"))
    }

    fn create_view(&mut self, or_replace: bool, temporary: bool, lines: &Lines<'_>) -> Result<Statement> {
        let if_not_exists = self.absent_only(or_replace)?;
        let name = self.new_name("the view's name", temporary)?;
        let columns = if self.inner.peek_token_ref().token == Token::LParen {
            self.list(|parser| parser.name("a column's name"))?
        } else {
            Vec::new()
        };
        self.expect_keyword(Keyword::AS)?;
        let start = self.here();
        let query = self.query()?;
        let end = self.inner.get_current_token().span.end;
        Ok(Statement::CreateView(Box::new(CreateView {
            name,
            if_not_exists,
            or_replace,
            columns,
            query,
            text: lines.slice(start, end).to_owned(),
        })))
    }

    /// `IF NOT EXISTS`, which contradicts `OR REPLACE`.
    fn absent_only(&mut self, or_replace: bool) -> Result<bool> {
        let start = self.here();
        let absent_only = self.if_not_exists();
        if absent_only && or_replace {
            return Err(syntax("OR REPLACE and IF NOT EXISTS exclude each other", start));
        }
        Ok(absent_only)
    }

    /// The name of an object to be made. What is temporary is in a schema of its own.
    fn new_name(&mut self, what: &str, temporary: bool) -> Result<ObjectName> {
        let mut name = self.object_name(what)?;
        if temporary {
            if let Some(schema) = name
                .schema
                .as_deref()
                .filter(|schema| *schema != TEMPORARY_SCHEMA)
            {
                return Err(name
                    .error(
                        SqlState::InvalidTableDefinition,
                        format!("a temporary object cannot be in schema \"{schema}\""),
                    )
                    .with_hint("Leave the schema out."));
            }
            name.schema = Some(TEMPORARY_SCHEMA.to_owned());
        }
        Ok(name)
    }

    fn create_table(&mut self, or_replace: bool, temporary: bool) -> Result<Statement> {
        let if_not_exists = self.absent_only(or_replace)?;
        let mut table = CreateTable {
            name: self.new_name("the table's name", temporary)?,
            if_not_exists,
            or_replace,
            columns: Vec::new(),
            primary_key: Vec::new(),
            partition_by: Vec::new(),
            sharding: None,
            sort_by: Vec::new(),
            shard_map: None,
        };
        let declared = self.inner.peek_token_ref().token == Token::LParen;
        let mut names = Vec::new();
        if declared && self.names_only() {
            names = self.list(|parser| parser.name("a column's name"))?;
        } else if declared {
            (table.columns, table.primary_key) = self.columns()?;
        }
        let columns = table.columns.len();
        self.table_clauses(&mut table)?;
        if self.keyword(Keyword::AS) {
            if table.columns.len() > columns {
                return Err(at(
                    Error::unsupported("a table made from a query declares no columns in PARTITIONED BY"),
                    self.here(),
                )
                .with_hint("Name columns of the query there."));
            }
            let query = self.query()?;
            return Ok(Statement::CreateTableAs {
                table: Box::new(table),
                names,
                query,
            });
        }
        if !declared || !names.is_empty() {
            return Err(self.expected("( and the columns, or AS and a query"));
        }
        Ok(Statement::CreateTable(Box::new(table)))
    }

    /// Whether the columns in brackets are names without types.
    fn names_only(&self) -> bool {
        matches!(
            self.inner.peek_nth_token_ref(2).token,
            Token::Comma | Token::RParen
        )
    }

    fn table_clauses(&mut self, table: &mut CreateTable) -> Result<()> {
        loop {
            let start = self.here();
            if self.keyword(Keyword::PARTITIONED) {
                self.expect_keyword(Keyword::BY)?;
                self.once(table.partition_by.is_empty(), "PARTITIONED BY", start)?;
                table.partition_by = self.partitions(&mut table.columns)?;
            } else if self.keyword(Keyword::CLUSTERED) {
                self.expect_keyword(Keyword::BY)?;
                self.once(table.sharding.is_none(), "CLUSTERED BY", start)?;
                self.clustered(table)?;
            } else if self.keyword(Keyword::SORTED) {
                self.expect_keyword(Keyword::BY)?;
                self.once(table.sort_by.is_empty(), "SORTED BY", start)?;
                table.sort_by = self.list(|parser| parser.name("a column's name"))?;
            } else if self.keyword(Keyword::WITH) {
                self.table_options(table)?;
            } else if self.keyword(Keyword::STORED) || self.keyword(Keyword::LOCATION) {
                return Err(syntax("a managed table chooses its own files", start)
                    .with_hint("Write CREATE EXTERNAL TABLE for files that are there already."));
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn once(
        &self,
        first: bool,
        clause: &str,
        start: sqlparser::tokenizer::Location,
    ) -> Result<()> {
        if first {
            return Ok(());
        }
        Err(syntax(format!("{clause} stands twice"), start))
    }

    /// `(existing, new TYPE, …)`. New columns are added behind the others.
    pub(super) fn partitions(&mut self, columns: &mut Vec<Column>) -> Result<Vec<String>> {
        let mut names = Vec::new();
        self.list(|parser| {
            let declares = matches!(parser.inner.peek_nth_token_ref(1).token, Token::Word(_));
            if declares {
                let (column, is_key) = parser.column()?;
                if is_key {
                    return Err(parser.expected("no PRIMARY KEY in PARTITIONED BY"));
                }
                names.push(column.name.clone());
                columns.push(column);
            } else {
                names.push(parser.name("a column's name")?);
            }
            Ok(())
        })?;
        Ok(names)
    }

    fn clustered(&mut self, table: &mut CreateTable) -> Result<()> {
        let start = self.here();
        let mut keys = self.list(|parser| parser.name("a column's name"))?;
        let (Some(key), true) = (keys.pop(), keys.is_empty()) else {
            return Err(at(
                Error::unsupported("a table is clustered by one column"),
                start,
            ));
        };
        if self.keyword(Keyword::SORTED) {
            self.expect_keyword(Keyword::BY)?;
            table.sort_by = self.list(|parser| parser.name("a column's name"))?;
        }
        self.expect_keyword(Keyword::INTO)?;
        let place = self.here();
        let shards = self.inner(|parser| parser.parse_literal_uint())?;
        let shards =
            u32::try_from(shards).map_err(|_| syntax(format!("{shards} are too many buckets"), place))?;
        if !self.word("BUCKETS") && !self.word("SHARDS") {
            return Err(self.expected("BUCKETS"));
        }
        table.sharding = Some(Clustering {
            key,
            shards: Some(shards),
        });
        Ok(())
    }

    fn table_options(&mut self, table: &mut CreateTable) -> Result<()> {
        let mut key: Option<String> = None;
        let mut shards = None;
        for option in self.options()? {
            let number = || {
                option.value.parse::<u32>().map_err(|_| {
                    at(
                        Error::new(
                            SqlState::InvalidParameterValue,
                            format!("option \"shards\" takes a whole number, not {:?}", option.value),
                        ),
                        option.start,
                    )
                })
            };
            let twice = match option.name.as_str() {
                "shard_key" => key.replace(option.value.clone()).is_some(),
                "shards" => shards.replace(number()?).is_some(),
                "shard_map" => table.shard_map.replace(option.value.clone()).is_some(),
                "sort_by" => {
                    let names = option.value.split(',').map(|name| name.trim().to_owned());
                    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
                    !std::mem::replace(&mut table.sort_by, names).is_empty()
                }
                unknown => return Err(unknown_option(unknown, option.start, &TABLE_OPTIONS)),
            };
            if twice {
                return Err(syntax(
                    format!("option \"{}\" stands twice", option.name),
                    option.start,
                ));
            }
        }
        match (key, shards, &mut table.sharding) {
            (None, None, _) => {}
            (Some(key), shards, sharding @ None) => *sharding = Some(Clustering { key, shards }),
            (None, Some(_), None) => {
                return Err(Error::new(
                    SqlState::InvalidTableDefinition,
                    "option \"shards\" needs a shard key",
                )
                .with_hint("Add shard_key = '…', or write CLUSTERED BY (…) INTO n BUCKETS."));
            }
            (_, _, Some(_)) => {
                return Err(Error::new(
                    SqlState::InvalidTableDefinition,
                    "the table's shards are given twice",
                )
                .with_hint("Write either CLUSTERED BY or the options shard_key and shards."));
            }
        }
        Ok(())
    }
}

pub(super) fn unknown_option(
    name: &str,
    start: sqlparser::tokenizer::Location,
    known: &[&'static str],
) -> Error {
    let error = at(
        Error::new(SqlState::UndefinedObject, format!("unknown option \"{name}\"")),
        start,
    );
    match nearest(name, known.iter().copied()) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error.with_hint(format!("The options are {}.", known.join(", "))),
    }
}

/// A schema's name, which may have the catalog before it.
pub(super) fn schema_only(name: &crate::catalog::ObjectName) -> Result<String> {
    match name.schema.as_deref() {
        None | Some(crate::catalog::CATALOG_NAME) => Ok(name.name.clone()),
        Some(other) => Err(name.error(
            SqlState::InvalidCatalogName,
            format!("catalog \"{other}\" does not exist"),
        )),
    }
}
