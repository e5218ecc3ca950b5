//! The life of a statement, from its text to its rows or its commit.
//!
//! text → [`watershed_sql::dialect::parse`] → one catalog snapshot → a [`Plan`] over tables pinned to versions →
//! parameters bound → run: a query is dispatched, a write dispatched and committed, DDL appended to the
//! catalog's log. Each step fails with nothing changed.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;
use watershed_core::id::StatementId;
use watershed_core::settings::Settings;
use watershed_core::{Result, SqlState};
use watershed_sql::plan::{Ingest, IngestMode, Plan};

use super::limits::{Deadline, planning, until};
use super::place::Place;
use super::queries::QueryNotes;
use super::release::release;
use super::request::Request;
use super::sessions::Session;
use super::tables::Versions;
use super::{Engine, credentials, ddl, ingest, parameters, writes};
use crate::cache::TextKey;
use crate::dispatch::context::StatementContext;
use crate::flight::{Executed, Outcome, Prepared, RowStream};
use crate::system::Write;

/// What a statement came to, and what is to be said with it.
struct Finished {
    place: Option<Place>,
    done: Done,
    notices: Vec<String>,
    warnings: Vec<String>,
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
    pub(super) guard: &'a QueryNotes,
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
    /// Its place among those that run.
    pub(super) place: Option<Place>,
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

    /// Parses and plans a statement, without running it. Values for its parameters may decide about the types of
    /// its rows.
    pub async fn prepare_statement(
        &self,
        session: &Arc<Session>,
        sql: &str,
        values: Option<&[ScalarValue]>,
    ) -> Result<Prepared> {
        let request = Request::Statement {
            sql: sql.to_owned(),
            parameters: values.map(<[_]>::to_vec),
        };
        let context = self.begin(session.settings());
        let catalog = self.newest_catalog().await?;
        let bound = values.unwrap_or_default();
        let text = TextKey::of(sql, bound, session, &context.settings, catalog.version);
        if let Some(prepared) = text
            .as_ref()
            .and_then(|text| self.parts().cache.texts().prepared(text))
        {
            return Ok(Prepared::clone(&prepared));
        }
        let deadline = context.settings.statement_timeout().map(Deadline::after);
        let (engine, session, statement) = (self.clone(), Arc::clone(session), Arc::clone(&context));
        let waits = request.waits();
        let work = async move {
            let work = Box::pin(engine.plan(&session, &statement, &request, catalog));
            planning(deadline, &statement, work).await
        };
        let work = self.run_there(waits, work);
        let planned = Box::pin(until(deadline, &context, work)).await?;
        let plan = planned.plan;
        let prepared = Prepared {
            sql: sql.to_owned(),
            schema: plan.schema(),
            parameters: parameters::schema(&planned.parameters),
            keeps: parameters::keeps(&planned.parameters),
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
            sql: sql.to_owned(),
            parameters: Some(parameters.to_vec()),
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
            sql: sql.to_owned(),
            parameters: Some(parameters.to_vec()),
        };
        match self.run(session, settings, sql, request).await?.outcome {
            Outcome::Rows(rows) => rows.batches.try_for_each(|_| async { Ok(()) }).await,
            Outcome::Count(_) | Outcome::Done => Ok(()),
        }
    }

    /// Writes rows that a client streams. `text` is what the list of statements shows.
    pub async fn run_ingest(
        &self,
        session: &Arc<Session>,
        into: Ingest,
        rows: RowStream,
        text: Option<&str>,
    ) -> Result<Executed> {
        let text = text.map_or_else(|| format!("INGEST INTO {}", into.table), ToOwned::to_owned);
        let threads = self.parts().dispatch.threads();
        if into.mode == IngestMode::CreateOrAppend {
            let schema = Arc::clone(&rows.schema);
            self.create_first(session, &into, schema, &text).await?;
        }
        let place = self.place(session)?;
        let rows = ingest::table(place.received(rows), threads)?;
        let request = Request::Ingest { into, rows, place };
        self.run(session, session.settings(), &text, request).await
    }

