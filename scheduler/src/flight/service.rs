//! Flight SQL, command by command: who calls, what it means, how it is answered.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::{Any, Command, CommandStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, Ticket};
use prost::Message;
use tonic::{Code, Request, Response, Status};
use watershed_core::clock::Clock;
use watershed_core::net::to_status;
use watershed_core::{Error, Result, SqlState};

use super::auth::{Caller, Claims, Gate};
use super::encode::{self, FlightStream};
use super::engine::{Engine, Prepared};
use super::prepared::PreparedStatements;
use super::seal::Seal;
use super::statement::{Requested, Statements};
use super::{Options, metadata, sql_info, types, wire};

/// Everything that commands need. What arrow-flight dispatches is in `commands`, the rest in `front`.
pub(super) struct Service {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) gate: Gate,
    pub(super) statements: Statements,
    pub(super) prepared: PreparedStatements,
    pub(super) sql_info: SqlInfoData,
    pub(super) types: XdbcTypeInfoData,
}

impl Service {
    pub(super) fn new(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, options: Options) -> Result<Self> {
        let seal = Arc::new(Seal::new()?);
        Ok(Self {
            gate: Gate::new(Arc::clone(&engine), Arc::clone(&seal), Arc::clone(&clock)),
            statements: Statements::new(
                Arc::clone(&engine),
                Arc::clone(&seal),
                Arc::clone(&clock),
                options.results,
            ),
            prepared: PreparedStatements::new(seal, clock, options.prepared),
            sql_info: sql_info::sql_info(engine.ingests(), options.prepared.idle_max)?,
            types: types::type_info()?,
            engine,
        })
    }

    pub(super) async fn caller<T>(&self, request: &Request<T>) -> Result<Caller>
    where
        T: Sync,
    {
        let claims = Claims::of(request);
        self.gate.caller(&claims).await
    }

    pub(super) async fn prepare(
        &self,
        caller: &Caller,
        sql: &str,
        transaction: Option<&[u8]>,
    ) -> Result<Prepared> {
        no_transaction(transaction)?;
        self.engine.prepare(caller.session, sql).await
    }

