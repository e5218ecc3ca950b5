//! The life of a statement, from its text to its rows or its commit.
//!
//! text → [`dialect::parse`] → one catalog snapshot → [`plan::plan`] over tables pinned to versions →
//! parameters bound → run: a query is dispatched, a write dispatched and committed, DDL appended to the
//! catalog's log. Each step fails with nothing changed.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::{FutureExt, TryStreamExt};
use tokio_util::sync::CancellationToken;
use watershed_core::id::StatementId;
use watershed_core::settings::Settings;
use watershed_core::{Error, Result, SqlState};
use watershed_sql::authorize::{Noted, authorize};
use watershed_sql::catalog::Catalog;
use watershed_sql::dialect::{self, Statement};
use watershed_sql::plan::{self, Ingest, Plan, PlanContext};

use super::limits::{Deadline, panicked, until};
use super::queries::QueryGuard;
use super::release::release;
use super::sessions::Session;
use super::tables::{PinnedTables, Versions};
use super::{Engine, credentials, ddl, ingest, parameters, writes};
use crate::cache::TextKey;
use crate::dispatch::context::StatementContext;
use crate::flight::{Executed, Outcome, Prepared, RowStream};
use crate::system::Write;

/// What a client asks for.
pub(super) enum Request<'a> {
    /// Without values for its parameters it can be planned, not run.
    Statement {
        sql: &'a str,
        parameters: Option<&'a [ScalarValue]>,
    },
    Ingest {
        into: Ingest,
        rows: Arc<dyn TableProvider>,
    },
}

impl Request<'_> {
    /// Whether it waits for its turn. What ends other statements does not wait for them.
    fn waits(&self) -> bool {
        match self {
            Self::Statement { sql, .. } => {
                let word = sql.split_whitespace().next().unwrap_or_default();
                !word.eq_ignore_ascii_case("kill")
            }
            Self::Ingest { .. } => true,
        }
    }
}

/// What a statement came to, before its rows are handed on.
pub(super) enum Done {
    Rows(SendableRecordBatchStream),
    Count(u64),
    Nothing,
}

/// A statement while it runs.
pub(super) struct Running<'a> {
    pub(super) engine: &'a Engine,
    pub(super) session: &'a Arc<Session>,
    pub(super) context: &'a Arc<StatementContext>,
    pub(super) guard: &'a QueryGuard,
    pub(super) notices: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Its text and parameters, to be run again for those who come later.
    pub(super) again: Option<(String, Vec<ScalarValue>)>,
    /// The tables and views that it names.
    pub(super) reads: Arc<Vec<(String, String)>>,
    /// The newest invalidation when it was planned.
    pub(super) invalidation: u64,
    /// Its text, and the versions of all tables it reads, where nothing else decides its answer.
    pub(super) remember: Option<(TextKey, Versions)>,
}

/// A plan, and what it was made of.
pub(super) struct Planned {
    pub(super) plan: Plan,
    reads: Vec<(String, String)>,
    versions: Option<Versions>,
    /// Whether it reads files whose columns others may change.
    reads_files: bool,
}

impl Engine {
    /// What a statement runs under that begins now.
    pub(super) fn begin(&self, settings: Settings) -> Arc<StatementContext> {
        StatementContext::new(
            StatementId::generate(),
            self.parts().clock.now(),
            settings,
            CancellationToken::new(),
        )
    }

