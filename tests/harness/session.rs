//! A session over Flight SQL, with answers as text.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::FlightInfo;
use arrow_flight::decode::DecodedPayload;
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::sql::client::{FlightSqlServiceClient, PreparedStatement};
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// No statement of a test takes longer; one that does hangs.
const STATEMENT_LIMIT: Duration = Duration::from_secs(120);

/// One client, with settings of its own.
pub struct Session {
    runtime: Runtime,
    client: FlightSqlServiceClient<Channel>,
}

impl Session {
    /// Where anybody may.
    pub fn open(url: &str) -> Self {
        Self::login(url, "tester", "").expect("anybody may log in")
    }

    /// The same over TLS, trusting the authority of a PEM file.
    pub fn open_trusting(url: &str, authority: &Path) -> Self {
        let authority = Certificate::from_pem(std::fs::read(authority).unwrap());
        let tls = ClientTlsConfig::new().ca_certificate(authority);
        let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
        let session = Self::connect(endpoint.tls_config(tls).unwrap());
        session.logged_in("tester", "").expect("anybody may log in")
    }

    /// With a handshake, as drivers do it.
    pub fn login(url: &str, user: &str, password: &str) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
        Self::connect(endpoint).logged_in(user, password)
    }

    /// Without a handshake; with this header in every call, if there is one.
    pub fn with_header(url: &str, authorization: Option<&str>) -> Self {
        let mut session = Self::connect(Endpoint::from_shared(url.to_owned()).unwrap());
        if let Some(value) = authorization {
            session.client.set_header("authorization", value);
        }
        session
    }

    fn logged_in(mut self, user: &str, password: &str) -> Result<Self, Failure> {
        let work = self.client.handshake(user, password);
        limited(&self.runtime, "a handshake", work)?;
        Ok(self)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a driver, which knows nothing of the product's code"
    )]
    fn connect(endpoint: Endpoint) -> Self {
        // A thread of its own answers the server's pings while the test does something else.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        // Within the runtime, which a channel takes note of.
        let client = runtime.block_on(async { FlightSqlServiceClient::new(endpoint.connect_lazy()) });
        Self { runtime, client }
    }

    /// The token that a handshake gave.
    pub fn token(&self) -> String {
        self.client.token().expect("there was a handshake").clone()
    }

    /// Runs a query and reads all its rows.
    pub fn query(&mut self, sql: &str) -> Result<Table, Failure> {
        let client = &mut self.client;
        let work = async {
            let info = client.execute(sql.to_owned(), None).await?;
            fetch(client, info, sql).await
        };
        limited(&self.runtime, sql, work)
    }

    /// Prepares a statement, which runs as often as it is asked for its rows.
    pub fn prepare(&mut self, sql: &str) -> Result<PreparedStatement<Channel>, Failure> {
        let work = self.client.prepare(sql.to_owned(), None);
        limited(&self.runtime, sql, work)
    }

    /// Runs a prepared query and reads all its rows.
    pub fn run_prepared(&mut self, statement: &mut PreparedStatement<Channel>) -> Result<Table, Failure> {
        let client = &mut self.client;
        let work = async {
            let info = statement.execute().await?;
            fetch(client, info, "a prepared statement").await
        };
        limited(&self.runtime, "a prepared statement", work)
    }

    /// `schema.table` of every table that the driver's metadata call tells.
    pub fn tables(&mut self) -> Vec<String> {
        let client = &mut self.client;
        let work = async {
            let info = client.get_tables(CommandGetTables::default()).await?;
            fetch(client, info, "the tables").await
        };
        let rows = limited(&self.runtime, "the tables", work).unwrap().rows();
        rows.iter().map(|row| format!("{}.{}", row[1], row[2])).collect()
    }

    /// Runs a statement that changes something, and gives its count of rows.
    pub fn update(&mut self, sql: &str) -> Result<i64, Failure> {
        let work = self.client.execute_update(sql.to_owned(), None);
        limited(&self.runtime, sql, work)
    }

    /// Has every answer computed: for tests of what happens while that goes on.
    pub fn without_caches(&mut self) -> &mut Self {
        for setting in ["watershed.result_cache", "watershed.fragment_cache"] {
            self.run(&format!("SET {setting} = 'off'"));
        }
        self
    }

    /// Runs a statement of which the test only needs that it succeeds.
    #[track_caller]
    pub fn run(&mut self, sql: &str) -> i64 {
        self.update(sql)
            .unwrap_or_else(|failure| panic!("{}\n{failure}", shown(sql)))
    }

    /// The rows of a query that has to succeed, values as text.
    #[track_caller]
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        self.query(sql)
            .unwrap_or_else(|failure| panic!("{}\n{failure}", shown(sql)))
            .rows()
    }

    /// The text of the error that a query has to give, which must be of that SQLSTATE.
    #[track_caller]
    pub fn fails(&mut self, sql: &str, code: &str) -> String {
        match self.query(sql) {
            Ok(table) => panic!("an error was expected, not {:?}: {}", table.rows(), shown(sql)),
            Err(failure) => {
                assert_eq!(failure.code.as_deref(), Some(code), "{}\n{failure}", shown(sql));
                failure.text
            }
        }
    }

    /// The only value of a query's only row.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> String {
        let rows = self.rows(sql);
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone(),
            _ => panic!("{sql}\none value was expected, not {rows:?}"),
        }
    }
}

