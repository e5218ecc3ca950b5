//! `SET`, `RESET`, `USE`: what a session remembers. `KILL`: what a session, or another, runs.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::error::{Error, Result};
use watershed_core::settings::TIME_ZONE;

use super::ast::Statement;
use super::create::schema_only;
use super::error::at;
use super::parser::{Lines, Parser};

impl Parser {
    pub(super) fn set(&mut self) -> Result<Statement> {
        let start = self.here();
        self.expect_keyword(Keyword::SET)?;
        if self.keyword(Keyword::LOCAL) || self.keyword(Keyword::GLOBAL) {
            return Err(at(
                Error::unsupported("SET LOCAL and SET GLOBAL are not supported")
                    .with_hint("SET lasts as long as the session."),
                start,
            ));
        }
        self.keyword(Keyword::SESSION);
        if self.keywords(&[Keyword::TIME, Keyword::ZONE]) {
            let value = if self.keyword(Keyword::LOCAL) || self.keyword(Keyword::DEFAULT) {
                None
            } else {
                Some(self.option_value()?)
            };
            return Ok(Statement::Set {
                name: TIME_ZONE.to_owned(),
                value,
            });
        }
        if self.word("PASSWORD") {
            return self.set_password();
        }
        if self.keyword(Keyword::SCHEMA) {
            self.assignment();
            return Ok(Statement::Use {
                schema: self.schema_value()?,
            });
        }
        let name = self.setting_name()?;
        if !self.assignment() {
            return Err(self.expected("= or TO"));
        }
        if name == "search_path" {
            let schema = self.schema_value()?;
            if self.inner.peek_token_ref().token == Token::Comma {
                return Err(at(
                    Error::unsupported("a session has one current schema"),
                    self.here(),
                )
                .with_hint("Names of other schemas are written schema.name."));
            }
            return Ok(Statement::Use { schema });
        }
        if self.keyword(Keyword::DEFAULT) {
            return Ok(Statement::Set { name, value: None });
        }
        let value = self.option_value()?;
        Ok(Statement::Set {
            name,
            value: Some(value),
        })
    }

    fn assignment(&mut self) -> bool {
        self.token(&Token::Eq) || self.keyword(Keyword::TO)
    }

    fn schema_value(&mut self) -> Result<String> {
        match self.string("a schema") {
            Ok(schema) => Ok(schema),
            Err(_) => schema_only(&self.object_name("a schema's name")?),
        }
    }

    /// `name` or `watershed.name`, in lower case as settings are.
    pub(super) fn setting_name(&mut self) -> Result<String> {
        let mut name = self.name("a setting's name")?;
        while self.token(&Token::Period) {
            name = format!("{name}.{}", self.name("a setting's name")?);
        }
        Ok(match name.as_str() {
            "time_zone" => TIME_ZONE.to_owned(),
            _ => name,
        })
    }

    pub(super) fn reset(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::RESET)?;
        if self.inner.peek_keyword(Keyword::ALL) {
            return Err(at(
                Error::unsupported("RESET ALL is not supported").with_hint("RESET takes one setting's name."),
                self.here(),
            ));
        }
        if self.keywords(&[Keyword::TIME, Keyword::ZONE]) {
            return Ok(Statement::Set {
                name: TIME_ZONE.to_owned(),
                value: None,
            });
        }
        let name = self.setting_name()?;
        if name == "search_path" {
            return Ok(Statement::Use {
                schema: crate::catalog::PUBLIC_SCHEMA.to_owned(),
            });
        }
        Ok(Statement::Set { name, value: None })
    }

    /// `KILL [QUERY] id`, the id in quotes or not.
    pub(super) fn kill(&mut self, lines: &Lines<'_>) -> Result<Statement> {
        self.expect_keyword(Keyword::KILL)?;
        self.keyword(Keyword::QUERY);
        if let Ok(statement) = self.string("a statement's id") {
            return Ok(Statement::Kill { statement });
        }
        let start = self.here();
        if matches!(self.inner.peek_token_ref().token, Token::SemiColon | Token::EOF) {
            return Err(self.expected("a statement's id"));
        }
        // What is not quoted is several tokens.
        while !matches!(self.inner.peek_token_ref().token, Token::SemiColon | Token::EOF) {
            self.inner.advance_token();
        }
        let end = self.inner.get_current_token().span.end;
        Ok(Statement::Kill {
            statement: lines.slice(start, end).to_owned(),
        })
    }

    pub(super) fn use_schema(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::USE)?;
        self.keyword(Keyword::SCHEMA);
        let name = self.object_name("a schema's name")?;
        Ok(Statement::Use {
            schema: schema_only(&name)?,
        })
    }
}
