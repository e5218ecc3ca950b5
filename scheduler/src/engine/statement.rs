//! The life of a statement, from its text to its rows or its commit.
//!
//! text → [`dialect::parse`] → one catalog snapshot → [`plan::plan`] over tables pinned to versions →
//! parameters bound → run: a query is dispatched, a write dispatched and committed, DDL appended to the
//! catalog's log. Each step fails with nothing changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::{FutureExt, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use watershed_core::id::StatementId;
use watershed_core::{Error, Result, SqlState, telemetry};
use watershed_sql::authorize::{Noted, authorize};
use watershed_sql::dialect::{self, Statement};
use watershed_sql::plan::{self, Plan, PlanContext};
use watershed_storage::error::from_datafusion;

use super::admission::Permit;
use super::queries::QueryGuard;
use super::sessions::Session;
use super::tables::PinnedTables;
use super::{Engine, credentials, ddl, parameters, writes};
use crate::dispatch::context::{Counters, StatementContext};
use crate::dispatch::{Job, explain};
use crate::flight::{Executed, Outcome, Prepared, RowStream};

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
}

impl Engine {
    /// Parses and plans a statement, without running it.
    pub async fn prepare_statement(&self, session: &Arc<Session>, sql: &str) -> Result<Prepared> {
        let context = StatementContext::new(
            StatementId::generate(),
            self.parts().clock.now(),
            session.settings(),
            CancellationToken::new(),
        );
        let planning = std::panic::AssertUnwindSafe(self.plan(session, &context, sql)).catch_unwind();
        let plan = planning.await.unwrap_or_else(panicked)?;
        Ok(Prepared {
            sql: sql.to_owned(),
            schema: plan.schema(),
            parameters: parameters::parameter_schema(&plan)?,
            is_query: plan.is_query(),
            plan: None,
        })
    }

