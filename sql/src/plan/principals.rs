//! Users, roles, tokens and grants: what a statement about them comes to, and what `SHOW` tells.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use watershed_core::duration;
use watershed_core::error::{Error, Result, SqlState};

use super::rows::{self, Cell};
use super::{Plan, PlanContext, query};
use crate::authorize::{Need, validate};
use crate::catalog::{
    CATALOG_NAME, INFORMATION_SCHEMA, ObjectName, Op, PrincipalOp, Privilege, Privileges, Scope,
    known_principal,
};
use crate::dialect::{GrantTarget, PrincipalStatement, Secret};

/// How long a token lets its user in where the statement does not say.
const TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3_600);
const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);
/// What needs a hash or a random number before the catalog can be asked for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Credential {
    CreateUser {
        name: String,
        if_not_exists: bool,
        password: Option<Secret>,
    },
    SetPassword {
        user: String,
        password: Secret,
    },
    CreateToken {
        user: String,
        name: String,
        lifetime: Duration,
    },
}

pub(super) fn plan(statement: PrincipalStatement, context: &PlanContext<'_>) -> Result<Plan> {
    let me = || context.access.principal().to_owned();
    Ok(match statement {
        PrincipalStatement::CreateUser {
            name,
            if_not_exists,
            password,
        } => Plan::Credential(Credential::CreateUser {
            name,
            if_not_exists,
            password,
        }),
        PrincipalStatement::SetPassword { user, password } => {
            let user = user.unwrap_or_else(me);
            Plan::Credential(Credential::SetPassword { user, password })
        }
        PrincipalStatement::DropUser { name, if_exists } => op(PrincipalOp::DropUser { name, if_exists }),
        PrincipalStatement::CreateRole { name, if_not_exists } => {
            op(PrincipalOp::CreateRole { name, if_not_exists })
        }
        PrincipalStatement::DropRole { name, if_exists } => op(PrincipalOp::DropRole { name, if_exists }),
        PrincipalStatement::GrantRoles { roles, to } => op(PrincipalOp::GrantRoles { roles, to }),
        PrincipalStatement::RevokeRoles { roles, from } => op(PrincipalOp::RevokeRoles { roles, from }),
        PrincipalStatement::Grant { privileges, on, to } => {
            let (privileges, on) = granted(privileges, on, context)?;
            op(PrincipalOp::Grant { privileges, on, to })
        }
        PrincipalStatement::Revoke { privileges, on, from } => {
            let (privileges, on) = granted(privileges, on, context)?;
            op(PrincipalOp::Revoke { privileges, on, from })
        }
        PrincipalStatement::CreateToken { name, user, lifetime } => {
            let user = user.unwrap_or_else(me);
            let lifetime = check_lifetime(lifetime)?;
            let name = name.unwrap_or_else(|| free_token_name(&user, context));
            Plan::Credential(Credential::CreateToken { user, name, lifetime })
        }
        PrincipalStatement::DropToken {
            name,
            user,
            if_exists,
        } => op(PrincipalOp::DropToken {
            user: user.unwrap_or_else(me),
            token: name,
            if_exists,
        }),
        PrincipalStatement::ShowUsers => users(context)?,
        PrincipalStatement::ShowRoles => roles(context)?,
        PrincipalStatement::ShowTokens => tokens(context)?,
        PrincipalStatement::ShowGrants { of } => grants(of.as_deref(), context)?,
    })
}

fn op(op: PrincipalOp) -> Plan {
    Plan::Ddl(Op::Principal(op))
}

fn check_lifetime(asked: Option<Duration>) -> Result<Duration> {
    let lifetime = asked.unwrap_or(TOKEN_LIFETIME);
    if lifetime.is_zero() || lifetime > TOKEN_LIFETIME_MAX {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("a token cannot live for {}", duration::format(lifetime)),
        )
        .with_hint(format!(
            "It lives for {} at most, and for {} where nothing is said.",
            duration::format(TOKEN_LIFETIME_MAX),
            duration::format(TOKEN_LIFETIME)
        )));
    }
    Ok(lifetime)
}

/// `token_1`, or the first number that is free.
fn free_token_name(user: &str, context: &PlanContext<'_>) -> String {
    let principals = &context.catalog.principals;
    (1_usize..)
        .map(|number| format!("token_{number}"))
        .find(|name| principals.token(user, name).is_none())
        .unwrap_or_default()
}

/// The privileges and what they are on, with every name looked up.
fn granted(
    privileges: Option<Privileges>,
    on: GrantTarget,
    context: &PlanContext<'_>,
) -> Result<(Privileges, Vec<Scope>)> {
    let scopes: Vec<Scope> = match on {
        GrantTarget::Catalog => vec![Scope::Catalog],
        GrantTarget::Schemas(schemas) => schemas
            .into_iter()
            .map(|schema| {
                context.check_schema(&schema, None)?;
                Ok(Scope::Schema { schema })
            })
            .collect::<Result<_>>()?,
        GrantTarget::Objects(names) => names
            .iter()
            .map(|name| object_scope(name, context))
            .collect::<Result<_>>()?,
    };
    let privileges = privileges.unwrap_or_else(|| {
        let fits = |privilege: &Privilege| scopes.iter().all(|scope| privilege.fits(scope));
        Privilege::ALL.into_iter().filter(fits).collect()
    });
    Ok((privileges, scopes))
}

