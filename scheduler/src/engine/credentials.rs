//! Statements that make a hash or a secret before the catalog keeps what may be kept of it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::TimeDelta;
use datafusion::physical_plan::memory::MemoryStream;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::authorize::{Access, permit_credential};
use watershed_sql::catalog::{Catalog, Op, PrincipalOp, TokenDef, UserDef};
use watershed_sql::plan::{Credential, Plan};
use watershed_storage::error::from_datafusion;

use super::ddl;
use super::statement::{Done, Running};
use crate::auth::NewToken;

pub(super) async fn apply(running: &mut Running<'_>, credential: Credential) -> Result<Done> {
    let parts = running.engine.parts();
    let now = parts.clock.now();
    let asked = credential.clone();
    let permitted = move |access: &Access, _: &Op, _: &Catalog| permit_credential(access, &asked);
    let op = match credential {
        Credential::CreateUser {
            name,
            if_not_exists,
            password,
        } => PrincipalOp::CreateUser {
            def: UserDef {
                name,
                password: match &password {
                    Some(password) => Some(parts.logins.hash(password).await?),
                    None => None,
                },
                created_at: now,
            },
            if_not_exists,
        },
        Credential::SetPassword { user, password } => PrincipalOp::SetPassword {
            user,
            password: parts.logins.hash(&password).await?,
        },
        Credential::CreateToken { user, name, lifetime } => {
            let access = running.engine.access(&parts.catalog.current(), running.session)?;
            if !access.is_admin() {
                parts.logins.count_token(access.principal())?;
            }
            let token = NewToken::generate()?;
            let lifetime = TimeDelta::from_std(lifetime).map_err(|_| never())?;
            let def = TokenDef {
                user,
                name,
                digest: token.digest.clone(),
                created_at: now,
                expires_at: now.checked_add_signed(lifetime).ok_or_else(never)?,
            };
            let rows = shown(&def, &token)?;
            let op = Op::Principal(PrincipalOp::CreateToken(def));
            ddl::commit_if(running, op, permitted).await?;
            return Ok(rows);
        }
    };
    ddl::commit_if(running, Op::Principal(op), permitted).await?;
    Ok(Done::Nothing)
}

fn never() -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        "the token would outlive the calendar",
    )
}

/// The row that shows the secret, this once.
fn shown(def: &TokenDef, token: &NewToken) -> Result<Done> {
    let schema = Plan::token_schema();
    let text = |value: &str| Arc::new(StringArray::from_iter_values([value])) as ArrayRef;
    let expires = TimestampMicrosecondArray::from_iter_values([def.expires_at.timestamp_micros()]);
    let columns = vec![
        text(&def.name),
        text(token.secret.expose()),
        Arc::new(expires.with_timezone("UTC")) as ArrayRef,
    ];
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| from_datafusion(error.into()))?;
    let rows = MemoryStream::try_new(vec![batch], schema, None).map_err(from_datafusion)?;
    Ok(Done::Rows(Box::pin(rows)))
}
