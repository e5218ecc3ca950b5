//! `SHOW`, `DESCRIBE`, `EXPLAIN`: what there is, and what would be done.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::error::{Error, Result};
use watershed_core::settings::TIME_ZONE;

use super::ast::Statement;
use super::create::schema_only;
use super::error::at;
use super::parser::{Lines, Parser, parse_query};

impl Parser {
    pub(super) fn show(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::SHOW)?;
        if self.keyword(Keyword::TABLES) {
            let schema = if self.of() {
                Some(schema_only(&self.object_name("a schema's name")?)?)
            } else {
                None
            };
            let pattern = self.pattern()?;
            return Ok(Statement::ShowTables { schema, pattern });
        }
        if self.word("VIEWS") {
            let schema = if self.of() {
                Some(schema_only(&self.object_name("a schema's name")?)?)
            } else {
                None
            };
            let pattern = self.pattern()?;
            return Ok(Statement::ShowViews { schema, pattern });
        }
        if self.keyword(Keyword::SCHEMAS) || self.keyword(Keyword::DATABASES) {
            let pattern = self.pattern()?;
            return Ok(Statement::ShowSchemas { pattern });
        }
        if self.word("CATALOGS") {
            let pattern = self.pattern()?;
            return Ok(Statement::ShowCatalogs { pattern });
        }
        if self.word("FUNCTIONS") {
            let pattern = self.pattern()?;
            return Ok(Statement::ShowFunctions { pattern });
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

    fn pattern(&mut self) -> Result<Option<String>> {
        if self.keyword(Keyword::LIKE) {
            return self.string("a pattern in single quotes").map(Some);
        }
        Ok(None)
    }

    fn of(&mut self) -> bool {
        self.keyword(Keyword::FROM) || self.keyword(Keyword::IN)
    }

    pub(super) fn describe(&mut self) -> Result<Statement> {
        self.inner.advance_token();
        if self.at_query() {
            return self.query().map(Statement::DescribeQuery);
        }
        self.keyword(Keyword::TABLE);
        Ok(Statement::Describe {
            table: self.object_name("a table's name")?,
        })
    }

    /// `SUMMARIZE table` or `SUMMARIZE query`.
    pub(super) fn summarize(&mut self) -> Result<Statement> {
        self.inner.advance_token();
        if self.at_query() {
            return self.query().map(Statement::Summarize);
        }
        self.keyword(Keyword::TABLE);
        let name = self.object_name("a table's name, or a query")?;
        let query = parse_query(&format!("SELECT * FROM {name}"))?;
        Ok(Statement::Summarize(query))
    }

    fn at_query(&self) -> bool {
        match &self.inner.peek_token_ref().token {
            Token::LParen => true,
            Token::Word(word) if word.quote_style.is_none() => matches!(
                word.keyword,
                Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::FROM
            ),
            _ => false,
        }
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
