//! Statements: planned or executed when a client asks about them, their rows sent when it redeems
//! the ticket.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::id::SessionId;
use watershed_core::net::Notices;
use watershed_core::{Error, Result, SqlState};

use super::auth::Caller;
use super::encode::{self, FlightStream, Switch};
use super::engine::{Engine, Executed, Outcome, Prepared, RowStream};
use super::registry::{Bounds, Registry};
use super::seal::Seal;
use super::ticket::{self, Ticket};
use super::{params, wire};

/// Runs statements and keeps what their tickets stand for.
pub(super) struct Statements {
    engine: Arc<dyn Engine>,
    seal: Arc<Seal>,
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    pending: Registry<Pending>,
}

/// What a ticket stands for.
struct Pending {
    /// The session that it runs in, whoever redeems it.
    session: SessionId,
    /// What the client was told.
    schema: SchemaRef,
    work: Work,
    switch: Switch,
}

enum Work {
    /// Runs at every redemption: a query may be fetched again until its ticket expires.
    Query {
        statement: Arc<Prepared>,
        parameters: Arc<Vec<RecordBatch>>,
    },
    /// It ran already, and it gave rows: they are there once.
    Once(Mutex<Option<RowStream>>),
    /// It ran already, and it gave none.
    Done,
}

impl Statements {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        seal: Arc<Seal>,
        clock: Arc<dyn Clock>,
        bounds: Bounds,
    ) -> Self {
        Self {
            engine,
            seal,
            lifetime: bounds.idle_max,
            pending: Registry::new(bounds, Arc::clone(&clock)),
            clock,
        }
    }

    /// Plans a query, or executes what is none, and says where the rows are.
    pub(super) async fn submit(
        &self,
        caller: &Caller,
        statement: Arc<Prepared>,
        parameters: Arc<Vec<RecordBatch>>,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo> {
        let bound: usize = parameters.iter().map(RecordBatch::get_array_memory_size).sum();
        let bytes = statement.weight() + bound;
        let mut notices = Notices::default();
        let mut records = -1;
        let (schema, work) = if statement.is_query {
            params::check_bound(statement.parameters.fields().len(), &parameters)?;
            let schema = wire::result_schema(&statement.schema);
            (
                schema,
                Work::Query {
                    statement,
                    parameters,
                },
            )
        } else {
            let executed = self.execute(caller.session, &statement, &parameters).await?;
            notices = notes(&executed);
            match executed.outcome {
                Outcome::Rows(rows) => (
                    wire::result_schema(&rows.schema),
                    Work::Once(Mutex::new(Some(rows))),
                ),
                Outcome::Count(rows) => {
                    records = i64::try_from(rows).unwrap_or(i64::MAX);
                    (Arc::new(Schema::empty()), Work::Done)
                }
                Outcome::Done => (Arc::new(Schema::empty()), Work::Done),
            }
        };
        let handle = self.seal.handle()?;
        let pending = Pending {
            session: caller.session,
            schema: Arc::clone(&schema),
            work,
            switch: Switch::default(),
        };
        self.pending.insert(handle, pending, bytes);
        let ticket = Ticket {
            handle,
            expires: self.clock.elapsed() + self.lifetime,
            principal: caller.principal.clone(),
        };
        let mut info = FlightInfo::new()
            .try_with_schema(&schema)
            .map_err(|error| Error::internal("a schema cannot be encoded").with_detail(error.to_string()))?
            .with_endpoint(self.endpoint(&ticket))
            .with_descriptor(descriptor)
            .with_total_records(records);
        if !notices.is_empty() {
            info = info.with_app_metadata(notices.to_json());
        }
        Ok(info)
    }

    /// One endpoint without a location: the rows come over the connection that asked.
    fn endpoint(&self, ticket: &Ticket) -> FlightEndpoint {
        let mut endpoint = FlightEndpoint::new().with_ticket(ticket.to_wire(&self.seal));
        let left = ticket.expires.saturating_sub(self.clock.elapsed());
        let expires = self.clock.now() + left;
        let time = endpoint.expiration_time.get_or_insert_default();
        time.seconds = expires.timestamp();
        endpoint
    }

    /// The rows of a ticket.
    pub(super) async fn redeem(&self, caller: &Caller, sealed: &[u8]) -> Result<FlightStream> {
        let ticket = Ticket::open(sealed, &self.seal)?;
        ticket.check(&caller.principal, self.clock.elapsed())?;
        let pending = self.pending.get(&ticket.handle).ok_or_else(ticket::expired)?;
        let schema = Arc::clone(&pending.schema);
        let (rows, notices) = match &pending.work {
            Work::Query {
                statement,
                parameters,
            } => {
                let run = run_query(
                    &self.engine,
                    pending.session,
                    Arc::clone(statement),
                    Arc::clone(parameters),
                );
                pending.switch.run(run).await?
            }
            Work::Once(rows) => {
                let rows = rows.lock().take().ok_or_else(fetched)?;
                (rows, Notices::default())
            }
            Work::Done => (no_rows(&schema), Notices::default()),
        };
        let notes = if notices.is_empty() {
            Bytes::new()
        } else {
            notices.to_json().into()
        };
        Ok(encode::encode(rows, schema, notes, &pending.switch))
    }

    /// Executes a statement for its effect. The count is -1 where only rows come of it.
    pub(super) async fn update(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[RecordBatch],
    ) -> Result<(i64, Notices)> {
        let executed = self.execute(session, statement, parameters).await?;
        let notices = notes(&executed);
        let count = match executed.outcome {
            Outcome::Count(rows) => i64::try_from(rows).unwrap_or(i64::MAX),
            Outcome::Done => 0,
            Outcome::Rows(mut rows) => {
                while rows.batches.try_next().await?.is_some() {}
                -1
            }
        };
        Ok((count, notices))
    }

    async fn execute(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[RecordBatch],
    ) -> Result<Executed> {
        let expected = statement.parameters.fields().len();
        params::check_bound(expected, parameters)?;
        match parameters {
            _ if expected == 0 => self.engine.execute(session, statement, &[]).await,
            [batch] if batch.num_rows() == 1 => {
                self.engine
                    .execute(session, statement, &params::row(batch, 0)?)
                    .await
            }
            parameters => self.engine.execute_many(session, statement, parameters).await,
        }
    }

    /// Cancels the statement behind a ticket. `false` if it is not there any more.
    pub(super) fn cancel(&self, caller: &Caller, ticket: &[u8]) -> Result<bool> {
        let ticket = Ticket::from_wire(ticket, &self.seal)?;
        // What runs longer than its ticket lives can still be cancelled.
        ticket.check(&caller.principal, Duration::ZERO)?;
        let Some(pending) = self.pending.remove(&ticket.handle) else {
            return Ok(false);
        };
        pending.switch.cancel();
        Ok(!matches!(pending.work, Work::Done))
    }

    /// Lets a ticket live for another lifetime from now on.
    pub(super) fn renew(&self, caller: &Caller, ticket: &[u8]) -> Result<FlightEndpoint> {
        let mut ticket = Ticket::from_wire(ticket, &self.seal)?;
        let now = self.clock.elapsed();
        ticket.check(&caller.principal, now)?;
        self.pending.get(&ticket.handle).ok_or_else(ticket::expired)?;
        ticket.expires = now + self.lifetime;
        Ok(self.endpoint(&ticket))
    }
}

