//! `CREATE EXTERNAL TABLE`, and options in brackets.

use std::collections::BTreeMap;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token};
use watershed_core::error::{Error, Result, SqlState, nearest};
use watershed_storage::external::ExternalFormat as Files;
use watershed_storage::layout::Column;

use super::ast::{CreateExternalTable, Statement};
use super::create::unknown_option;
use super::error::{at, syntax};
use super::parser::Parser;
use crate::catalog::ExternalFormat;

/// One `name = 'value'`.
pub(super) struct TableOption {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) start: Location,
}

/// What files of a format are read by.
pub(super) fn files(format: ExternalFormat) -> Files {
    match format {
        ExternalFormat::Parquet => Files::Parquet,
        ExternalFormat::Csv => Files::Csv,
        ExternalFormat::Json => Files::Json,
        ExternalFormat::Delta => Files::Delta,
    }
}

impl Parser {
    pub(super) fn create_external(&mut self, or_replace: bool) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.object_name("the table's name")?;
        let mut columns = Vec::new();
        if self.inner.peek_token_ref().token == Token::LParen {
            let place = self.here();
            let key;
            (columns, key) = self.columns()?;
            if !key.is_empty() || columns.iter().any(|column| column.generated.is_some()) {
                return Err(at(
                    Error::unsupported("an external table has no PRIMARY KEY and no generated columns"),
                    place,
                )
                .with_hint("Nothing would keep files that others write to it."));
            }
        }
        let mut format = None;
        let mut location = None;
        let mut partition_by = Vec::new();
        let mut options = Vec::new();
        loop {
            let start = self.here();
            if self.keyword(Keyword::STORED) {
                self.expect_keyword(Keyword::AS)?;
                self.once(format.is_none(), "STORED AS", start)?;
                format = Some(self.external_format()?);
            } else if self.keyword(Keyword::LOCATION) {
                self.once(location.is_none(), "LOCATION", start)?;
                location = Some(self.string("the location in single quotes")?);
            } else if self.keyword(Keyword::PARTITIONED) {
                self.expect_keyword(Keyword::BY)?;
                self.once(partition_by.is_empty(), "PARTITIONED BY", start)?;
                partition_by = self.partitions(&mut columns)?;
            } else if self.keywords(&[Keyword::WITH, Keyword::HEADER, Keyword::ROW]) {
                options.push(TableOption {
                    name: "has_header".to_owned(),
                    value: "true".to_owned(),
                    start,
                });
            } else if self.keywords(&[Keyword::WITH, Keyword::ORDER]) {
                self.declared_order(&columns)?;
            } else if self.keyword(Keyword::OPTIONS) || self.keyword(Keyword::WITH) {
                options.extend(self.options()?);
            } else {
                break;
            }
        }
        let Some(format) = format else {
            return Err(self.expected("STORED AS PARQUET, CSV, JSON or DELTA"));
        };
        let Some(location) = location else {
            return Err(self.expected("LOCATION '…'"));
        };
        Ok(Statement::CreateExternalTable(Box::new(CreateExternalTable {
            name,
            if_not_exists,
            or_replace,
            columns,
            format,
            location,
            partition_by,
            options: checked(options, format)?,
        })))
    }

    /// `(column [ASC | DESC] [NULLS FIRST | NULLS LAST], …)`. Nothing is planned by it: other writers may add files
    /// that are not sorted, and a wrong order would give wrong rows.
    fn declared_order(&mut self, columns: &[Column]) -> Result<()> {
        self.list(|parser| {
            let start = parser.here();
            let name = parser.name("a column")?;
            // Without declared columns, those of the files count, which are not read yet.
            if !columns.is_empty() && !columns.iter().any(|column| column.name == name) {
                return Err(at(
                    Error::new(
                        SqlState::UndefinedColumn,
                        format!("column \"{name}\" does not exist"),
                    ),
                    start,
                ));
            }
            if !parser.keyword(Keyword::ASC) {
                parser.keyword(Keyword::DESC);
            }
            if parser.keyword(Keyword::NULLS) && !parser.keyword(Keyword::FIRST) {
                parser.expect_keyword(Keyword::LAST)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn external_format(&mut self) -> Result<ExternalFormat> {
        let start = self.here();
        let name = self.name("PARQUET, CSV, JSON or DELTA")?;
        let word = match name.as_str() {
            "ndjson" | "jsonl" => "json",
            "deltatable" => "delta",
            other => other,
        };
        ExternalFormat::ALL
            .into_iter()
            .find(|format| format.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| {
                let known = ExternalFormat::ALL.map(ExternalFormat::as_str);
                let error = at(
                    Error::new(SqlState::UndefinedObject, format!("unknown format \"{name}\"")),
                    start,
                );
                match nearest(&name, known) {
                    Some(near) => error.with_hint(format!("Did you mean {near}?")),
                    None => error.with_hint(format!("The formats are {}.", known.join(", "))),
                }
            })
    }

    /// `(name = 'value', name value, …)`; a name may be a text and have dots.
    pub(super) fn options(&mut self) -> Result<Vec<TableOption>> {
        if self.inner.peek_nth_token_ref(1).token == Token::RParen {
            self.expect_token(&Token::LParen)?;
            self.expect_token(&Token::RParen)?;
            return Ok(Vec::new());
        }
        self.list(|parser| {
            let start = parser.here();
            let mut name = match parser.string("an option's name") {
                Ok(name) => name,
                Err(_) => parser.name("an option's name")?,
            };
            while parser.token(&Token::Period) {
                name = format!("{name}.{}", parser.name("an option's name")?);
            }
            // Names as DataFusion has them.
            let name = name.to_ascii_lowercase();
            let name = name.strip_prefix("format.").unwrap_or(&name).to_owned();
            parser.token(&Token::Eq);
            let value = parser.option_value()?;
            Ok(TableOption { name, value, start })
        })
    }

    pub(super) fn option_value(&mut self) -> Result<String> {
        let token = self.inner.peek_token();
        let value = match token.token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text,
            Token::Number(text, _) => text,
            Token::Word(word) if word.quote_style.is_some() => word.value,
            Token::Word(word) => word.value.to_ascii_lowercase(),
            Token::Minus => {
                self.inner.advance_token();
                return self.option_value().map(|value| format!("-{value}"));
            }
            _ => return Err(self.expected("a value")),
        };
        self.inner.advance_token();
        Ok(value)
    }
}

fn checked(options: Vec<TableOption>, format: ExternalFormat) -> Result<BTreeMap<String, String>> {
    let files = files(format);
    let mut map = BTreeMap::new();
    for option in options {
        // Names that other engines have for an option mean the same one.
        let Some(name) = files.option(&option.name) else {
            return Err(unknown_option(&option.name, option.start, files.options()));
        };
        if map.insert(name.to_owned(), option.value).is_some() {
            return Err(syntax(format!("option \"{name}\" stands twice"), option.start));
        }
    }
    Ok(map)
}