    /// Plans or executes a statement that came as text.
    pub(super) async fn submit(
        &self,
        caller: &Caller,
        command: &CommandStatementQuery,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo> {
        let request = self.requested(caller, command).await?;
        self.statements.submit(caller, request, descriptor).await
    }

    async fn requested(&self, caller: &Caller, command: &CommandStatementQuery) -> Result<Requested> {
        let statement = self
            .prepare(caller, &command.query, command.transaction_id.as_deref())
            .await?;
        Ok(Requested {
            statement: Arc::new(statement),
            parameters: Arc::default(),
            delivery: self.engine.delivery(caller.session).await?,
        })
    }

    /// Plans or executes a prepared statement with what was bound last.
    pub(super) async fn submit_prepared(
        &self,
        caller: &Caller,
        handle: &[u8],
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo> {
        let request = self.requested_again(caller, handle)?;
        self.statements.submit(caller, request, descriptor).await
    }

    fn requested_again(&self, caller: &Caller, handle: &[u8]) -> Result<Requested> {
        let open = self.prepared.find(caller, handle)?;
        Ok(Requested {
            statement: Arc::clone(&open.statement),
            parameters: open.bound(),
            delivery: open.delivery,
        })
    }

    /// Begins a query, or says how far one is. `None` if the descriptor is of neither.
    pub(super) async fn poll(
        &self,
        caller: &Caller,
        descriptor: &FlightDescriptor,
    ) -> Result<Option<PollInfo>> {
        let Ok(any) = Any::decode(&*descriptor.cmd) else {
            return Ok(None);
        };
        let request = match Command::try_from(any) {
            Ok(Command::TicketStatementQuery(ticket)) => {
                return self
                    .statements
                    .poll(caller, &ticket.statement_handle)
                    .await
                    .map(Some);
            }
            Ok(Command::CommandStatementQuery(command)) => self.requested(caller, &command).await?,
            Ok(Command::CommandPreparedStatementQuery(command)) => {
                self.requested_again(caller, &command.prepared_statement_handle)?
            }
            Ok(_) | Err(_) => return Ok(None),
        };
        let first = self.statements.begin(caller, request, descriptor.clone());
        first.await.map(Some)
    }

    /// Says where metadata is: the ticket is the command itself, which gives away nothing.
    pub(super) async fn described(
        &self,
        request: Request<FlightDescriptor>,
        schema: SchemaRef,
    ) -> Result<Response<FlightInfo>, Status> {
        self.caller(&request).await.map_err(failed)?;
        let descriptor = request.into_inner();
        let ticket = Ticket::new(descriptor.cmd.clone());
        let info = FlightInfo::new()
            .try_with_schema(&schema)
            .map_err(|error| failed(Error::internal(error.to_string())))?
            .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
            .with_descriptor(descriptor);
        Ok(Response::new(info))
    }

    /// Metadata that is the same for everyone.
    pub(super) async fn fixed<T: Sync>(
        &self,
        request: &Request<T>,
        batch: Result<RecordBatch>,
    ) -> Result<Response<FlightStream>, Status> {
        self.caller(request).await.map_err(failed)?;
        sent(batch)
    }

    /// The schema of what a command would give, without running anything.
    pub(super) async fn schema_of(&self, caller: &Caller, command: &[u8]) -> Result<SchemaRef> {
        let unreadable = |error: String| {
            Error::new(SqlState::InvalidParameterValue, "the command cannot be read").with_detail(error)
        };
        let any = Any::decode(command).map_err(|error| unreadable(error.to_string()))?;
        let command = Command::try_from(any).map_err(|error| unreadable(error.to_string()))?;
        let schema = match command {
            Command::CommandStatementQuery(command) => {
                let transaction = command.transaction_id.as_deref();
                let statement = self.prepare(caller, &command.query, transaction).await?;
                let delivery = self.engine.delivery(caller.session).await?;
                wire::result_schema(&statement.schema, delivery.views)
            }
            Command::CommandPreparedStatementQuery(command) => {
                let open = self.prepared.find(caller, &command.prepared_statement_handle)?;
                wire::result_schema(&open.statement.schema, open.delivery.views)
            }
            Command::CommandGetCatalogs(_) => metadata::catalogs()?.schema(),
            Command::CommandGetDbSchemas(_) => metadata::db_schemas_schema(),
            Command::CommandGetTables(command) => metadata::tables_schema(command.include_schema),
            Command::CommandGetTableTypes(_) => metadata::table_types()?.schema(),
            Command::CommandGetSqlInfo(_) => self.sql_info.schema(),
            Command::CommandGetXdbcTypeInfo(_) => self.types.schema(),
            Command::CommandGetPrimaryKeys(_) => metadata::primary_keys_schema(),
            Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => metadata::foreign_keys_schema(),
            other => return Err(not_taken(other.type_url())),
        };
        Ok(schema)
    }
}

/// A command that is none of those that a call takes.
pub(super) fn not_taken(url: &str) -> Error {
    let name = url.rsplit('.').next().unwrap_or(url);
    Error::unsupported(format!("the command {name:?} is not supported in this call"))
}

/// There are no transactions, and a client that believes in one must be told.
pub(super) fn no_transaction(transaction: Option<&[u8]>) -> Result<()> {
    match transaction {
        None | Some([]) => Ok(()),
        Some(_) => Err(no_transactions()),
    }
}

pub(super) fn no_transactions() -> Error {
    Error::unsupported("transactions of several statements are not supported")
        .with_hint("Use autocommit: every statement commits by itself, wholly or not at all.")
}

pub(super) fn sent(batch: Result<RecordBatch>) -> Result<Response<FlightStream>, Status> {
    batch
        .map(|batch| Response::new(encode::encode_batch(batch)))
        .map_err(failed)
}

pub(super) fn no_foreign_keys() -> Result<RecordBatch> {
    Ok(RecordBatch::new_empty(metadata::foreign_keys_schema()))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(super) fn failed(error: Error) -> Status {
    to_status(&error)
}

/// The status of a statement that cannot be prepared. From UNIMPLEMENTED the ADBC driver manager concludes that the
/// server prepares no statements, and goes on without; the parameters then fail with an error of the driver in place
/// of ours. So a SQL text that may hold parameters fails with INVALID_ARGUMENT. The SQLSTATE stays.
pub(super) fn not_prepared(sql: &str, status: Status) -> Status {
    match status.code() {
        Code::Unimplemented if sql.contains(['?', '$']) => Status::with_details_and_metadata(
            Code::InvalidArgument,
            status.message(),
            bytes::Bytes::copy_from_slice(status.details()),
            status.metadata().clone(),
        ),
        _ => status,
    }
}
