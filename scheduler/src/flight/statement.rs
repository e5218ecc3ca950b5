//! Statements: planned or executed when a client asks about them, their rows sent when it redeems
//! the ticket.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo};
use bytes::Bytes;
use futures::TryStreamExt;
use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::id::SessionId;
use watershed_core::net::Notices;
use watershed_core::{Error, Result, SqlState};

use super::ahead::{self, Ahead, State};
use super::auth::Caller;
use super::delivery::Delivery;
use super::encode::{self, FlightStream, Switch};
use super::engine::{Engine, Executed, Outcome, Prepared, RowStream};
use super::parallel::Parallel;
use super::query::{Query, no_rows, notes};
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

/// What a client asks for: a statement, what is bound to it, and how its rows are to come.
pub(super) struct Requested {
    pub(super) statement: Arc<Prepared>,
    pub(super) parameters: Arc<Vec<RecordBatch>>,
    pub(super) delivery: Delivery,
}

/// What a ticket stands for.
struct Pending {
    /// What the client was told.
    schema: SchemaRef,
    delivery: Delivery,
    work: Work,
    switch: Arc<Switch>,
}

enum Work {
    /// Runs at every redemption: a query may be fetched again until its ticket expires.
    Query(Query),
    /// Runs already, for the first redemption.
    Ahead(Ahead, Query),
    /// Runs once, its rows shared by several streams.
    Parallel(Parallel, Query),
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