    /// Parses and plans a statement, without running it.
    pub async fn prepare_statement(&self, session: &Arc<Session>, sql: &str) -> Result<Prepared> {
        let request = Request::Statement {
            sql,
            parameters: None,
        };
        let context = self.begin(session.settings());
        let catalog = self.newest_catalog().await?;
        let text = TextKey::of(sql, &[], session, &context.settings, catalog.version);
        if let Some(prepared) = text
            .as_ref()
            .and_then(|text| self.parts().cache.texts().prepared(text))
        {
            return Ok(Prepared::clone(&prepared));
        }
        let planning = self.plan(session, &context, &request, catalog);
        let planning = std::panic::AssertUnwindSafe(planning).catch_unwind();
        let planned = planning.await.unwrap_or_else(panicked)?;
        let plan = planned.plan;
        let prepared = Prepared {
            sql: sql.to_owned(),
            schema: plan.schema(),
            parameters: parameters::parameter_schema(&plan)?,
            is_query: plan.is_query(),
            is_ordered: plan.is_ordered(),
            plan: None,
        };
        // Files of others change their columns without a change of the catalog.
        if let (Some(text), Plan::Query(_), false) = (text, &plan, planned.reads_files) {
            self.parts()
                .cache
                .texts()
                .learn_prepared(text, Arc::new(prepared.clone()));
        }
        Ok(prepared)
    }

