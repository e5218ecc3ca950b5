//! `ALTER TABLE` and `DROP`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token};
use watershed_core::error::{Error, Result};

use super::ast::Statement;
use super::create::schema_only;
use super::error::at;
use super::parser::Parser;
use crate::catalog::Alteration;

impl Parser {
    pub(super) fn drop_object(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::DROP)?;
        if self.keyword(Keyword::SCHEMA) {
            let if_exists = self.if_exists();
            let name = self.object_name("the schema's name")?;
            let cascade = self.keyword(Keyword::CASCADE);
            if !cascade {
                self.keyword(Keyword::RESTRICT);
            }
            return Ok(Statement::DropSchema {
                name: schema_only(&name)?,
                if_exists,
                cascade,
            });
        }
        if let Some(statement) = self.drop_principal()? {
            return Ok(statement);
        }
        let view = self.keyword(Keyword::VIEW);
        if !view {
            self.keyword(Keyword::EXTERNAL);
            if !self.keyword(Keyword::TABLE) {
                return Err(self.expected("TABLE, VIEW, SCHEMA, USER, ROLE or TOKEN"));
            }
        }
        let if_exists = self.if_exists();
        let name = self.object_name(if view {
            "the view's name"
        } else {
            "the table's name"
        })?;
        if self.inner.peek_token_ref().token == Token::Comma {
            return Err(at(
                Error::unsupported("DROP takes one name, as each statement commits by itself"),
                self.here(),
            )
            .with_hint("Write one DROP for each."));
        }
        if self.keyword(Keyword::CASCADE) {
            return Err(at(
                Error::unsupported("DROP … CASCADE is for schemas"),
                self.here(),
            ));
        }
        self.keyword(Keyword::RESTRICT);
        Ok(if view {
            Statement::DropView { name, if_exists }
        } else {
            Statement::DropTable { name, if_exists }
        })
    }

    pub(super) fn alter(&mut self) -> Result<Statement> {
        let start = self.here();
        self.expect_keyword(Keyword::ALTER)?;
        if self.word("USER") {
            return self.alter_user();
        }
        if self.keyword(Keyword::VIEW) {
            return self.alter_view(start);
        }
        if !self.keyword(Keyword::TABLE) {
            return Err(at(
                Error::unsupported("ALTER is for tables, views and users")
                    .with_hint("CREATE OR REPLACE VIEW changes a view."),
                start,
            ));
        }
        let if_exists = self.if_exists();
        let name = self.object_name("the table's name")?;
        let alteration = self.alteration()?;
        if self.inner.peek_token_ref().token == Token::Comma {
            return Err(at(
                Error::unsupported("ALTER TABLE makes one change at a time"),
                self.here(),
            )
            .with_hint("Write one ALTER TABLE for each."));
        }
        Ok(Statement::AlterTable {
            name,
            if_exists,
            alteration,
        })
    }

    fn alter_view(&mut self, start: Location) -> Result<Statement> {
        let if_exists = self.if_exists();
        let name = self.object_name("the view's name")?;
        if !self.keywords(&[Keyword::RENAME, Keyword::TO]) {
            return Err(at(
                Error::unsupported("ALTER VIEW takes RENAME TO and nothing else")
                    .with_hint("CREATE OR REPLACE VIEW changes a view."),
                start,
            ));
        }
        let to = self.name("the new name")?;
        Ok(Statement::AlterTable {
            name,
            if_exists,
            alteration: Alteration::RenameView { to },
        })
    }

    fn alteration(&mut self) -> Result<Alteration> {
        let start = self.here();
        if self.keyword(Keyword::ADD) {
            self.keyword(Keyword::COLUMN);
            let if_not_exists = self.if_not_exists();
            let (column, is_key) = self.column()?;
            if is_key {
                return Err(at(
                    Error::unsupported("a primary key is declared when a table is made"),
                    start,
                ));
            }
            return Ok(Alteration::AddColumn {
                column,
                if_not_exists,
            });
        }
        if self.keyword(Keyword::DROP) {
            self.keyword(Keyword::COLUMN);
            let if_exists = self.if_exists();
            return Ok(Alteration::DropColumn {
                name: self.name("the column's name")?,
                if_exists,
            });
        }
        if self.keyword(Keyword::RENAME) {
            if self.keyword(Keyword::TO) {
                return Ok(Alteration::RenameTable {
                    to: self.name("the new name")?,
                });
            }
            self.keyword(Keyword::COLUMN);
            let from = self.name("the column's name")?;
            self.expect_keyword(Keyword::TO)?;
            return Ok(Alteration::RenameColumn {
                from,
                to: self.name("the new name")?,
            });
        }
        for word in ["ALTER", "SET", "OWNER", "ENABLE", "DISABLE", "MODIFY", "CHANGE"] {
            if self.word(word) {
                return Err(at(
                    Error::unsupported(format!("ALTER TABLE … {word} is not supported"))
                        .with_hint("ADD COLUMN, DROP COLUMN, RENAME COLUMN and RENAME TO are."),
                    start,
                ));
            }
        }
        Err(self.expected("ADD, DROP or RENAME"))
    }
}
