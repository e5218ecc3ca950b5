//! Columns and keys of `CREATE TABLE` and `ALTER TABLE`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::error::{Error, Result, SqlState};
use watershed_storage::layout::Column;

use super::error::at;
use super::parser::Parser;
use super::types::declared_type;

impl Parser {
    /// `(column, …, PRIMARY KEY (…))`: the columns and the key.
    pub(super) fn columns(&mut self) -> Result<(Vec<Column>, Vec<String>)> {
        let mut columns = Vec::new();
        let mut key: Option<Vec<String>> = None;
        self.expect_token(&Token::LParen)?;
        loop {
            let start = self.here();
            let constraint = if self.keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
                Some(self.list(|parser| parser.name("a column's name"))?)
            } else if self.keyword(Keyword::CONSTRAINT) {
                self.name("the constraint's name")?;
                if !self.keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
                    return Err(self.refused_constraint());
                }
                Some(self.list(|parser| parser.name("a column's name"))?)
            } else if self.at_constraint() {
                return Err(self.refused_constraint());
            } else {
                let (column, is_key) = self.column()?;
                let key = is_key.then(|| vec![column.name.clone()]);
                columns.push(column);
                key
            };
            if let Some(found) = constraint
                && key.replace(found).is_some()
            {
                return Err(at(
                    Error::new(
                        SqlState::InvalidTableDefinition,
                        "a table has one PRIMARY KEY at most",
                    )
                    .with_hint("Write PRIMARY KEY (a, b) for a key of several columns."),
                    start,
                ));
            }
            if self.token(&Token::RParen) {
                return Ok((columns, key.unwrap_or_default()));
            }
            if !self.token(&Token::Comma) {
                return Err(self.expected(", or ) after a column"));
            }
            if self.token(&Token::RParen) {
                return Ok((columns, key.unwrap_or_default()));
            }
        }
    }

    fn at_constraint(&self) -> bool {
        let next = &self.inner.peek_nth_token_ref(1).token;
        match &self.inner.peek_token_ref().token {
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::UNIQUE | Keyword::CHECK => *next == Token::LParen,
                Keyword::FOREIGN => matches!(next, Token::Word(word) if word.keyword == Keyword::KEY),
                _ => false,
            },
            _ => false,
        }
    }

    fn refused_constraint(&self) -> Error {
        at(
            Error::unsupported("the only constraints are PRIMARY KEY and NOT NULL"),
            self.here(),
        )
    }

    /// A column and whether it is the primary key.
    pub(super) fn column(&mut self) -> Result<(Column, bool)> {
        let start = self.here();
        let name = self.name("a column's name")?;
        let place = self.here();
        let declared = self.data_type()?;
        let (data_type, limit) = declared_type(&declared).map_err(|error| match error.position() {
            Some(_) => error,
            None => at(error, place),
        })?;
        let mut column = Column::new(name, data_type);
        column.limit = limit;
        let mut is_key = false;
        let mut said_null = false;
        loop {
            if self.keywords(&[Keyword::PRIMARY, Keyword::KEY]) {
                is_key = true;
                column.nullable = false;
            } else if self.keywords(&[Keyword::NOT, Keyword::NULL]) {
                column.nullable = false;
            } else if self.keyword(Keyword::NULL) {
                said_null = true;
            } else if self.keyword(Keyword::COMMENT) {
                column.comment = Some(self.string("the comment in single quotes")?);
            } else if self.keywords(&[Keyword::GENERATED, Keyword::ALWAYS, Keyword::AS]) {
                self.expect_token(&Token::LParen)?;
                let expr = self.inner(|parser| parser.parse_expr())?;
                self.expect_token(&Token::RParen)?;
                // Values are always stored; the word changes nothing.
                self.keyword(Keyword::STORED);
                column.generated = Some(expr.to_string());
            } else {
                break;
            }
        }
        if said_null && !column.nullable {
            return Err(at(
                Error::new(
                    SqlState::InvalidTableDefinition,
                    format!("column \"{}\" is both NULL and NOT NULL", column.name),
                ),
                start,
            ));
        }
        for (word, what) in [
            ("DEFAULT", "DEFAULT"),
            ("UNIQUE", "UNIQUE"),
            ("REFERENCES", "REFERENCES"),
            ("CHECK", "CHECK"),
            ("COLLATE", "COLLATE"),
            ("GENERATED", "an identity column"),
        ] {
            let place = self.here();
            if self.word(word) {
                return Err(at(
                    Error::unsupported(format!("{what} is not supported on a column")),
                    place,
                ));
            }
        }
        Ok((column, is_key))
    }
}
