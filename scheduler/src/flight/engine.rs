//! What the Flight SQL front asks of the engine behind it. Nothing here knows a transport.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use futures::stream::BoxStream;
use watershed_core::id::SessionId;
use watershed_core::partial::PartialNote;
use watershed_core::{Error, Result};
use watershed_sql::dialect::redacted;
use watershed_sql::plan::IngestMode;

use super::delivery::Delivery;

/// What tells one client's session from another's: a token, a cookie or a connection, as text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionKey(String);

impl SessionKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key is as good as a password, so it is never printed.
impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// What a client says about who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Anonymous,
    Password { user: String, password: String },
    Token(String),
}

/// The kind alone: the rest is secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Password { .. } => "Password(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

/// Who asks, once the engine has accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    pub const ANONYMOUS: &'static str = "anonymous";

    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Who was let in, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub principal: Principal,
    /// The engine's own: it reads here later whether the login still holds.
    pub proof: String,
}

/// The rows of a query. Dropping the stream cancels the query.
pub struct RowStream {
    /// Exactly what every batch has.
    pub schema: SchemaRef,
    pub batches: BoxStream<'static, Result<RecordBatch>>,
    /// How far the query is, where that is known.
    pub progress: Option<Arc<dyn Progress>>,
    /// Whether rows are missing: set, if it is, before the rows end.
    pub partial: PartialNote,
}

impl RowStream {
    pub fn new(schema: SchemaRef, batches: BoxStream<'static, Result<RecordBatch>>) -> Self {
        Self {
            schema,
            batches,
            progress: None,
            partial: PartialNote::default(),
        }
    }
}

/// How far a query is while it runs.
pub trait Progress: Send + Sync {
    /// Between 0 and 1; `None` as long as nobody can tell.
    fn fraction(&self) -> Option<f64>;
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// A statement that has been parsed and planned.
#[derive(Clone)]
pub struct Prepared {
    pub sql: String,
    /// Of the rows it gives; without fields for a statement that gives none (DDL, DML, SET).
    pub schema: SchemaRef,
    /// One nullable field per `$n`, in order, of the inferred type; `Null` where nothing says it.
    pub parameters: SchemaRef,
    /// Which values of each parameter keep a type of their own. Those that are missing keep none.
    pub keeps: Vec<Keeps>,
    /// Whether it gives rows and changes nothing, so that it may run again.
    pub is_query: bool,
    /// Whether the order of its rows means something.
    pub is_ordered: bool,
    /// Whatever the engine keeps so as not to plan again. It checks itself whether that still holds.
    pub plan: Option<Arc<dyn Any + Send + Sync>>,
}

/// Which values of a parameter are not converted to the announced type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keeps {
    #[default]
    None,
    /// Numbers that the announced type, which is one of numbers, does not hold.
    LargerNumbers,
    /// All but texts, which become what was announced.
    Own,
}

impl Prepared {
    /// Roughly the bytes it takes, so that what is kept can be bounded. What a plan takes is guessed
    /// from experience with short statements.
    pub(super) fn weight(&self) -> usize {
        const PLAN_BYTES: usize = 16 << 10;
        PLAN_BYTES + 4 * self.sql.len()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("sql", &redacted(&self.sql))
            .field("is_query", &self.is_query)
            .finish_non_exhaustive()
    }
}

/// What a statement came to.
#[derive(Debug)]
pub enum Outcome {
    Rows(RowStream),
    /// Rows that a DML statement wrote, changed or removed.
    Count(u64),
    /// A statement that has neither rows nor a count: DDL, SET.
    Done,
}

/// An outcome and what the user should know besides.
#[derive(Debug)]
pub struct Executed {
    pub outcome: Outcome,
    /// For example that a table existed already.
    pub notices: Vec<String>,
    /// What is known before the first row.
    pub warnings: Vec<String>,
}

impl From<Outcome> for Executed {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            notices: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// What a table is, as drivers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    Table,
    View,
    /// Tables of `system` and `information_schema`.
    SystemTable,
}

/// A table or view of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEntry {
    pub schema: String,
    pub name: String,
    pub kind: TableKind,
}

/// Where ingested rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// `None`: the session's.
    pub schema: Option<String>,
    pub table: String,
    pub mode: IngestMode,
    pub temporary: bool,
}

/// The engine. Sessions are named by their id; one that has ended meanwhile is an error (55000).
///
/// Every method may be dropped before it ends: the client has gone, and what it asked for is
/// cancelled unless it is committed already.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Checks who asks, from which address if that is known. An engine that is open to all accepts
    /// everything.
    async fn authenticate(&self, credentials: &Credentials, peer: Option<IpAddr>) -> Result<Login>;

    /// An error unless a login of that age still holds.
    async fn check_login(&self, login: &Login, age: Duration) -> Result<()>;

    /// The session of this key, made if there is none. Sessions are bounded in number and idle time.
    async fn session(&self, key: &SessionKey, principal: &Principal) -> Result<SessionId>;

    /// Ends a session. One that is not there is no error.
    async fn close_session(&self, session: SessionId) -> Result<()>;

    /// Parses and plans, without running anything.
    async fn prepare(&self, session: SessionId, sql: &str) -> Result<Prepared>;

    /// Plans a statement again with values for its parameters, which may decide about the types of its rows.
    async fn prepare_bound(&self, _: SessionId, statement: &Prepared, _: &[ScalarValue]) -> Result<Prepared> {
        Ok(statement.clone())
    }

    /// Runs a statement once, with one value per parameter. For a query the stream's schema is the
    /// prepared one, unless a table has changed since.
    async fn execute(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Executed>;

    /// Runs a statement that gives no rows once per row of `parameters`, whose columns are its
    /// parameters, and adds up the counts. An engine that can does it all in one commit.
    async fn execute_many(
        &self,
        session: SessionId,
        statement: &Prepared,
        parameters: &[RecordBatch],
    ) -> Result<Executed> {
        super::params::execute_each(self, session, statement, parameters).await
    }

    /// Whether [`Engine::ingest`] works, as drivers ask beforehand.
    fn ingests(&self) -> bool {
        false
    }

    /// Writes rows into a table, all or none, and says how many they were.
    async fn ingest(&self, session: SessionId, target: Ingest, rows: RowStream) -> Result<u64> {
        drop((session, target, rows));
        Err(Error::unsupported("bulk ingest is not supported"))
    }

    /// Names of the schemas, `system` and `information_schema` among them.
    async fn schemas(&self, session: SessionId) -> Result<Vec<String>>;

    /// Every table and view that the session may see.
    async fn tables(&self, session: SessionId) -> Result<Vec<TableEntry>>;

    /// The columns of a table, in the types that queries over it give.
    async fn table_schema(&self, session: SessionId, schema: &str, table: &str) -> Result<SchemaRef>;

    /// The columns of a table's primary key, in order; empty without one.
    async fn primary_key(&self, session: SessionId, schema: &str, table: &str) -> Result<Vec<String>>;

    async fn current_schema(&self, session: SessionId) -> Result<String>;

    /// How the session wants its rows.
    async fn delivery(&self, session: SessionId) -> Result<Delivery>;

    /// Makes a schema the session's current one; 3F000 if there is no such schema.
    async fn use_schema(&self, session: SessionId, schema: &str) -> Result<()>;

    /// Every setting with the session's value.
    async fn settings(&self, session: SessionId) -> Result<Vec<(String, String)>>;

    /// Sets a setting, or goes back to its default: 42704 for an unknown name, 22023 for a bad value.
    async fn set(&self, session: SessionId, name: &str, value: Option<&str>) -> Result<()>;
}
