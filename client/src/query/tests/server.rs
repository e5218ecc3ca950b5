//! A server that knows a handful of statements by heart and remembers what was asked of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, CommandGetSqlInfo, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementQuery, CommandStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage,
    SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use watershed_core::error::Position;
use watershed_core::net::{self, Notices};
use watershed_core::{Error, SqlState};

/// What the server remembers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    open_statements: Arc<AtomicUsize>,
    open_streams: Arc<AtomicUsize>,
    cookies: Arc<AtomicUsize>,
}

impl Memory {
    pub(crate) fn open_statements(&self) -> usize {
        self.open_statements.load(Ordering::SeqCst)
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.open_streams.load(Ordering::SeqCst)
    }

    /// How many calls came with the cookie.
    pub(crate) fn cookies(&self) -> usize {
        self.cookies.load(Ordering::SeqCst)
    }
}

/// Who is let in: everybody, or those who have the password or the token of the last handshake.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    authorization: Option<String>,
    token: AtomicUsize,
    handshakes: AtomicUsize,
}

impl Gate {
    /// Lets in who sends this in the handshake.
    pub(crate) fn of(authorization: &str) -> Arc<Self> {
        Arc::new(Self {
            authorization: Some(authorization.to_owned()),
            ..Self::default()
        })
    }

    /// Forgets the tokens it has given, as a server does that starts anew.
    pub(crate) fn forget(&self) {
        self.token.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }

    pub(crate) fn token(&self) -> String {
        format!("Bearer token-{}", self.token.load(Ordering::SeqCst))
    }

    fn check(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(expected) = &self.authorization else {
            return Ok(request);
        };
        let given = request.metadata().get("authorization");
        match given.and_then(|given| given.to_str().ok()) {
            Some(given) if given == expected || given == self.token() => Ok(request),
            _ => Err(Status::unauthenticated("who are you?")),
        }
    }
}

/// Serves until the token is cancelled.
pub(crate) async fn start(address: &str, shutdown: CancellationToken) -> (String, Memory) {
    start_guarded(address, None, Arc::default(), shutdown).await
}

/// The same for some people only, or over TLS.
pub(crate) async fn start_guarded(
    address: &str,
    tls: Option<net::ServerTls>,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
) -> (String, Memory) {
    let memory = Memory::default();
    let bound = net::bind(address.parse().unwrap()).await.unwrap().with_tls(tls);
    let url = bound.url();
    let server = Server {
        memory: memory.clone(),
        bound: Arc::default(),
        gate: Arc::clone(&gate),
    };
    let service = FlightServiceServer::with_interceptor(server, move |request| gate.check(request));
    tokio::spawn(net::serve_grpc(bound, Routes::new(service), shutdown));
    (url, memory)
}

#[derive(Clone)]
struct Server {
    memory: Memory,
    gate: Arc<Gate>,
    bound: Arc<std::sync::Mutex<Vec<RecordBatch>>>,
}

type Handshakes = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>;
type Rows = Pin<Box<dyn Stream<Item = Result<RecordBatch, FlightError>> + Send>>;

impl Server {
    fn schema(sql: &str) -> Result<SchemaRef, Status> {
        let numbers = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        match sql.split(' ').next() {
            Some("NUMBERS" | "SLOW" | "LATE" | "HANG" | "PARAMETERS") => Ok(Arc::new(numbers)),
            Some("NAMES") | Some("SELECT") => Ok(names(sql).schema()),
            Some("INSERT" | "CREATE") => Ok(Arc::new(Schema::empty())),
            _ => Err(net::to_status(
                &Error::new(SqlState::SyntaxError, format!("unexpected \"{sql}\""))
                    .with_hint("Write NUMBERS, SLOW, LATE or HANG.")
                    .with_position(Position { line: 1, column: 3 }),
            )),
        }
    }