    /// Runs a statement.
    pub async fn run_statement(
        &self,
        session: &Arc<Session>,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<Executed> {
        let settings = session.settings();
        let deadline = settings.statement_timeout().map(Deadline::after);
        let context = StatementContext::new(
            StatementId::generate(),
            self.parts().clock.now(),
            settings,
            CancellationToken::new(),
        );
        let guard = self
            .parts()
            .queries
            .begin(&context, session.id, session.principal.name(), sql);
        let mut running = Running {
            engine: self,
            session,
            context: &context,
            guard: &guard,
            notices: Vec::new(),
        };
        let work = async {
            let permit = self.parts().admission.enter().await?;
            let plan = self.plan(session, &context, sql).await?.bind(parameters)?;
            Ok((permit, running.perform(plan).await?))
        };
        let work = std::panic::AssertUnwindSafe(work)
            .catch_unwind()
            .map(|caught| caught.unwrap_or_else(panicked));
        let done = Box::pin(until(deadline, &context.cancel, work)).await;
        let notices = std::mem::take(&mut running.notices);
        let done = match done {
            Ok((permit, Done::Rows(rows))) => {
                let rows = release(rows, guard, permit, Arc::clone(&context), deadline);
                return Ok(Executed {
                    outcome: Outcome::Rows(rows),
                    notices,
                    warnings: Vec::new(),
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
            warnings: Vec::new(),
        })
    }

    async fn plan(&self, session: &Arc<Session>, context: &Arc<StatementContext>, sql: &str) -> Result<Plan> {
        let statement = only_statement(sql)?;
        let parts = self.parts();
        let catalog = parts.catalog.refresh().await?;
        let state = parts.dispatch.session(context);
        let tables = PinnedTables::new(self, session, context, &state);
        let (access, noted) = (self.access(&catalog, session)?, Noted::default());
        let planned = PlanContext {
            catalog,
            state: &state,
            tables: &tables,
            current_schema: &session.schema(),
            settings: &context.settings,
            access: &access,
            noted: Some(&noted),
        };
        authorize(plan::plan(statement, &planned).await, &planned)
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
            Plan::Ddl(op) => {
                ddl::apply(self, op).await?;
                Ok(Done::Nothing)
            }
            Plan::CreateTableAs { op, layout, input } => writes::create_table_as(self, op, layout, input)
                .await
                .map(Done::Count),
            Plan::Insert { table, input } => writes::insert(self, &table, input).await.map(Done::Count),
            Plan::InsertLive { table, input } => {
                crate::system::insert(self.engine, self.context, &table, input)
                    .await
                    .map(Done::Count)
            }
            Plan::Credential(credential) => credentials::apply(self, credential).await,
            Plan::Set { name, value } => {
                self.session.set(&name, value.as_deref())?;
                Ok(Done::Nothing)
            }
            Plan::Use { schema } => {
                self.session.use_schema(&schema);
                Ok(Done::Nothing)
            }
        }
    }

    async fn query(&self, plan: datafusion::logical_expr::LogicalPlan) -> Result<SendableRecordBatchStream> {
        let job = Job {
            statement: Arc::clone(self.context),
            plan,
            write: None,
        };
        let (choice, rows) = self.engine.parts().dispatch.run(&job).await?;
        self.guard.path(choice.path.name(), &choice.why);
        Ok(rows)
    }

    async fn explain(&self, analyze: bool, verbose: bool, plan: Plan) -> Result<SendableRecordBatchStream> {
        let job = match plan {
            Plan::Query(plan) => Job {
                statement: Arc::clone(self.context),
                plan,
                write: None,
            },
            Plan::Insert { table, input } if !analyze => {
                let write = writes::target(self.engine, &table.layout)?;
                Job {
                    statement: Arc::clone(self.context),
                    plan: input,
                    write: Some(write),
                }
            }
            _ => {
                return Err(Error::unsupported("EXPLAIN shows queries and plain INSERTs")
                    .with_hint("EXPLAIN ANALYZE takes a query."));
            }
        };
        let request = explain::Request { analyze, verbose };
        explain::explain(&self.engine.parts().dispatch, &job, request).await
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

/// When a statement's time is up.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    fn after(after: Duration) -> Self {
        Self {
            at: Instant::now() + after,
            after,
        }
    }

    fn passed(self) -> Error {
        Error::new(
            SqlState::QueryCanceled,
            format!(
                "the statement ran longer than statement_timeout, {}",
                watershed_core::duration::format(self.after)
            ),
        )
        .with_hint("SET statement_timeout = '0' lets statements run.")
    }
}

/// Does `work`, unless it is cancelled or its time is up before.
async fn until<T>(
    deadline: Option<Deadline>,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let expired = async {
        match deadline {
            Some(deadline) => {
                tokio::time::sleep_until(deadline.at.into()).await;
                deadline.passed()
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = cancel.cancelled() => Err(Error::new(SqlState::QueryCanceled, "the statement was cancelled")),
        error = expired => Err(error),
    }
}

fn panicked<T>(panic: Box<dyn std::any::Any + Send>) -> Result<T> {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(text, "a statement panicked");
    Err(Error::internal("the statement met a mistake in Watershed").with_detail(text.to_owned()))
}

/// The rows as the client gets them. The stream holds the statement's place until it ends or is
/// dropped, which cancels it.
fn release(
    rows: SendableRecordBatchStream,
    guard: QueryGuard,
    permit: Permit,
    context: Arc<StatementContext>,
    deadline: Option<Deadline>,
) -> RowStream {
    struct State {
        rows: SendableRecordBatchStream,
        context: Arc<StatementContext>,
        guard: QueryGuard,
        _permit: Permit,
    }
    let schema = rows.schema();
    let state = State {
        rows,
        context,
        guard,
        _permit: permit,
    };
    let batches = stream::unfold(Some(state), move |state| async move {
        let mut state = state?;
        let next = std::panic::AssertUnwindSafe(state.rows.next())
            .catch_unwind()
            .map(|caught| caught.map_or_else(panicked, Ok));
        let next = match until(deadline, &state.context.cancel.clone(), next).await {
            Ok(None) => {
                state.guard.end(Ok(()));
                return None;
            }
            Ok(Some(batch)) => batch.map_err(from_datafusion),
            Err(error) => Err(error),
        };
        match next {
            Ok(batch) => {
                let count = batch.num_rows() as u64;
                Counters::add(&state.context.counters.rows, count);
                telemetry::ROWS_SENT.inc_by(count);
                Some((Ok(batch), Some(state)))
            }
            Err(error) => {
                state.guard.end(Err(&error));
                Some((Err(error), None))
            }
        }
    });
    RowStream {
        schema,
        batches: batches.boxed(),
    }
}