async fn fetch(
    client: &mut FlightSqlServiceClient<Channel>,
    info: FlightInfo,
    sql: &str,
) -> Result<Table, FlightError> {
    let declared = info.clone().try_decode_schema()?;
    let [endpoint] = info.endpoint.as_slice() else {
        panic!(
            "one endpoint is what every driver reads, not {}",
            info.endpoint.len()
        );
    };
    let ticket = endpoint.ticket.clone().expect("an endpoint has a ticket");
    let mut frames = client.do_get(ticket).await?.into_inner();
    let (mut schema, mut batches, mut closing) = (None, Vec::new(), Vec::new());
    while let Some(frame) = frames.try_next().await? {
        if !frame.app_metadata().is_empty() {
            closing = frame.app_metadata().to_vec();
        }
        match frame.payload {
            DecodedPayload::None => {}
            DecodedPayload::Schema(found) => schema = Some(found),
            DecodedPayload::RecordBatch(batch) => batches.push(batch),
        }
    }
    let schema = schema.expect("an empty answer has a schema, too");
    assert_eq!(
        *schema, declared,
        "the rows are of the schema that was announced: {sql}"
    );
    Ok(Table {
        schema,
        batches,
        closing,
    })
}

/// Enough of a statement to know it.
fn shown(sql: &str) -> &str {
    &sql[..sql.floor_char_boundary(500)]
}

fn limited<T>(
    runtime: &Runtime,
    sql: &str,
    work: impl Future<Output = Result<T, FlightError>>,
) -> Result<T, Failure> {
    match runtime.block_on(async { tokio::time::timeout(STATEMENT_LIMIT, work).await }) {
        Ok(result) => result.map_err(|error| Failure::new(&error)),
        Err(_) => panic!("no answer within {STATEMENT_LIMIT:?}: {}", shown(sql)),
    }
}

/// An answer.
#[derive(Debug)]
pub struct Table {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// The last `app_metadata` that came with the rows.
    pub closing: Vec<u8>,
}

impl Table {
    /// Values as text: `NULL` for NULL, `(empty)` for a text without characters.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let options = FormatOptions::new().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &self.batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
                .collect();
            rows.extend((0..batch.num_rows()).map(|row| {
                let text = |column: &ArrayFormatter<'_>| match column.value(row).to_string() {
                    text if text.is_empty() => "(empty)".to_owned(),
                    text => text,
                };
                columns.iter().map(text).collect::<Vec<_>>()
            }));
        }
        rows
    }

    /// Whether it lacks shards, and says so.
    pub fn is_partial(&self) -> bool {
        let told: serde_json::Value = serde_json::from_slice(&self.closing).unwrap_or_default();
        told["completed_shards"].as_u64() < told["total_shards"].as_u64()
    }

    /// One letter per column: Boolean, Integer, Real, Date, timestamP, Text, `?` for all else.
    pub fn types(&self) -> String {
        self.schema
            .fields()
            .iter()
            .map(|field| letter(field.data_type()))
            .collect()
    }
}

fn letter(data_type: &DataType) -> char {
    match data_type {
        DataType::Boolean => 'B',
        DataType::Date32 => 'D',
        DataType::Timestamp(..) => 'P',
        DataType::Utf8 => 'T',
        _ if data_type.is_integer() => 'I',
        _ if data_type.is_numeric() => 'R',
        _ => '?',
    }
}

/// An error as a driver sees it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The five characters after `SQLSTATE` in its text.
    pub code: Option<String>,
    pub text: String,
}

impl Failure {
    fn new(error: &FlightError) -> Self {
        let text = match error {
            FlightError::Tonic(status) => format!("{:?}: {}", status.code(), status.message()),
            other => other.to_string(),
        };
        let code = text
            .split_once("SQLSTATE ")
            .and_then(|(_, rest)| rest.get(..5))
            .map(ToOwned::to_owned);
        Self { code, text }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