    /// Runs a statement.
    pub async fn run_statement(
        &self,
        session: &Arc<Session>,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<Executed> {
        let request = Request::Statement {
            sql,
            parameters: Some(parameters),
        };
        self.run(session, session.settings(), sql, request).await
    }

    /// Runs a query with settings of its own, and leaves its answer in the cache.
    pub(super) async fn refresh(
        &self,
        session: &Arc<Session>,
        settings: Settings,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<()> {
        let request = Request::Statement {
            sql,
            parameters: Some(parameters),
        };
        match self.run(session, settings, sql, request).await?.outcome {
            Outcome::Rows(rows) => rows.batches.try_for_each(|_| async { Ok(()) }).await,
            Outcome::Count(_) | Outcome::Done => Ok(()),
        }
    }

    /// Writes rows that a client streams.
    pub async fn run_ingest(
        &self,
        session: &Arc<Session>,
        into: Ingest,
        rows: RowStream,
    ) -> Result<Executed> {
        let text = format!("INGEST INTO {}", into.table);
        let threads = self.parts().dispatch.threads();
        let rows = ingest::table(rows, threads)?;
        let request = Request::Ingest { into, rows };
        self.run(session, session.settings(), &text, request).await
    }

    async fn run(
        &self,
        session: &Arc<Session>,
        settings: Settings,
        text: &str,
        request: Request<'_>,
    ) -> Result<Executed> {
        let deadline = settings.statement_timeout().map(Deadline::after);
        let context = self.begin(settings);
        let guard = self
            .parts()
            .queries
            .begin(&context, session.id, session.principal.name(), text);
        let mut running = Running {
            engine: self,
            session,
            context: &context,
            guard: &guard,
            notices: Vec::new(),
            warnings: Vec::new(),
            again: None,
            reads: Arc::default(),
            invalidation: 0,
            remember: None,
        };
        let work = async {
            let permit = match request.waits() {
                true => Some(self.parts().admission.enter().await?),
                false => None,
            };
            let catalog = self.newest_catalog().await?;
            running.invalidation = catalog.invalidations().last();
            let text = match &request {
                Request::Statement {
                    sql,
                    parameters: Some(parameters),
                } => TextKey::of(sql, parameters, session, &context.settings, catalog.version),
                Request::Statement { .. } | Request::Ingest { .. } => None,
            };
            if let Some(text) = &text
                && let Some(rows) = running.known(text).await?
            {
                return Ok((permit, Done::Rows(rows)));
            }
            if let Request::Statement {
                sql,
                parameters: Some(parameters),
            } = &request
            {
                running.again = Some(((*sql).to_owned(), parameters.to_vec()));
            }
            if let Some(text) = &text
                && let Some((generic, known, versions)) = self.known_plan(session, &context, text).await?
            {
                running.reads = Arc::clone(&known.reads);
                running.remember = Some(text.clone()).zip(versions);
                return Ok((permit, Done::Rows(running.generic(&generic, None).await?)));
            }
            let planned = self.plan(session, &context, &request, catalog).await?;
            running.reads = Arc::new(planned.reads);
            running.remember = text.zip(planned.versions);
            Ok((permit, running.perform(planned.plan).await?))
        };
        let work = std::panic::AssertUnwindSafe(work)
            .catch_unwind()
            .map(|caught| caught.unwrap_or_else(panicked));
        let done = Box::pin(until(deadline, &context, work)).await;
        let notices = std::mem::take(&mut running.notices);
        let warnings = std::mem::take(&mut running.warnings);
        let done = match done {
            Ok((permit, Done::Rows(rows))) => {
                let rows = release(rows, guard, permit, Arc::clone(&context), deadline);
                return Ok(Executed {
                    outcome: Outcome::Rows(rows),
                    notices,
                    warnings,
                });
            }
            Ok((_, Done::Count(count))) => Ok(Outcome::Count(count)),
            Ok((_, Done::Nothing)) => Ok(Outcome::Done),
            Err(error) => Err(error),
        };
        guard.end(done.as_ref().map(drop));
        done.map(|outcome| Executed {
            outcome,
            notices,
            warnings,
        })
    }

    pub(super) async fn plan(
        &self,
        session: &Arc<Session>,
        context: &Arc<StatementContext>,
        request: &Request<'_>,
        catalog: Arc<Catalog>,
    ) -> Result<Planned> {
        let parts = self.parts();
        let catalog = session.catalog(catalog);
        let state = parts.dispatch.session(context);
        let tables = PinnedTables::new(self, session, context, state);
        let (access, noted) = (self.access(&catalog, session)?, Noted::default());
        let planned = PlanContext {
            catalog,
            state,
            tables: &tables,
            current_schema: &session.schema(),
            settings: &context.settings,
            access: &access,
            noted: Some(&noted),
        };
        let plan = match request {
            Request::Statement { sql, .. } => plan::plan(only_statement(sql)?, &planned).await,
            Request::Ingest { into, rows } => plan::ingest(into, Arc::clone(rows), &planned),
        };
        let plan = authorize(plan, &planned)?;
        let plan = match request {
            Request::Statement {
                parameters: Some(parameters),
                ..
            } => plan.bind(parameters, context.settings.time_zone())?,
            Request::Statement { parameters: None, .. } | Request::Ingest { .. } => plan,
        };
        Ok(Planned {
            plan,
            reads: noted.reads(),
            reads_files: tables.reads_files(),
            versions: tables.versions(),
        })
    }
}

impl Running<'_> {
    async fn perform(&mut self, plan: Plan) -> Result<Done> {
        match plan {
            Plan::Query(plan) => self.query(plan).await.map(Done::Rows),
            Plan::Explain {
                analyze,
                verbose,
                plan,
            } => self.explain(analyze, verbose, *plan).await.map(Done::Rows),
            Plan::ExplainCache(plan) => self.explain_cache(&plan).map(Done::Rows),
            Plan::Ddl(op) => {
                ddl::apply(self, op).await?;
                Ok(Done::Nothing)
            }
            Plan::CreateTableAs { op, layout, input } => writes::create_table_as(self, op, layout, input)
                .await
                .map(Done::Count),
            Plan::Insert { table, input } => writes::insert(self, &table, input).await.map(Done::Count),
            Plan::InsertLive { table, input } => writes::live(self, Write::Insert, &table, input).await,
            Plan::DeleteLive { table, input } => writes::live(self, Write::Delete, &table, input).await,
            Plan::UpdateLive { table, input } => writes::live(self, Write::Update, &table, input).await,
            Plan::Credential(credential) => credentials::apply(self, credential).await,
            Plan::Set { name, value } => {
                self.session.set(&name, value.as_deref())?;
                Ok(Done::Nothing)
            }
            Plan::Kill { statement } => {
                self.engine.kill(self.session, statement)?;
                Ok(Done::Nothing)
            }
            Plan::Use { schema } => {
                self.session.use_schema(&schema);
                Ok(Done::Nothing)
            }
        }
    }
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
