//! `GRANT` and `REVOKE`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token};
use watershed_core::error::{Error, Result, SqlState, nearest};

use super::ast::Statement;
use super::create::schema_only;
use super::error::{at, syntax};
use super::parser::Parser;
use super::principals::{PrincipalStatement, principal};
use crate::catalog::{CATALOG_NAME, ObjectName, Privilege, Privileges};

/// What a grant is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantTarget {
    Objects(Vec<ObjectName>),
    Schemas(Vec<String>),
    Catalog,
}

/// Before `ON` it is a privilege, before `TO` or `FROM` a role.
struct Word {
    folded: String,
    start: Location,
}

impl Parser {
    pub(super) fn grant(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::GRANT)?;
        let words = self.words("a privilege or a role")?;
        let statement = if self.keyword(Keyword::ON) {
            let on = self.grant_target()?;
            let privileges = privileges(&words, &on)?;
            self.expect_keyword(Keyword::TO)?;
            let to = self.grantees()?;
            PrincipalStatement::Grant { privileges, on, to }
        } else if self.keyword(Keyword::TO) {
            PrincipalStatement::GrantRoles {
                roles: words.into_iter().map(|word| word.folded).collect(),
                to: self.grantees()?,
            }
        } else {
            return Err(self.expected("ON or TO"));
        };
        let start = self.here();
        if self.keyword(Keyword::WITH) {
            return Err(at(
                Error::unsupported("WITH GRANT OPTION and WITH ADMIN OPTION are not supported")
                    .with_hint("Members of role admin are who grants."),
                start,
            ));
        }
        Ok(principal(statement))
    }

    pub(super) fn revoke(&mut self) -> Result<Statement> {
        self.expect_keyword(Keyword::REVOKE)?;
        let start = self.here();
        if self.keywords(&[Keyword::GRANT, Keyword::OPTION])
            || self.keywords(&[Keyword::ADMIN, Keyword::OPTION])
        {
            return Err(at(
                Error::unsupported("there are no grant options to revoke"),
                start,
            ));
        }
        let words = self.words("a privilege or a role")?;
        Ok(principal(if self.keyword(Keyword::ON) {
            let on = self.grant_target()?;
            let privileges = privileges(&words, &on)?;
            self.expect_keyword(Keyword::FROM)?;
            let from = self.grantees()?;
            PrincipalStatement::Revoke { privileges, on, from }
        } else if self.keyword(Keyword::FROM) {
            PrincipalStatement::RevokeRoles {
                roles: words.into_iter().map(|word| word.folded).collect(),
                from: self.grantees()?,
            }
        } else {
            return Err(self.expected("ON or FROM"));
        }))
    }

    fn words(&mut self, what: &str) -> Result<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            let start = self.here();
            let folded = self.name(what)?;
            if self.inner.peek_token_ref().token == Token::LParen {
                return Err(at(
                    Error::unsupported("privileges on single columns are not supported")
                        .with_hint("Grant SELECT on a view that gives those columns."),
                    self.here(),
                ));
            }
            if folded == "all" {
                self.word("PRIVILEGES");
            }
            words.push(Word { folded, start });
            if !self.token(&Token::Comma) {
                return Ok(words);
            }
        }
    }

    fn grantees(&mut self) -> Result<Vec<String>> {
        let mut names = vec![self.name("a user's or role's name")?];
        while self.token(&Token::Comma) {
            names.push(self.name("a user's or role's name")?);
        }
        Ok(names)
    }

    fn grant_target(&mut self) -> Result<GrantTarget> {
        let start = self.here();
        if self.keyword(Keyword::ALL) {
            return Err(at(
                Error::unsupported("grants on all tables of a schema are written ON SCHEMA")
                    .with_hint("GRANT … ON SCHEMA s holds for every table of it, now and later."),
                start,
            ));
        }
        if self.keyword(Keyword::SCHEMA) {
            let mut schemas = vec![schema_only(&self.object_name("a schema's name")?)?];
            while self.token(&Token::Comma) {
                schemas.push(schema_only(&self.object_name("a schema's name")?)?);
            }
            return Ok(GrantTarget::Schemas(schemas));
        }
        if self.keyword(Keyword::CATALOG) || self.keyword(Keyword::DATABASE) {
            let start = self.here();
            let name = self.name("the catalog's name")?;
            if name != CATALOG_NAME {
                let error = Error::new(
                    SqlState::InvalidCatalogName,
                    format!("catalog \"{name}\" does not exist"),
                );
                return Err(at(
                    error.with_hint(format!("The only catalog is \"{CATALOG_NAME}\".")),
                    start,
                ));
            }
            return Ok(GrantTarget::Catalog);
        }
        if !self.keyword(Keyword::TABLE) {
            self.keyword(Keyword::VIEW);
        }
        let mut objects = vec![self.object_name("a table's name")?];
        while self.token(&Token::Comma) {
            objects.push(self.object_name("a table's name")?);
        }
        Ok(GrantTarget::Objects(objects))
    }
}

/// The privileges that words name. `None` is all of them.
fn privileges(words: &[Word], on: &GrantTarget) -> Result<Option<Privileges>> {
    if let [only] = words
        && only.folded == "all"
    {
        return Ok(None);
    }
    let mut found = Privileges::new();
    for Word { folded, start } in words {
        let known = Privilege::ALL
            .into_iter()
            .find(|privilege| privilege.as_str().eq_ignore_ascii_case(folded));
        let Some(privilege) = known else {
            let error = syntax(format!("{} is no privilege", folded.to_uppercase()), *start);
            let names = Privilege::ALL.map(Privilege::as_str);
            return Err(match nearest(folded, names) {
                Some(near) => error.with_hint(format!("Did you mean {near}?")),
                None => error.with_hint(format!("Privileges are {}, and ALL.", names.join(", "))),
            });
        };
        if privilege == Privilege::Create && matches!(on, GrantTarget::Objects(_)) {
            return Err(syntax("CREATE is a privilege on schemas", *start)
                .with_hint("Write GRANT CREATE ON SCHEMA …."));
        }
        found.insert(privilege);
    }
    Ok(Some(found))
}