    /// Lets go of statements whose tickets have expired.
    pub(super) fn sweep(&self) {
        self.pending.sweep();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Plans a query, or executes what is none, and says where the rows are.
    pub(super) async fn submit(
        &self,
        caller: &Caller,
        request: Requested,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo> {
        let bytes = weight(&request);
        let Requested {
            statement,
            parameters,
            delivery,
        } = request;
        let mut notices = Notices::default();
        let mut records = -1;
        let engine = self.engine.as_ref();
        let statement = params::typed(engine, caller.session, statement, &parameters).await?;
        let (schema, work) = if statement.is_query {
            let streams = if statement.is_ordered {
                1
            } else {
                delivery.endpoints
            };
            let schema = wire::result_schema(&statement.schema, delivery.views);
            let query = self.query(caller, statement, parameters)?;
            let work = match streams {
                0 | 1 => Work::Query(query),
                streams => Work::Parallel(Parallel::new(streams), query),
            };
            (schema, work)
        } else {
            let executed = self.execute(caller.session, &statement, &parameters).await?;
            notices = notes(&executed);
            match executed.outcome {
                Outcome::Rows(rows) => (
                    wire::result_schema(&rows.schema, delivery.views),
                    Work::Once(Mutex::new(Some(rows))),
                ),
                Outcome::Count(rows) => {
                    records = i64::try_from(rows).unwrap_or(i64::MAX);
                    (Arc::new(Schema::empty()), Work::Done)
                }
                Outcome::Done => (Arc::new(Schema::empty()), Work::Done),
            }
        };
        let pending = Pending {
            schema,
            delivery,
            work,
            switch: Arc::default(),
        };
        let (ticket, pending) = self.keep(caller, pending, bytes)?;
        let mut info = self.info(&ticket, &pending)?;
        if !notices.is_empty() {
            info = info.with_app_metadata(notices.to_json());
        }
        Ok(info.with_descriptor(descriptor).with_total_records(records))
    }

    /// Begins a query whose client will poll. What is no query is executed at once.
    pub(super) async fn begin(
        &self,
        caller: &Caller,
        request: Requested,
        descriptor: FlightDescriptor,
    ) -> Result<PollInfo> {
        if !request.statement.is_query {
            let info = self.submit(caller, request, descriptor).await?;
            return Ok(complete(info));
        }
        let bytes = weight(&request);
        let engine = self.engine.as_ref();
        let statement = params::typed(engine, caller.session, request.statement, &request.parameters).await?;
        let schema = wire::result_schema(&statement.schema, request.delivery.views);
        let query = self.query(caller, statement, request.parameters)?;
        let switch = Arc::<Switch>::default();
        let pending = Pending {
            schema,
            delivery: request.delivery,
            work: Work::Ahead(Ahead::start(query.clone(), Arc::clone(&switch)), query),
            switch,
        };
        let (ticket, pending) = self.keep(caller, pending, bytes)?;
        self.polled(&ticket, &pending, ahead::FIRST_POLL).await
    }

    /// Says how far a query is that [`Statements::begin`] began.
    pub(super) async fn poll(&self, caller: &Caller, sealed: &[u8]) -> Result<PollInfo> {
        let ticket = Ticket::open(sealed, &self.seal)?;
        ticket.check(&caller.principal, self.clock.elapsed())?;
        let pending = self.pending.get(&ticket.handle).ok_or_else(ticket::expired)?;
        self.polled(&ticket, &pending, ahead::NEXT_POLL).await
    }

    /// What a client is told of a query. As long as it runs that names the query, so that it can be
    /// polled again and cancelled.
    async fn polled(&self, ticket: &Ticket, pending: &Pending, limit: Duration) -> Result<PollInfo> {
        let state = match &pending.work {
            Work::Ahead(ahead, _) => ahead.poll(limit).await?,
            Work::Query(_) | Work::Parallel(_, _) | Work::Once(_) | Work::Done => State::Ready,
        };
        let State::Running(fraction) = state else {
            return Ok(complete(self.info(ticket, pending)?));
        };
        let again = FlightDescriptor::new_cmd(ticket.to_wire(&self.seal).ticket);
        let info = described(&pending.schema)?.with_descriptor(again.clone());
        Ok(PollInfo {
            info: Some(info),
            flight_descriptor: Some(again),
            progress: Some(fraction),
            expiration_time: self.endpoint(ticket).expiration_time,
        })
    }

    fn query(
        &self,
        caller: &Caller,
        statement: Arc<Prepared>,
        parameters: Arc<Vec<RecordBatch>>,
    ) -> Result<Query> {
        params::check_bound(statement.parameters.fields().len(), &parameters)?;
        Ok(Query {
            engine: Arc::clone(&self.engine),
            session: caller.session,
            statement,
            parameters,
        })
    }

    fn keep(&self, caller: &Caller, pending: Pending, bytes: usize) -> Result<(Ticket, Arc<Pending>)> {
        let handle = self.seal.handle()?;
        let ticket = Ticket {
            handle,
            expires: self.clock.elapsed() + self.lifetime,
            endpoint: 0,
            principal: caller.principal.clone(),
        };
        Ok((ticket, self.pending.insert(handle, pending, bytes)))
    }

    /// Where the rows are.
    fn info(&self, ticket: &Ticket, pending: &Pending) -> Result<FlightInfo> {
        let streams = match &pending.work {
            Work::Parallel(parallel, _) => parallel.streams(),
            Work::Query(_) | Work::Ahead(_, _) | Work::Once(_) | Work::Done => 1,
        };
        let mut info = described(&pending.schema)?;
        for endpoint in 0..streams {
            let ticket = Ticket {
                endpoint,
                ..ticket.clone()
            };
            info = info.with_endpoint(self.endpoint(&ticket));
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
            Work::Query(query) => pending.switch.run(query.run()).await?,
            Work::Ahead(ahead, query) => {
                let run = async {
                    match ahead.take().await? {
                        Some(taken) => Ok(taken),
                        None => query.run().await,
                    }
                };
                pending.switch.run(run).await?
            }
            Work::Parallel(parallel, query) => {
                let run = parallel.take(ticket.endpoint, query);
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
        let options = pending.delivery.ipc_options()?;
        Ok(encode::encode(rows, schema, notes, &pending.switch, options))
    }

    /// Executes a statement for its effect. The count is -1 where only rows come of it.
    pub(super) async fn update(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[RecordBatch],
    ) -> Result<(i64, Notices)> {
        let executed = self.execute(session, statement, parameters).await?;
        let mut notices = notes(&executed);
        let count = match executed.outcome {
            Outcome::Count(rows) => i64::try_from(rows).unwrap_or(i64::MAX),
            Outcome::Done => 0,
            Outcome::Rows(mut rows) => {
                while rows.batches.try_next().await?.is_some() {}
                notices
                    .warnings
                    .extend(rows.partial.get().map(|partial| partial.warning()));
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

/// Roughly the bytes that a request takes while it is kept.
fn weight(request: &Requested) -> usize {
    let bound: usize = request.parameters.iter().map(params::size).sum();
    request.statement.weight() + bound
}

fn described(schema: &Schema) -> Result<FlightInfo> {
    FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|error| Error::internal("a schema cannot be encoded").with_detail(error.to_string()))
}

fn complete(info: FlightInfo) -> PollInfo {
    PollInfo {
        info: Some(info),
        flight_descriptor: None,
        progress: Some(1.0),
        expiration_time: None,
    }
}

pub(super) fn fetched() -> Error {
    Error::new(
        SqlState::InvalidStatementName,
        "the rows of this ticket were fetched already",
    )
    .with_hint("Run the statement again; only the one stream of a query can be fetched twice.")
}