fn object_scope(name: &ObjectName, context: &PlanContext<'_>) -> Result<Scope> {
    if name.schema_or(context.current_schema) == INFORMATION_SCHEMA {
        return Err(name
            .error(
                SqlState::WrongObjectType,
                format!("everyone may read \"{name}\", which shows what its reader may see"),
            )
            .with_hint("Grant privileges on the objects that it should show."));
    }
    let object = context.resolve(name, context.current_schema)?;
    Ok(Scope::object(object.schema(), object.name()))
}

fn shown(name: &str, columns: &[&str], rows: &[Vec<Cell>], context: &PlanContext<'_>) -> Result<Plan> {
    let plan = rows::plan(name, columns, rows)?;
    Ok(Plan::Query(query::finish(plan, context)?))
}

/// Everyone for an admin, oneself for others.
fn users(context: &PlanContext<'_>) -> Result<Plan> {
    let rows: Vec<Vec<Cell>> = context
        .catalog
        .principals
        .users()
        .filter(|user| context.access.is(&user.name))
        .map(|user| {
            vec![
                user.name.as_str().into(),
                super::show::yes_no(user.password.is_some()).into(),
                user.created_at.to_rfc3339().into(),
            ]
        })
        .collect();
    shown(
        "users",
        &["user_name", "has_password", "created_at"],
        &rows,
        context,
    )
}

/// A role and each of its members; a role without any has one row.
fn roles(context: &PlanContext<'_>) -> Result<Plan> {
    let principals = &context.catalog.principals;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for role in principals.roles().filter(|role| context.access.is(role)) {
        let members: Vec<&str> = principals
            .memberships()
            .filter(|(member, of)| *of == role && (context.access.is_admin() || context.access.is(member)))
            .map(|(member, _)| member)
            .collect();
        if members.is_empty() {
            rows.push(vec![role.into(), Cell::from(None)]);
        }
        rows.extend(members.into_iter().map(|member| vec![role.into(), member.into()]));
    }
    shown("roles", &["role_name", "member"], &rows, context)
}

fn tokens(context: &PlanContext<'_>) -> Result<Plan> {
    let rows: Vec<Vec<Cell>> = context
        .catalog
        .principals
        .tokens()
        .filter(|token| context.access.is(&token.user))
        .map(|token| {
            vec![
                token.user.as_str().into(),
                token.name.as_str().into(),
                token.created_at.to_rfc3339().into(),
                token.expires_at.to_rfc3339().into(),
            ]
        })
        .collect();
    let columns = ["user_name", "token_name", "created_at", "expires_at"];
    shown("tokens", &columns, &rows, context)
}

/// Memberships and privileges: of one and all its roles, or all that one may see.
fn grants(of: Option<&str>, context: &PlanContext<'_>) -> Result<Plan> {
    let principals = &context.catalog.principals;
    if let Some(name) = of {
        // Whether the name exists is told only to those who may ask about it.
        validate(
            context.access,
            &[Need::Being(name.to_owned(), "see others' grants")],
        )?;
        known_principal(principals, name)?;
    }
    let effective = of.map(|name| principals.effective(name));
    let holds = |grantee: &str| match &effective {
        Some(effective) => effective.contains(grantee),
        None => context.access.is(grantee),
    };
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (member, role) in principals.memberships().filter(|(member, _)| holds(member)) {
        rows.push(vec![member.into(), "MEMBER".into(), "ROLE".into(), role.into()]);
    }
    for (grantee, scope, privileges) in principals.grants().filter(|(grantee, ..)| holds(grantee)) {
        let (kind, name) = match scope {
            Scope::Catalog => ("CATALOG", CATALOG_NAME.to_owned()),
            Scope::Schema { schema } => ("SCHEMA", schema.clone()),
            Scope::Object { schema, name } => ("TABLE", format!("{schema}.{name}")),
        };
        for privilege in privileges {
            rows.push(vec![
                grantee.into(),
                privilege.as_str().into(),
                kind.into(),
                name.as_str().into(),
            ]);
        }
    }
    shown(
        "grants",
        &["grantee", "privilege", "object_type", "object_name"],
        &rows,
        context,
    )
}

/// What `CREATE TOKEN` answers: one row, whose secret is shown this once.
pub(super) fn token_schema() -> SchemaRef {
    let expires = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("token", DataType::Utf8, false),
        Field::new("expires_at", expires, false),
    ]))
}
