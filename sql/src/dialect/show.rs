//! `SHOW`, `DESCRIBE`, `EXPLAIN`: what there is, and what would be done.

use sqlparser::keywords::Keyword;
use watershed_core::error::{Error, Result};
use watershed_core::settings::TIME_ZONE;

use super::ast::Statement;
use super::create::schema_only;
use super::error::at;
use super::parser::{Lines, Parser};

impl Parser {
    pub(super) fn show(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::SHOW)?;
        if self.keyword(Keyword::TABLES) {
            let schema = if self.of() {
                Some(schema_only(&self.object_name("a schema's name")?)?)
            } else {
                None
            };
            let pattern = if self.keyword(Keyword::LIKE) {
                Some(self.string("a pattern in single quotes")?)
            } else {
                None
            };
            return Ok(Statement::ShowTables { schema, pattern });
        }
        if self.keyword(Keyword::SCHEMAS) || self.keyword(Keyword::DATABASES) {
            return Ok(Statement::ShowSchemas);
        }
        if self.word("SESSIONS") {
            return Ok(Statement::ShowSessions);
        }
        if self.keyword(Keyword::COLUMNS) {
            if !self.of() {
                return Err(self.expected("FROM and a table"));
            }
            return Ok(Statement::ShowColumns {
                table: self.object_name("a table's name")?,
            });
        }
        if self.keyword(Keyword::CREATE) {
            if !self.keyword(Keyword::TABLE) && !self.keyword(Keyword::VIEW) {
                return Err(self.expected("TABLE or VIEW"));
            }
            return Ok(Statement::ShowCreate {
                table: self.object_name("a name")?,
            });
        }
        if let Some(statement) = self.show_principals()? {
            return Ok(statement);
        }
        if self.keyword(Keyword::ALL) {
            return Ok(Statement::ShowAll);
        }
        if self.keywords(&[Keyword::TIME, Keyword::ZONE]) {
            return Ok(Statement::ShowVariable {
                name: TIME_ZONE.to_owned(),
            });
        }
        Ok(Statement::ShowVariable {
            name: self.setting_name()?,
        })
    }

    fn of(&mut self) -> bool {
        self.keyword(Keyword::FROM) || self.keyword(Keyword::IN)
    }

    pub(super) fn describe(&mut self) -> Result<Statement> {
        self.inner.advance_token();
        self.keyword(Keyword::TABLE);
        Ok(Statement::Describe {
            table: self.object_name("a table's name")?,
        })
    }

    pub(super) fn explain(&mut self, lines: &Lines<'_>) -> Result<Statement> {
        self.expect_keyword(Keyword::EXPLAIN)?;
        if self.keyword(Keyword::CACHE) {
            let start = self.here();
            return match self.statement_to_explain(lines)? {
                query @ Statement::Query(_) => Ok(Statement::ExplainCache(Box::new(query))),
                _ => Err(at(
                    Error::unsupported("only answers to queries are cached"),
                    start,
                )),
            };
        }
        let mut analyze = false;
        let mut verbose = false;
        loop {
            if self.keyword(Keyword::ANALYZE) {
                analyze = true;
            } else if self.keyword(Keyword::VERBOSE) {
                verbose = true;
            } else {
                break;
            }
        }
        let start = self.here();
        let statement = self.statement_to_explain(lines)?;
        match statement {
            Statement::Query(_) | Statement::Insert(_) | Statement::CreateTableAs { .. } => {
                Ok(Statement::Explain {
                    analyze,
                    verbose,
                    statement: Box::new(statement),
                })
            }
            _ => Err(at(
                Error::unsupported("only queries, INSERT and CREATE TABLE … AS have a plan"),
                start,
            )),
        }
    }

    fn statement_to_explain(&mut self, lines: &Lines<'_>) -> Result<Statement> {
        if self.inner.peek_keyword(Keyword::EXPLAIN) {
            return Err(self.expected("a query"));
        }
        self.statement(lines)
    }
}
