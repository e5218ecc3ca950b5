//! Users, roles, tokens and grants.

use std::time::Duration;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token};
use watershed_core::duration;
use watershed_core::error::{Error, Result, SqlState, nearest};

use super::ast::Statement;
use super::create::schema_only;
use super::error::{at, syntax};
use super::parser::Parser;
use super::secret::Secret;
use crate::catalog::{CATALOG_NAME, ObjectName, Privilege, Privileges};

/// A statement about who there is and what each may do.
#[derive(Debug, Clone, PartialEq)]
pub enum PrincipalStatement {
    CreateUser {
        name: String,
        if_not_exists: bool,
        password: Option<Secret>,
    },
    /// Without a user, one's own.
    SetPassword {
        user: Option<String>,
        password: Secret,
    },
    DropUser {
        name: String,
        if_exists: bool,
    },
    CreateRole {
        name: String,
        if_not_exists: bool,
    },
    DropRole {
        name: String,
        if_exists: bool,
    },
    GrantRoles {
        roles: Vec<String>,
        to: Vec<String>,
    },
    RevokeRoles {
        roles: Vec<String>,
        from: Vec<String>,
    },
    Grant {
        /// `None` is ALL.
        privileges: Option<Privileges>,
        on: GrantTarget,
        to: Vec<String>,
    },
    Revoke {
        privileges: Option<Privileges>,
        on: GrantTarget,
        from: Vec<String>,
    },
    CreateToken {
        name: Option<String>,
        /// Without one, for oneself.
        user: Option<String>,
        lifetime: Option<Duration>,
    },
    DropToken {
        name: String,
        user: Option<String>,
        if_exists: bool,
    },
    ShowUsers,
    ShowRoles,
    ShowTokens,
    ShowGrants {
        of: Option<String>,
    },
}

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
    /// What follows `CREATE`, if it is a user, a role or a token.
    pub(super) fn create_principal(&mut self) -> Result<Option<Statement>> {
        let statement = if self.word("USER") {
            let if_not_exists = self.if_not_exists();
            let name = self.name("the user's name")?;
            self.keyword(Keyword::WITH);
            let password = if self.word("PASSWORD") {
                Some(self.password()?)
            } else {
                None
            };
            PrincipalStatement::CreateUser {
                name,
                if_not_exists,
                password,
            }
        } else if self.word("ROLE") {
            PrincipalStatement::CreateRole {
                if_not_exists: self.if_not_exists(),
                name: self.name("the role's name")?,
            }
        } else if self.word("TOKEN") {
            self.create_token()?
        } else {
            return Ok(None);
        };
        Ok(Some(principal(statement)))
    }

    fn create_token(&mut self) -> Result<PrincipalStatement> {
        let unnamed = matches!(&self.inner.peek_token_ref().token, Token::EOF | Token::SemiColon)
            || self.inner.peek_keyword(Keyword::FOR)
            || self.peeks("EXPIRES");
        let name = if unnamed {
            None
        } else {
            Some(self.name("the token's name")?)
        };
        let user = if self.keyword(Keyword::FOR) {
            Some(self.name("the user's name")?)
        } else {
            None
        };
        let mut lifetime = None;
        if self.word("EXPIRES") {
            let start = self.here();
            if self.word("NEVER") {
                return Err(at(
                    Error::unsupported("every token expires").with_hint("Write EXPIRES '365d' for a year."),
                    start,
                ));
            }
            self.keyword(Keyword::IN);
            let start = self.here();
            let text = self.string("a duration in single quotes, such as '30d'")?;
            lifetime = Some(duration::parse(&text).map_err(|error| at(error, start))?);
        }
        Ok(PrincipalStatement::CreateToken { name, user, lifetime })
    }

    /// What follows `DROP`, if it is a user, a role or a token.
    pub(super) fn drop_principal(&mut self) -> Result<Option<Statement>> {
        let statement = if self.word("USER") {
            PrincipalStatement::DropUser {
                if_exists: self.if_exists(),
                name: self.name("the user's name")?,
            }
        } else if self.word("ROLE") {
            PrincipalStatement::DropRole {
                if_exists: self.if_exists(),
                name: self.name("the role's name")?,
            }
        } else if self.word("TOKEN") {
            let if_exists = self.if_exists();
            let name = self.name("the token's name")?;
            let user = if self.keyword(Keyword::FOR) {
                Some(self.name("the user's name")?)
            } else {
                None
            };
            PrincipalStatement::DropToken {
                name,
                user,
                if_exists,
            }
        } else {
            return Ok(None);
        };
        Ok(Some(principal(statement)))
    }

    /// What follows `ALTER USER`.
    pub(super) fn alter_user(&mut self) -> Result<Statement> {
        let user = Some(self.name("the user's name")?);
        self.keyword(Keyword::WITH);
        if !self.word("PASSWORD") {
            return Err(self.expected("PASSWORD"));
        }
        let password = self.password()?;
        Ok(principal(PrincipalStatement::SetPassword { user, password }))
    }

    /// What follows `SET PASSWORD`.
    pub(super) fn set_password(&mut self) -> Result<Statement> {
        let user = if self.keyword(Keyword::FOR) {
            Some(self.name("the user's name")?)
        } else {
            None
        };
        if !self.token(&Token::Eq) && !self.keyword(Keyword::TO) {
            // What was found may be a password.
            return Err(syntax("expected = and a password in single quotes", self.here()));
        }
        let password = self.password()?;
        Ok(principal(PrincipalStatement::SetPassword { user, password }))
    }

    /// A password, with which a statement ends. No error here tells what was found: it may be one.
    fn password(&mut self) -> Result<Secret> {
        let start = self.here();
        self.token(&Token::Eq);
        let Ok(password) = self.string("a password") else {
            return Err(syntax("expected a password in single quotes", start)
                .with_hint("Passwords are no parameters."));
        };
        if matches!(self.inner.peek_token_ref().token, Token::EOF | Token::SemiColon) {
            return Ok(Secret::new(password));
        }
        Err(syntax(
            "expected the end of the statement after the password",
            self.here(),
        ))
    }

    /// What follows `SHOW`, if it is about principals.
    pub(super) fn show_principals(&mut self) -> Result<Option<Statement>> {
        let statement = if self.word("USERS") {
            PrincipalStatement::ShowUsers
        } else if self.word("ROLES") {
            PrincipalStatement::ShowRoles
        } else if self.word("TOKENS") {
            PrincipalStatement::ShowTokens
        } else if self.word("GRANTS") {
            let of = if self.keyword(Keyword::FOR) {
                Some(self.name("a user's or role's name")?)
            } else {
                None
            };
            PrincipalStatement::ShowGrants { of }
        } else {
            return Ok(None);
        };
        Ok(Some(principal(statement)))
    }

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

    /// Whether a word that sqlparser does not list comes next.
    fn peeks(&self, word: &str) -> bool {
        matches!(
            &self.inner.peek_token_ref().token,
            Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word)
        )
    }
}

fn principal(statement: PrincipalStatement) -> Statement {
    Statement::Principal(Box::new(statement))
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
