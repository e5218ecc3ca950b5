//! `SET`, `RESET`, `USE`: checked here, remembered by the session. `KILL`.

use watershed_core::error::{Error, Result, SqlState};
use watershed_core::settings::Settings;

use super::{Plan, PlanContext};
use crate::dialect::Statement;

pub(super) fn plan(statement: Statement, context: &PlanContext<'_>) -> Result<Plan> {
    match statement {
        Statement::Set { name, value } => {
            // Tried on a copy: what is refused changes nothing.
            let mut settings = Settings::clone(context.settings);
            match &value {
                Some(value) => settings.set(&name, value)?,
                None => settings.reset(&name)?,
            }
            Ok(Plan::Set { name, value })
        }
        Statement::Use { schema } => {
            context.check_schema(&schema, None)?;
            Ok(Plan::Use { schema })
        }
        Statement::Prepare { name, text } => Ok(Plan::Prepare { name, text }),
        Statement::Deallocate { name } => Ok(Plan::Deallocate { name }),
        Statement::Kill { statement } => match statement.parse() {
            Ok(statement) => Ok(Plan::Kill { statement }),
            Err(_) => Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("{statement:?} is no statement's id"),
            )
            .with_hint("system.queries lists statements with their ids.")),
        },
        other => Err(Error::internal(format!("nothing a session remembers: {other:?}"))),
    }
}
