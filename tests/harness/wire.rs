//! Flight calls as they go over the wire, without a driver's opinions.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{Action, Empty, FlightData, FlightDescriptor, FlightInfo, PollInfo, Ticket};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// A call that takes longer hangs.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Answers are read as far as this: what was asked for may have very many rows.
const BATCHES_MAX: usize = 64;

pub type Answer<T> = Result<T, Status>;

/// The rows of an answer, and its schema.
#[derive(Debug)]
pub struct Rows {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

/// A client with a connection and a token of its own.
pub struct Wire {
    runtime: Runtime,
    client: FlightServiceClient<Channel>,
    token: MetadataValue<Ascii>,
    limit: Duration,
}

impl Wire {
    pub fn open(url: &str, user: &str) -> Self {
        Self::open_with(url, user, "")
    }

    /// With a password.
    #[expect(
        clippy::disallowed_methods,
        reason = "a driver, which knows nothing of the product's code"
    )]
    pub fn open_with(url: &str, user: &str, password: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (client, token) = runtime.block_on(async {
            let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
            let mut client = FlightSqlServiceClient::new(endpoint.connect_lazy());
            client
                .handshake(user, password)
                .await
                .expect("the user may sign in");
            let token = format!("Bearer {}", client.token().expect("a handshake gives a token"));
            (client.into_inner(), token.parse().unwrap())
        });
        Self {
            runtime,
            client,
            token,
            limit: CALL_LIMIT,
        }
    }

    /// The same for calls that may take longer.
    pub fn patient(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Another client with the same token, over the same connection; for calls that are awaited elsewhere.
    pub fn client(&self) -> FlightServiceClient<Channel> {
        self.client.clone()
    }

    /// A request under this client's token.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }

    pub fn set_token(&mut self, token: MetadataValue<Ascii>) {
        self.token = token;
    }

    pub fn token(&self) -> MetadataValue<Ascii> {
        self.token.clone()
    }

    /// Starts something that goes on by itself.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    #[track_caller]
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let limited = self
            .runtime
            .block_on(async { tokio::time::timeout(self.limit, work).await });
        limited.unwrap_or_else(|_| panic!("no answer within {:?}", self.limit))
    }

    #[track_caller]
    pub fn info(&self, command: &[u8]) -> Answer<FlightInfo> {
        let request = self.request(FlightDescriptor::new_cmd(command.to_vec()));
        let mut client = self.client();
        self.wait(client.get_flight_info(request))
            .map(tonic::Response::into_inner)
    }

    #[track_caller]
    pub fn schema(&self, command: &[u8]) -> Answer<Schema> {
        let request = self.request(FlightDescriptor::new_cmd(command.to_vec()));
        let mut client = self.client();
        let answer = self.wait(client.get_schema(request))?.into_inner();
        Ok(Schema::try_from(answer).expect("what GetSchema gives is a schema"))
    }

    #[track_caller]
    pub fn poll(&self, command: &[u8]) -> Answer<PollInfo> {
        let request = self.request(FlightDescriptor::new_cmd(command.to_vec()));
        let mut client = self.client();
        self.wait(client.poll_flight_info(request))
            .map(tonic::Response::into_inner)
    }

    #[track_caller]
    pub fn get(&self, ticket: &[u8]) -> Answer<Rows> {
        let request = self.request(Ticket::new(ticket.to_vec()));
        let mut client = self.client();
        let work = async {
            let frames = client.do_get(request).await?.into_inner();
            let mut rows = FlightRecordBatchStream::new_from_flight_data(frames.map_err(FlightError::from));
            let mut batches = Vec::new();
            while let Some(batch) = rows.try_next().await.map_err(status)? {
                batches.push(batch);
                if batches.len() == BATCHES_MAX {
                    break;
                }
            }
            let schema = rows.schema().cloned().expect("every answer has a schema");
            Ok(Rows { schema, batches })
        };
        self.wait(work)
    }

    /// The messages that answer these frames.
    #[track_caller]
    pub fn put(&self, frames: Vec<FlightData>) -> Answer<Vec<Vec<u8>>> {
        let request = self.request(stream::iter(frames));
        let mut client = self.client();
        let work = async {
            let answers = client.do_put(request).await?.into_inner();
            answers
                .map_ok(|answer| answer.app_metadata.to_vec())
                .try_collect()
                .await
        };
        self.wait(work)
    }

    /// The bodies that answer an action.
    #[track_caller]
    pub fn act(&self, kind: &str, body: &[u8]) -> Answer<Vec<Vec<u8>>> {
        let request = self.request(Action::new(kind, body.to_vec()));
        let mut client = self.client();
        let work = async {
            let answers = client.do_action(request).await?.into_inner();
            answers.map_ok(|answer| answer.body.to_vec()).try_collect().await
        };
        self.wait(work)
    }

    /// Names of the actions that are served.
    #[track_caller]
    pub fn actions(&self) -> Vec<String> {
        let request = self.request(Empty {});
        let mut client = self.client();
        let work = async {
            let answers = client.list_actions(request).await?.into_inner();
            answers.map_ok(|action| action.r#type).try_collect().await
        };
        self.wait(work)
            .unwrap_or_else(|status: Status| panic!("{status}"))
    }

    /// What every client may ask at any time.
    #[track_caller]
    pub fn assert_answers(&self) {
        let info = self.info(&query("SELECT 1")).expect("a query is planned");
        let rows = self.get(&ticket(&info)).expect("a query is answered");
        assert_eq!(rows.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }
}

fn status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => panic!("what the server sends can be decoded: {other}"),
    }
}

/// A command in the form that descriptors, tickets and actions carry.
pub fn packed(command: Command) -> Vec<u8> {
    command.into_any().encode_to_vec()
}

/// The message that a server packed.
#[track_caller]
pub fn unpacked(bytes: &[u8]) -> Command {
    Command::try_from(Any::decode(bytes).unwrap()).unwrap()
}

pub fn query(sql: &str) -> Vec<u8> {
    packed(Command::CommandStatementQuery(
        arrow_flight::sql::CommandStatementQuery {
            query: sql.to_owned(),
            transaction_id: None,
        },
    ))
}

/// The ticket of an answer's only endpoint.
#[track_caller]
pub fn ticket(info: &FlightInfo) -> Vec<u8> {
    let [endpoint] = info.endpoint.as_slice() else {
        panic!("one endpoint was expected, not {}", info.endpoint.len());
    };
    endpoint
        .ticket
        .as_ref()
        .expect("an endpoint has a ticket")
        .ticket
        .to_vec()
}

/// A batch of rows under a command, as `DoPut` takes it. Without rows, the command alone.
pub fn frames(command: &[u8], rows: Option<&RecordBatch>) -> Vec<FlightData> {
    let descriptor = FlightDescriptor::new_cmd(command.to_vec());
    let Some(rows) = rows else {
        return vec![FlightData::new().with_descriptor(descriptor)];
    };
    let encoded = FlightDataEncoderBuilder::new()
        .with_schema(rows.schema())
        .with_flight_descriptor(Some(descriptor))
        .build(stream::iter([Ok(rows.clone())]));
    futures::executor::block_on(encoded.map(Result::unwrap).collect())
}
