//! SQL text becomes a plan, over tables pinned to versions and with the values of its parameters.

use std::sync::Arc;

use watershed_core::{Error, Result, SqlState};
use watershed_sql::authorize::{Noted, authorize};
use watershed_sql::catalog::{Catalog, TEMPORARY_SCHEMA};
use watershed_sql::dialect::{self, Statement};
use watershed_sql::plan::{self, Parameter, Parameters, Plan, PlanContext, Scans};

use super::Engine;
use super::request::Request;
use super::sessions::Session;
use super::tables::{PinnedTables, Versions};
use crate::dispatch::context::StatementContext;

/// A plan, and what it was made of.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) reads: Vec<(String, String)>,
    pub(super) versions: Option<Versions>,
    pub(super) parameters: Vec<Parameter>,
    /// Whether it reads files whose columns others may change.
    pub(super) reads_files: bool,
}

impl Engine {
    pub(super) async fn plan(
        &self,
        session: &Arc<Session>,
        context: &Arc<StatementContext>,
        request: &Request,
        catalog: Arc<Catalog>,
    ) -> Result<Planned> {
        let parts = self.parts();
        let catalog = session.catalog(catalog);
        let state = parts.dispatch.session(context);
        let tables = PinnedTables::new(self, session, context, state);
        let access = self.access(&catalog, session)?;
        let (noted, scans) = (Noted::default(), Scans::default());
        let parameters = match request {
            Request::Statement {
                parameters: Some(values),
                ..
            } => Parameters::bound(values),
            Request::Statement { parameters: None, .. } | Request::Ingest { .. } => Parameters::default(),
        };
        let planned = PlanContext {
            catalog,
            state,
            tables: &tables,
            current_schema: &session.schema(),
            settings: &context.settings,
            access: &access,
            noted: Some(&noted),
            scans: &scans,
            parameters: &parameters,
        };
        let (statement, executed) = match request {
            Request::Statement { sql, .. } => {
                let (statement, values) = prepared(only_statement(sql)?, session, &planned)?;
                (Some(statement), values)
            }
            Request::Ingest { .. } => (None, None),
        };
        let parameters = executed.as_ref().unwrap_or(&parameters);
        let planned = PlanContext {
            parameters,
            ..planned
        };
        let plan = match (statement, request) {
            (Some(statement), _) => plan::plan(statement, &planned).await,
            (None, Request::Ingest { into, rows, .. }) => plan::ingest(into, Arc::clone(rows), &planned),
            (None, Request::Statement { .. }) => Err(Error::internal("there is nothing to plan")),
        };
        let plan = authorize(plan, &planned)?;
        let plan = match parameters.values() {
            Some(_) => plan.bind(parameters, context.settings.time_zone())?,
            None => plan,
        };
        Ok(Planned {
            plan,
            reads: match scans.is_personal() {
                true => [noted.reads(), vec![personal()]].concat(),
                false => noted.reads(),
            },
            reads_files: tables.reads_files(),
            versions: tables.versions(),
            // Those of a statement that EXECUTE names have their values already.
            parameters: match executed {
                Some(_) => Vec::new(),
                None => parameters.found(),
            },
        })
    }
}

/// What nobody else reads: in the schema of a session's own objects, as its temporary tables are.
fn personal() -> (String, String) {
    (TEMPORARY_SCHEMA.to_owned(), "current_user".to_owned())
}

/// The statement that EXECUTE names, and the values that it gives it. All others are what they are.
fn prepared(
    statement: Statement,
    session: &Session,
    context: &PlanContext<'_>,
) -> Result<(Statement, Option<Parameters>)> {
    let Statement::Execute { name, values } = statement else {
        return Ok((statement, None));
    };
    let statement = only_statement(&session.prepared(&name)?)?;
    let values = plan::constants(values, context)?;
    Ok((statement, Some(Parameters::bound(&values))))
}

/// The text's one statement.
fn only_statement(sql: &str) -> Result<Statement> {
    let mut statements = dialect::parse(sql)?.into_iter();
    match (statements.next(), statements.next()) {
        (Some(only), None) => Ok(only.statement),
        (None, _) => Err(Error::new(
            SqlState::SyntaxError,
            "there is no statement in the text",
        )),
        (Some(_), Some(_)) => Err(Error::new(
            SqlState::SyntaxError,
            "there is more than one statement in the text",
        )
        .with_hint("Send one statement at a time.")),
    }
}
