//! Users, roles and tokens.

use std::time::Duration;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;
use watershed_core::duration;
use watershed_core::error::{Error, Result};

use super::ast::Statement;
use super::error::{at, syntax};
use super::grants::GrantTarget;
use super::parser::Parser;
use super::secret::Secret;
use crate::catalog::Privileges;

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

    /// Whether a word that sqlparser does not list comes next.
    fn peeks(&self, word: &str) -> bool {
        matches!(
            &self.inner.peek_token_ref().token,
            Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word)
        )
    }
}

pub(super) fn principal(statement: PrincipalStatement) -> Statement {
    Statement::Principal(Box::new(statement))
}
