//! The rules of users, roles and tokens.

use chrono::{DateTime, Utc};
use watershed_core::error::{Error, Result, SqlState, nearest};

use super::{Decision, grants};
use crate::catalog::model::Catalog;
use crate::catalog::principals::{
    ADMIN, PUBLIC, PasswordHash, Principals, Privileges, Scope, TokenDef, UserDef,
};
use crate::catalog::record::Change;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 128;
const USERS_MAX: usize = 10_000;
const ROLES_MAX: usize = 1_000;
/// Tokens of one user that have not expired.
const TOKENS_MAX: usize = 100;
/// Roles that one user or role is made a member of.
const MEMBERSHIPS_MAX: usize = 100;

/// Names that mean something else: who is nobody, and what stands for whoever asks.
const RESERVED: [&str; 4] = ["anonymous", "current_user", "session_user", "user"];

/// A change of users, roles, tokens or grants, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub enum PrincipalOp {
    CreateUser {
        def: UserDef,
        if_not_exists: bool,
    },
    SetPassword {
        user: String,
        password: PasswordHash,
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
        privileges: Privileges,
        on: Vec<Scope>,
        to: Vec<String>,
    },
    Revoke {
        privileges: Privileges,
        on: Vec<Scope>,
        from: Vec<String>,
    },
    CreateToken(TokenDef),
    DropToken {
        user: String,
        token: String,
        if_exists: bool,
    },
}

impl PrincipalOp {
    pub(super) fn decide(&self, catalog: &Catalog) -> Result<Decision> {
        let principals = &*catalog.principals;
        match self {
            Self::CreateUser { def, if_not_exists } => create_user(principals, def, *if_not_exists),
            Self::SetPassword { user, password } => {
                known_user(principals, user)?;
                Ok(Decision::changes(vec![Change::PasswordSet {
                    user: user.clone(),
                    password: password.clone(),
                }]))
            }
            Self::DropUser { name, if_exists } => drop_user(principals, name, *if_exists),
            Self::CreateRole { name, if_not_exists } => create_role(principals, name, *if_not_exists),
            Self::DropRole { name, if_exists } => drop_role(principals, name, *if_exists),
            Self::GrantRoles { roles, to } => grant_roles(principals, roles, to),
            Self::RevokeRoles { roles, from } => revoke_roles(principals, roles, from),
            Self::Grant { privileges, on, to } => grants::grant(catalog, privileges, on, to),
            Self::Revoke { privileges, on, from } => grants::revoke(catalog, privileges, on, from),
            Self::CreateToken(def) => create_token(principals, def),
            Self::DropToken {
                user,
                token,
                if_exists,
            } => drop_token(principals, user, token, *if_exists),
        }
    }
}

/// An error unless the user is there and is managed by statements.
fn known_user<'p>(principals: &'p Principals, name: &str) -> Result<&'p UserDef> {
    if let Some(user) = principals.user(name) {
        return Ok(user);
    }
    if name == ADMIN {
        return Err(Error::unsupported("user \"admin\" is built in and cannot be changed").with_hint(
            "It has the password that the scheduler was started with. Make users of your own and GRANT admin TO them.",
        ));
    }
    if principals.is_role(name) {
        return Err(Error::new(
            SqlState::WrongObjectType,
            format!("\"{name}\" is a role and not a user"),
        ));
    }
    Err(unknown(
        "user",
        name,
        principals.users().map(|user| user.name.as_str()),
    ))
}

fn known_role(principals: &Principals, name: &str) -> Result<()> {
    if principals.is_role(name) {
        return Ok(());
    }
    if principals.user(name).is_some() {
        return Err(Error::new(
            SqlState::WrongObjectType,
            format!("\"{name}\" is a user and not a role"),
        ));
    }
    Err(unknown("role", name, principals.roles()))
}

