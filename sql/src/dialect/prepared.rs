//! `PREPARE`, `EXECUTE`, `DEALLOCATE`: statements that a session knows by name.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::error::{Error, Result};

use super::ast::Statement;
use super::error::at;
use super::parser::{Lines, Parser};

impl Parser {
    /// `PREPARE name [(type, …)] AS statement`. The types are read and not used: parameters have those of the
    /// values that they get.
    pub(super) fn prepare(&mut self, lines: &Lines<'_>) -> Result<Statement> {
        self.expect_keyword(Keyword::PREPARE)?;
        let name = self.name("the statement's name")?;
        if self.inner.peek_token_ref().token == Token::LParen {
            self.list(Self::data_type)?;
        }
        self.expect_keyword(Keyword::AS)?;
        let start = self.here();
        let statement = self.statement(lines)?;
        match statement {
            Statement::Query(_) | Statement::Insert(_) | Statement::Delete(_) | Statement::Update(_) => {}
            _ => {
                return Err(at(
                    Error::unsupported("PREPARE takes a query, INSERT, UPDATE or DELETE"),
                    start,
                ));
            }
        }
        let end = self.inner.get_current_token().span.end;
        Ok(Statement::Prepare {
            name,
            text: lines.slice(start, end).to_owned(),
        })
    }

    /// `EXECUTE name [(value, …)]`.
    pub(super) fn execute(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::EXECUTE)?;
        let name = self.name("the statement's name")?;
        let values = if self.inner.peek_token_ref().token == Token::LParen {
            self.list(|parser| parser.inner(|inner| inner.parse_expr()))?
        } else {
            Vec::new()
        };
        Ok(Statement::Execute { name, values })
    }

    /// `DEALLOCATE [PREPARE] name | ALL`.
    pub(super) fn deallocate(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::DEALLOCATE)?;
        self.keyword(Keyword::PREPARE);
        let name = if self.keyword(Keyword::ALL) {
            None
        } else {
            Some(self.name("the statement's name, or ALL")?)
        };
        Ok(Statement::Deallocate { name })
    }
}
