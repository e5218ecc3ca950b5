//! The service against real clients in one process, over a real connection.

mod authentication;
mod catalog;
mod delivery;
mod fake;
mod prepared;
mod sessions;
mod statements;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use futures::TryStreamExt;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic::transport::Channel;
use watershed_core::clock::ManualClock;
use watershed_core::net;

use self::fake::Fake;
use super::Options;

type Client = FlightSqlServiceClient<Channel>;

/// A server that lives as long as this.
struct Server {
    front: super::Front,
    engine: Arc<Fake>,
    clock: Arc<ManualClock>,
    address: SocketAddr,
    _running: DropGuard,
}

impl Server {
    async fn start() -> Self {
        Self::with(Fake::new()).await
    }

    async fn with(engine: Fake) -> Self {
        let engine = Arc::new(engine);
        let clock = Arc::new(ManualClock::default());
        let front = super::Front::over(
            Arc::<Fake>::clone(&engine),
            Arc::<ManualClock>::clone(&clock),
            Options::idle_for(Duration::from_secs(3_600)),
        )
        .unwrap();
        let bound = net::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = bound.address();
        let shutdown = CancellationToken::new();
        tokio::spawn(net::serve_grpc(
            bound,
            Routes::new(front.server()),
            shutdown.clone(),
        ));
        Self {
            front,
            engine,
            clock,
            address,
            _running: shutdown.drop_guard(),
        }
    }

    /// A client with a connection of its own.
    fn client(&self) -> Client {
        let channel = net::dial_client(&format!("http://{}", self.address)).unwrap();
        FlightSqlServiceClient::new(channel)
    }

    fn executed(&self) -> Vec<String> {
        self.engine.executed.lock().clone()
    }

    /// Open streams of endless rows.
    fn streams(&self) -> usize {
        Arc::strong_count(&self.engine.streams) - 1
    }

    async fn wait_for_streams(&self, expected: usize) {
        for _ in 0..100 {
            if self.streams() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} streams are open and not {expected}", self.streams());
    }
}

fn ticket(info: &FlightInfo) -> Ticket {
    assert_eq!(info.endpoint.len(), 1);
    assert!(info.endpoint[0].location.is_empty());
    info.endpoint[0].ticket.clone().unwrap()
}

/// Fetches everything, and checks that it has the schema that was announced.
async fn fetch(client: &mut Client, info: &FlightInfo) -> RecordBatch {
    let announced = Arc::new(info.clone().try_decode_schema().unwrap());
    let mut stream = client.do_get(ticket(info)).await.unwrap();
    let batches: Vec<RecordBatch> = (&mut stream).try_collect().await.unwrap();
    assert_eq!(stream.schema(), Some(&announced));
    arrow::compute::concat_batches(&announced, &batches).unwrap()
}

async fn query(client: &mut Client, sql: &str) -> RecordBatch {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    fetch(client, &info).await
}

fn text(batch: &RecordBatch) -> String {
    let table = arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch)).unwrap();
    let lines = table.to_string();
    lines
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|').map(str::trim);
            cells.collect::<Vec<_>>().join(" ").trim_end().to_owned()
        })
        .collect::<Vec<_>>()
        .join("; ")
}

fn status(error: arrow_flight::error::FlightError) -> tonic::Status {
    tonic::Status::from(error)
}