    /// Makes the table that rows are to be appended to where there is none, without any row. Of several clients that do
    /// so at the same time one makes it, and all append: the rows of each can be read only once.
    async fn create_first(
        &self,
        session: &Arc<Session>,
        into: &Ingest,
        schema: SchemaRef,
        text: &str,
    ) -> Result<()> {
        let catalog = session.catalog(self.newest_catalog().await?);
        if catalog.find(&into.table, &session.schema()).is_some() {
            return Ok(());
        }
        let none = RowStream::new(schema, futures::stream::empty().boxed());
        let request = Request::Ingest {
            into: Ingest {
                table: into.table.clone(),
                mode: IngestMode::Create,
            },
            rows: ingest::table(none, 1)?,
            place: self.place(session)?,
        };
        match self.run(session, session.settings(), text, request).await {
            Err(error) if error.code() != SqlState::DuplicateTable => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn run(
        &self,
        session: &Arc<Session>,
        settings: Settings,
        text: &str,
        request: Request,
    ) -> Result<Executed> {
        let deadline = settings.statement_timeout().map(Deadline::after);
        let context = self.begin(settings);
        let waits = request.waits();
        let guard = self
            .parts()
            .queries
            .begin(&context, session.id, session.principal.name(), text);
        let work = Box::pin(self.clone().finish(
            Arc::clone(session),
            Arc::clone(&context),
            guard.notes().clone(),
            deadline,
            request,
        ));
        let work = self.run_there(waits, work);
        let Finished {
            place,
            done,
            notices,
            warnings,
        } = match Box::pin(until(deadline, &context, work)).await {
            Ok(finished) => finished,
            Err(error) => {
                guard.end(Err(&error));
                return Err(error);
            }
        };
        let outcome = match done {
            Done::Rows(rows) => {
                let threads = &self.parts().statements;
                Outcome::Rows(release(rows, guard, place, context, deadline, threads))
            }
            Done::Count(count) => {
                guard.end(Ok(()));
                Outcome::Count(count)
            }
            Done::Nothing => {
                guard.end(Ok(()));
                Outcome::Done
            }
        };
        Ok(Executed {
            outcome,
            notices,
            warnings,
        })
    }

    async fn finish(
        self,
        session: Arc<Session>,
        context: Arc<StatementContext>,
        notes: QueryNotes,
        deadline: Option<Deadline>,
        request: Request,
    ) -> Result<Finished> {
        let mut running = Running {
            engine: &self,
            session: &session,
            context: &context,
            guard: &notes,
            notices: Vec::new(),
            warnings: Vec::new(),
            again: None,
            reads: Arc::default(),
            invalidation: 0,
            remember: None,
            place: match &request {
                Request::Ingest { place, .. } => Some(place.clone()),
                Request::Statement { .. } if request.waits() => Some(self.place(&session)?),
                Request::Statement { .. } => None,
            },
        };
        let done = match running.place.clone() {
            // What is known already needs no place.
            Some(place) if !place.try_enter() => match running.waiting(&request).await? {
                Some(rows) => Done::Rows(rows),
                None => {
                    place.enter().await?;
                    running.done(deadline, &request).await?
                }
            },
            Some(_) | None => running.done(deadline, &request).await?,
        };
        Ok(Finished {
            place: running.place,
            done,
            notices: running.notices,
            warnings: running.warnings,
        })
    }
}

impl Running<'_> {
    /// Runs it, from its text on.
    async fn done(&mut self, deadline: Option<Deadline>, request: &Request) -> Result<Done> {
        let (engine, session, context) = (self.engine, self.session, self.context);
        let catalog = engine.newest_catalog().await?;
        self.invalidation = catalog.invalidations().last();
        let text = self.text(request, catalog.version);
        if let Some(text) = &text
            && let Some(rows) = self.known(text).await?
        {
            return Ok(Done::Rows(rows));
        }
        if let Request::Statement {
            sql,
            parameters: Some(parameters),
        } = request
        {
            self.again = Some((sql.clone(), parameters.clone()));
        }
        if let Some(text) = &text
            && let Some((generic, known, versions)) = engine.known_plan(session, context, text).await?
        {
            self.reads = Arc::clone(&known.reads);
            self.remember = Some(text.clone()).zip(versions);
            return Ok(Done::Rows(self.generic(&generic, None).await?));
        }
        let work = async {
            let planned = engine.plan(session, context, request, catalog).await?;
            self.reads = Arc::new(planned.reads);
            self.remember = text.zip(planned.versions);
            self.perform(planned.plan).await
        };
        Box::pin(planning(deadline, context, work)).await
    }

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
            Plan::Prepare { name, text } => {
                self.session.prepare(&name, &text)?;
                Ok(Done::Nothing)
            }
            Plan::Deallocate { name } => {
                self.session.deallocate(name.as_deref())?;
                Ok(Done::Nothing)
            }
            Plan::Use { schema } => {
                self.session.use_schema(&schema);
                Ok(Done::Nothing)
            }
        }
    }
}