    fn rows(&self, sql: &str) -> Rows {
        let numbers = |from: i64, to: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
            RecordBatch::try_new(Self::schema("NUMBERS").unwrap(), vec![column]).unwrap()
        };
        let (kind, rest) = sql.split_once(' ').unwrap_or((sql, ""));
        match kind {
            "SLOW" => stream::iter(0..)
                .then(move |n| async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Ok(numbers(n, n + 1))
                })
                .boxed(),
            "LATE" => {
                let error = net::to_status(&Error::new(SqlState::DivisionByZero, "division by zero"));
                stream::iter([Ok(numbers(0, 2)), Err(error.into())]).boxed()
            }
            "PARAMETERS" => {
                let bound = self.bound.lock().unwrap();
                let values: Vec<RecordBatch> = bound.iter().cloned().collect();
                stream::iter(values.into_iter().map(|values| {
                    let column = Arc::clone(values.column(0));
                    Ok(RecordBatch::try_new(Self::schema("NUMBERS").unwrap(), vec![column]).unwrap())
                }))
                .boxed()
            }
            "NAMES" | "SELECT" => stream::iter([Ok(names(sql))]).boxed(),
            _ => {
                let count: i64 = rest.parse().unwrap_or_default();
                let batches = (0..count).step_by(1_000);
                stream::iter(batches.map(move |from| Ok(numbers(from, count.min(from + 1_000))))).boxed()
            }
        }
    }

    async fn info(
        &self,
        sql: &str,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        if sql == "HANG" {
            let _open = Counted::new(&self.memory.open_streams);
            std::future::pending::<()>().await;
        }
        let ticket = TicketStatementQuery {
            statement_handle: sql.to_owned().into(),
        };
        let notices = Notices {
            notices: vec!["counted by heart".into()],
            warnings: Vec::new(),
        };
        let info = FlightInfo::new()
            .try_with_schema(&*Self::schema(sql)?)
            .unwrap()
            .with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket.as_any().encode_to_vec())))
            .with_app_metadata(notices.to_json())
            .with_descriptor(request.into_inner());
        Ok(Response::new(info))
    }

    fn count(sql: &str) -> i64 {
        match sql.split_once(' ') {
            Some(("INSERT", rows)) => rows.parse().unwrap_or(-1),
            _ => -1,
        }
    }
}

/// The answers to what completion asks, and a small table otherwise.
fn names(sql: &str) -> RecordBatch {
    let texts = |values: &[&str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let columns = if sql.contains("information_schema.schemata") {
        vec![("schema_name", texts(&["public", "system"]))]
    } else if sql.contains("information_schema.columns") {
        vec![
            ("table_schema", texts(&["public", "public"])),
            ("table_name", texts(&["cdn_logs", "cdn_logs"])),
            ("column_name", texts(&["user_id", "bytes_sent"])),
        ]
    } else {
        vec![("name", texts(&["Zoë", "two\nlines"]))]
    };
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Counts itself while it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn text(handle: &Bytes) -> String {
    String::from_utf8(handle.to_vec()).unwrap()
}

#[tonic::async_trait]
impl FlightSqlService for Server {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Handshakes>, Status> {
        self.gate.handshakes.fetch_add(1, Ordering::SeqCst);
        let mut response = Response::new(stream::empty().boxed() as Handshakes);
        let token = self.gate.token().parse().unwrap();
        response.metadata_mut().insert("authorization", token);
        Ok(response)
    }

    async fn get_flight_info_sql_info(
        &self,
        _query: CommandGetSqlInfo,
        _request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let mut response = Response::new(FlightInfo::new());
        response
            .metadata_mut()
            .insert("set-cookie", "session=1; Path=/".parse().unwrap());
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(&query.query, request).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(&text(&query.prepared_statement_handle), request).await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        if request
            .metadata()
            .get("cookie")
            .is_some_and(|cookie| cookie == "session=1")
        {
            self.memory.cookies.fetch_add(1, Ordering::SeqCst);
        }
        let sql = text(&ticket.statement_handle);
        let open = Counted::new(&self.memory.open_streams);
        let frames = FlightDataEncoderBuilder::new()
            .with_schema(Self::schema(&sql)?)
            .build(self.rows(&sql))
            .map_err(Status::from)
            .inspect(move |_| {
                let _still_open = &open;
            });
        Ok(Response::new(frames.boxed()))
    }

    async fn do_put_statement_update(
        &self,
        update: CommandStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Self::schema(&update.query)?;
        Ok(Self::count(&update.query))
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let frames = request.into_inner().map_err(FlightError::from);
        let batches = FlightRecordBatchStream::new_from_flight_data(frames)
            .try_collect::<Vec<_>>()
            .await?;
        *self.bound.lock().unwrap() = batches;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(query.prepared_statement_handle),
        })
    }

    async fn do_put_prepared_statement_update(
        &self,
        update: CommandPreparedStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Ok(Self::count(&text(&update.prepared_statement_handle)))
    }

    async fn do_action_create_prepared_statement(
        &self,
        request: ActionCreatePreparedStatementRequest,
        _action: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let schema = Self::schema(&request.query)?;
        let options = IpcWriteOptions::default();
        let message: IpcMessage = SchemaAsIpc::new(&schema, &options).try_into().unwrap();
        self.memory.open_statements.fetch_add(1, Ordering::SeqCst);
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: request.query.into(),
            dataset_schema: message.0,
            parameter_schema: Bytes::new(),
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _request: ActionClosePreparedStatementRequest,
        _action: Request<Action>,
    ) -> Result<(), Status> {
        self.memory.open_statements.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