/// An error unless it is a user or a role.
pub(crate) fn known(principals: &Principals, name: &str) -> Result<()> {
    if principals.contains(name) {
        return Ok(());
    }
    Err(unknown("user or role", name, principals.names()))
}

fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Error {
    let error = Error::new(
        SqlState::UndefinedObject,
        format!("{what} \"{name}\" does not exist"),
    );
    match nearest(name, known) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error,
    }
}

/// An error unless a user, role or token may be called so.
fn check_name(what: &str, name: &str) -> Result<()> {
    let error = |why: String| Err(Error::new(SqlState::InvalidParameterValue, why));
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return error(format!("a {what}'s name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    // A password follows a colon where drivers send both.
    if name.contains(':') || name.contains(char::is_control) {
        return error(format!("a {what}'s name has no colon and no control characters"));
    }
    if RESERVED.contains(&name) && what != "token" {
        return error(format!("no user or role can be called \"{name}\""));
    }
    Ok(())
}

pub(super) fn crowded(what: &str, max: usize) -> Error {
    Error::new(
        SqlState::InsufficientResources,
        format!("there are {max} {what} already, and no more are kept"),
    )
    .with_hint("Drop those that are not needed.")
}

/// What there is under a name that is to be given, as the outcome of giving it again.
fn taken(principals: &Principals, name: &str, role: bool, if_not_exists: bool) -> Option<Result<Decision>> {
    if !principals.contains(name) && name != ADMIN {
        return None;
    }
    let is_role = principals.is_role(name);
    let message = format!(
        "{} \"{name}\" exists already",
        if is_role { "role" } else { "user" }
    );
    if if_not_exists && is_role == role {
        return Some(Ok(Decision::nothing(message)));
    }
    let error = Error::new(SqlState::DuplicateObject, message);
    Some(Err(if is_role == role {
        error.with_hint("Write IF NOT EXISTS to go on.")
    } else {
        error.with_hint("A name is a user's or a role's, never both.")
    }))
}

fn create_user(principals: &Principals, def: &UserDef, if_not_exists: bool) -> Result<Decision> {
    if let Some(outcome) = taken(principals, &def.name, false, if_not_exists) {
        return outcome;
    }
    check_name("user", &def.name)?;
    if principals.users().len() >= USERS_MAX {
        return Err(crowded("users", USERS_MAX));
    }
    Ok(Decision::changes(vec![Change::UserCreated(def.clone())]))
}

fn drop_user(principals: &Principals, name: &str, if_exists: bool) -> Result<Decision> {
    if if_exists && !principals.contains(name) {
        return Ok(Decision::nothing(format!("user \"{name}\" does not exist")));
    }
    known_user(principals, name)?;
    Ok(Decision::changes(vec![Change::UserDropped {
        name: name.to_owned(),
    }]))
}

fn create_role(principals: &Principals, name: &str, if_not_exists: bool) -> Result<Decision> {
    if let Some(outcome) = taken(principals, name, true, if_not_exists) {
        return outcome;
    }
    check_name("role", name)?;
    if principals.roles().len() >= ROLES_MAX {
        return Err(crowded("roles", ROLES_MAX));
    }
    Ok(Decision::changes(vec![Change::RoleCreated {
        name: name.to_owned(),
    }]))
}

fn drop_role(principals: &Principals, name: &str, if_exists: bool) -> Result<Decision> {
    if if_exists && !principals.contains(name) {
        return Ok(Decision::nothing(format!("role \"{name}\" does not exist")));
    }
    known_role(principals, name)?;
    if name == ADMIN || name == PUBLIC {
        return Err(Error::unsupported(format!(
            "role \"{name}\" is built in and cannot be dropped"
        )));
    }
    Ok(Decision::changes(vec![Change::RoleDropped {
        name: name.to_owned(),
    }]))
}

fn grant_roles(principals: &Principals, roles: &[String], to: &[String]) -> Result<Decision> {
    let mut after = principals.clone();
    let mut changes = Vec::new();
    for member in to {
        known(principals, member)?;
        for role in roles {
            known_role(principals, role)?;
            check_membership(&after, role, member)?;
            if after.roles_of(member).any(|known| known == role) {
                continue;
            }
            if after.roles_of(member).count() >= MEMBERSHIPS_MAX {
                return Err(crowded("roles granted to it", MEMBERSHIPS_MAX));
            }
            let change = Change::RoleGranted {
                role: role.clone(),
                member: member.clone(),
            };
            after.apply(&change);
            changes.push(change);
        }
    }
    Ok(decided(changes, "every one of them is a member already"))
}

/// An error where a membership would mean nothing, or would go in a circle.
fn check_membership(principals: &Principals, role: &str, member: &str) -> Result<()> {
    let why = if role == PUBLIC {
        "Everyone is a member of \"public\"."
    } else if member == ADMIN {
        "Who is \"admin\" may do everything already."
    } else if role == ADMIN && member == PUBLIC {
        "Everyone could do everything."
    } else if member != PUBLIC && principals.effective(role).contains(member) {
        "Roles are not members of themselves, neither directly nor by others."
    } else {
        return Ok(());
    };
    Err(Error::new(
        SqlState::InvalidParameterValue,
        format!("role \"{role}\" cannot be granted to \"{member}\""),
    )
    .with_detail(why))
}

fn revoke_roles(principals: &Principals, roles: &[String], from: &[String]) -> Result<Decision> {
    let mut changes = Vec::new();
    for member in from {
        known(principals, member)?;
        for role in roles {
            known_role(principals, role)?;
            if principals.roles_of(member).any(|known| known == role) {
                changes.push(Change::RoleRevoked {
                    role: role.clone(),
                    member: member.clone(),
                });
            }
        }
    }
    Ok(decided(changes, "none of them was made a member"))
}

pub(super) fn decided(changes: Vec<Change>, nothing: &str) -> Decision {
    if changes.is_empty() {
        Decision::nothing(nothing)
    } else {
        Decision::changes(changes)
    }
}

fn create_token(principals: &Principals, def: &TokenDef) -> Result<Decision> {
    known_user(principals, &def.user)?;
    check_name("token", &def.name)?;
    // Those that let nobody in any more make room.
    let expired = |token: &&TokenDef| is_expired(token, def.created_at);
    let mut changes: Vec<Change> = principals
        .tokens_of(&def.user)
        .filter(expired)
        .map(|token| Change::TokenDropped {
            user: token.user.clone(),
            token: token.name.clone(),
        })
        .collect();
    if principals
        .tokens_of(&def.user)
        .any(|token| token.name == def.name && !expired(&token))
    {
        return Err(Error::new(
            SqlState::DuplicateObject,
            format!("token \"{}\" of user \"{}\" exists already", def.name, def.user),
        )
        .with_hint("Give it another name, or drop the other first."));
    }
    if principals.tokens_of(&def.user).count() - changes.len() >= TOKENS_MAX {
        return Err(crowded("tokens of this user", TOKENS_MAX));
    }
    changes.push(Change::TokenCreated(def.clone()));
    Ok(Decision::changes(changes))
}

fn is_expired(token: &TokenDef, now: DateTime<Utc>) -> bool {
    token.expires_at <= now
}

fn drop_token(principals: &Principals, user: &str, token: &str, if_exists: bool) -> Result<Decision> {
    if principals.token(user, token).is_some() {
        return Ok(Decision::changes(vec![Change::TokenDropped {
            user: user.to_owned(),
            token: token.to_owned(),
        }]));
    }
    let message = format!("token \"{token}\" of user \"{user}\" does not exist");
    if if_exists {
        return Ok(Decision::nothing(message));
    }
    known_user(principals, user)?;
    let error = Error::new(SqlState::UndefinedObject, message);
    let known = principals.tokens_of(user).map(|token| token.name.as_str());
    Err(match nearest(token, known) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error,
    })
}