fn notes(executed: &Executed) -> Notices {
    Notices {
        notices: executed.notices.clone(),
        warnings: executed.warnings.clone(),
    }
}

fn no_rows(schema: &SchemaRef) -> RowStream {
    RowStream {
        schema: Arc::clone(schema),
        batches: stream::empty().boxed(),
    }
}

fn fetched() -> Error {
    Error::new(
        SqlState::InvalidStatementName,
        "the rows of this ticket were fetched already",
    )
    .with_hint("Run the statement again; only the rows of queries can be fetched twice.")
}

/// Runs a query once for every row of its parameters, one after the other, as one stream. The first
/// run begins here, so that its errors are the call's own.
async fn run_query(
    engine: &Arc<dyn Engine>,
    session: SessionId,
    statement: Arc<Prepared>,
    parameters: Arc<Vec<RecordBatch>>,
) -> Result<(RowStream, Notices)> {
    let expected = statement.parameters.fields().len();
    if expected == 0 {
        return query_rows(engine.execute(session, &statement, &[]).await?);
    }
    let mut rows = params::rows(&parameters);
    let Some((batch, row)) = rows.next() else {
        return Ok((no_rows(&statement.schema), Notices::default()));
    };
    let first = engine
        .execute(session, &statement, &bound(&parameters, batch, row)?)
        .await?;
    let (first, notices) = query_rows(first)?;
    let engine = Arc::clone(engine);
    let rest = stream::iter(rows).then(move |(batch, row)| {
        let (engine, statement, parameters) = (
            Arc::clone(&engine),
            Arc::clone(&statement),
            Arc::clone(&parameters),
        );
        async move {
            let values = bound(&parameters, batch, row)?;
            let (rows, _) = query_rows(engine.execute(session, &statement, &values).await?)?;
            Ok::<BoxStream<'static, Result<RecordBatch>>, Error>(rows.batches)
        }
    });
    let batches = first.batches.chain(rest.try_flatten()).boxed();
    Ok((
        RowStream {
            schema: first.schema,
            batches,
        },
        notices,
    ))
}

fn bound(
    parameters: &[RecordBatch],
    batch: usize,
    row: usize,
) -> Result<Vec<datafusion::scalar::ScalarValue>> {
    parameters
        .get(batch)
        .map_or_else(|| Ok(Vec::new()), |batch| params::row(batch, row))
}

fn query_rows(executed: Executed) -> Result<(RowStream, Notices)> {
    let notices = notes(&executed);
    match executed.outcome {
        Outcome::Rows(rows) => Ok((rows, notices)),
        Outcome::Count(_) | Outcome::Done => Err(Error::internal("a query gave no rows, not even none")),
    }
}
