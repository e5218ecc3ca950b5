//! An engine for tests: DataFusion over tables in memory, with a record of what was executed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt64Type};
use async_trait::async_trait;
use datafusion::catalog::{MemorySchemaProvider, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, Statement};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use watershed_core::id::SessionId;
use watershed_core::settings::Settings;
use watershed_core::{Error, Result, SqlState};

use crate::flight::{
    Credentials, Delivery, Engine, Executed, Ingest, Login, Outcome, Prepared, Principal, Progress,
    RowStream, SessionKey, TableEntry, TableKind,
};

/// A login holds for this long.
pub(crate) const LOGIN_LIFETIME: Duration = Duration::from_secs(3_600);

pub(crate) struct Fake {
    context: SessionContext,
    sessions: Mutex<HashMap<SessionKey, SessionId>>,
    settings: Mutex<HashMap<SessionId, (Settings, String)>>,
    /// Every statement that ran, in order.
    pub(crate) executed: Mutex<Vec<String>>,
    /// Open row streams of `SELECT endless` and `SELECT late`, as they are held.
    pub(crate) streams: Arc<()>,
    /// Lets `SELECT late` go on.
    pub(crate) said: Arc<Notify>,
    /// `None` lets everyone in; otherwise the one who may.
    pub(crate) user: Option<(String, String)>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema("watershed", "public")
            .with_target_partitions(1);
        let context = SessionContext::new_with_config(config);
        let catalog = context.catalog("watershed").unwrap();
        catalog
            .register_schema("system", Arc::new(MemorySchemaProvider::new()))
            .unwrap();
        Self {
            context,
            sessions: Mutex::default(),
            settings: Mutex::default(),
            executed: Mutex::default(),
            streams: Arc::default(),
            said: Arc::default(),
            user: None,
        }
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.lock().len()
    }

    fn state<T>(&self, session: SessionId, with: impl FnOnce(&mut (Settings, String)) -> T) -> Result<T> {
        let mut settings = self.settings.lock();
        settings
            .get_mut(&session)
            .map(with)
            .ok_or_else(|| Error::new(SqlState::ObjectNotInPrerequisiteState, "the session has ended"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn failed(error: DataFusionError) -> Error {
    let code = match error.find_root() {
        DataFusionError::SQL(_, _) => SqlState::SyntaxError,
        DataFusionError::Plan(text) if text.contains("not found") => SqlState::UndefinedTable,
        DataFusionError::Plan(_) | DataFusionError::SchemaError(_, _) => SqlState::UndefinedColumn,
        _ => SqlState::InternalError,
    };
    Error::new(code, error.to_string())
}

fn numbered(sql: &str) -> String {
    let mut number = 0;
    sql.chars()
        .map(|character| match character {
            '?' => {
                number += 1;
                format!("${number}")
            }
            other => other.to_string(),
        })
        .collect()
}

/// `SELECT endless` never ends, and says how many streams of it are open.
const ENDLESS: &str = "SELECT endless";
/// `SELECT late` gives its row when the test says so.
const LATE: &str = "SELECT late";

#[async_trait]
impl Engine for Fake {
    async fn authenticate(&self, credentials: &Credentials, peer: Option<IpAddr>) -> Result<Login> {
        assert!(peer.is_some(), "every connection has another end");
        let name = match (&self.user, credentials) {
            (None, _) => Principal::ANONYMOUS,
            (Some((name, word)), Credentials::Password { user, password })
                if user == name && password == word =>
            {
                name
            }
            (Some(_), _) => {
                return Err(Error::new(
                    SqlState::InvalidAuthorization,
                    "wrong user or password",
                ));
            }
        };
        Ok(Login {
            principal: Principal::new(name),
            proof: "shown".to_owned(),
        })
    }

    async fn check_login(&self, login: &Login, age: Duration) -> Result<()> {
        if login.proof == "shown" && age <= LOGIN_LIFETIME {
            return Ok(());
        }
        Err(Error::new(SqlState::InvalidAuthorization, "log in again"))
    }

    async fn session(&self, key: &SessionKey, _: &Principal) -> Result<SessionId> {
        let session = *self
            .sessions
            .lock()
            .entry(key.clone())
            .or_insert_with(SessionId::generate);
        self.settings
            .lock()
            .entry(session)
            .or_insert_with(|| (Settings::default(), "public".to_owned()));
        Ok(session)
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.sessions.lock().retain(|_, id| *id != session);
        self.settings.lock().remove(&session);
        Ok(())
    }

    async fn prepare(&self, _: SessionId, sql: &str) -> Result<Prepared> {
        let (schema, parameters, is_query) = if sql == ENDLESS || sql == LATE {
            let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
            (Arc::new(schema), Arc::new(Schema::empty()), true)
        } else {
            let plan = self
                .context
                .state()
                .create_logical_plan(&numbered(sql))
                .await
                .map_err(failed)?;
            let types = plan.get_parameter_types().map_err(failed)?;
            let parameters: Fields = (1..=types.len())
                .map(|number| {
                    let name = format!("${number}");
                    let known = types.get(&name).cloned().flatten().unwrap_or(DataType::Null);
                    Field::new(name, known, true)
                })
                .collect();
            let is_query = !matches!(
                plan,
                LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Statement(Statement::SetVariable(_))
            );
            let schema: SchemaRef = if is_query {
                Arc::new(plan.schema().as_arrow().clone())
            } else {
                Arc::new(Schema::empty())
            };
            (schema, Arc::new(Schema::new(parameters)), is_query)
        };
        Ok(Prepared {
            sql: sql.to_owned(),
            schema,
            parameters,
            keeps: Vec::new(),
            is_query,
            is_ordered: sql.contains("ORDER BY"),
            plan: None,
        })
    }

    async fn execute(
        &self,
        session: SessionId,
        statement: &Prepared,
        values: &[ScalarValue],
    ) -> Result<Executed> {
        self.state(session, |_| ())?;
        self.executed.lock().push(statement.sql.clone());
        if statement.sql == ENDLESS {
            return Ok(Outcome::Rows(endless(&self.streams, &statement.schema)).into());
        }
        if statement.sql == LATE {
            return Ok(Outcome::Rows(late(Arc::clone(&self.said), &self.streams, &statement.schema)).into());
        }
        let frame = self
            .context
            .sql(&numbered(&statement.sql))
            .await
            .map_err(failed)?;
        let frame = frame.with_param_values(values.to_vec()).map_err(failed)?;
        if statement.is_query {
            let schema = Arc::new(frame.schema().as_arrow().clone());
            let batches = frame
                .execute_stream()
                .await
                .map_err(failed)?
                .map_err(failed)
                .boxed();
            return Ok(Outcome::Rows(RowStream::new(schema, batches)).into());
        }
        let counts: Vec<RecordBatch> = frame.collect().await.map_err(failed)?;
        let count = counts
            .first()
            .filter(|batch| batch.num_columns() == 1 && batch.num_rows() == 1)
            .map(|batch| batch.column(0).as_primitive::<UInt64Type>().value(0));
        Ok(Executed {
            outcome: count.map_or(Outcome::Done, Outcome::Count),
            notices: vec!["done".to_owned()],
            warnings: Vec::new(),
        })
    }

    fn ingests(&self) -> bool {
        true
    }

    async fn ingest(&self, _: SessionId, target: Ingest, rows: RowStream) -> Result<u64> {
        let schema = Arc::clone(&rows.schema);
        let batches: Vec<_> = rows.batches.try_collect().await?;
        let count = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let table = datafusion::datasource::MemTable::try_new(schema, vec![batches]).map_err(failed)?;
        self.context
            .register_table(target.table.as_str(), Arc::new(table))
            .map_err(failed)?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn schemas(&self, _: SessionId) -> Result<Vec<String>> {
        let catalog = self.context.catalog("watershed").unwrap();
        Ok(catalog.schema_names())
    }

    async fn tables(&self, _: SessionId) -> Result<Vec<TableEntry>> {
        let catalog = self.context.catalog("watershed").unwrap();
        let tables = |schema: &str, kind| {
            let names = catalog
                .schema(schema)
                .map(|schema| schema.table_names())
                .unwrap_or_default();
            let schema = schema.to_owned();
            names.into_iter().map(move |name| TableEntry {
                kind: if name.ends_with("_view") {
                    TableKind::View
                } else {
                    kind
                },
                schema: schema.clone(),
                name,
            })
        };
        Ok(tables("public", TableKind::Table)
            .chain(tables("system", TableKind::SystemTable))
            .collect())
    }

    async fn table_schema(&self, _: SessionId, schema: &str, table: &str) -> Result<SchemaRef> {
        let catalog = self.context.catalog("watershed").unwrap();
        let provider: Option<Arc<dyn TableProvider>> = match catalog.schema(schema) {
            Some(schema) => schema.table(table).await.map_err(failed)?,
            None => None,
        };
        provider
            .map(|provider| provider.schema())
            .ok_or_else(|| Error::new(SqlState::UndefinedTable, "no such table"))
    }

    async fn primary_key(&self, _: SessionId, schema: &str, table: &str) -> Result<Vec<String>> {
        Ok(match (schema, table) {
            ("public", "t") => vec!["id".to_owned()],
            _ => Vec::new(),
        })
    }

    async fn current_schema(&self, session: SessionId) -> Result<String> {
        self.state(session, |(_, schema)| schema.clone())
    }

    async fn delivery(&self, session: SessionId) -> Result<Delivery> {
        self.state(session, |(settings, _)| Delivery::of(settings))
    }

    async fn use_schema(&self, session: SessionId, schema: &str) -> Result<()> {
        if self
            .context
            .catalog("watershed")
            .unwrap()
            .schema(schema)
            .is_none()
        {
            return Err(Error::new(SqlState::InvalidSchemaName, "no such schema"));
        }
        self.state(session, |(_, current)| schema.clone_into(current))
    }

    async fn settings(&self, session: SessionId) -> Result<Vec<(String, String)>> {
        self.state(session, |(settings, _)| {
            settings
                .changed()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        })
    }

    async fn set(&self, session: SessionId, name: &str, value: Option<&str>) -> Result<()> {
        self.state(session, |(settings, _)| match value {
            Some(value) => settings.set(name, value),
            None => settings.reset(name),
        })?
    }
}

fn endless(streams: &Arc<()>, schema: &SchemaRef) -> RowStream {
    let held = Arc::clone(streams);
    let rows = Arc::new(arrow::array::Int64Array::from_iter_values(0..100_000));
    let batch = RecordBatch::try_new(Arc::clone(schema), vec![rows]).unwrap();
    let batches = stream::repeat_with(move || {
        let _open = &held;
        Ok(batch.clone())
    });
    RowStream::new(Arc::clone(schema), batches.boxed())
}

/// One row, when the test says so; half of the way until then.
fn late(said: Arc<Notify>, streams: &Arc<()>, schema: &SchemaRef) -> RowStream {
    struct Half;
    impl Progress for Half {
        fn fraction(&self) -> Option<f64> {
            Some(0.5)
        }
    }
    let rows = Arc::new(arrow::array::Int64Array::from_iter_values([7]));
    let batch = RecordBatch::try_new(Arc::clone(schema), vec![rows]).unwrap();
    let batches = stream::once(async move {
        said.notified().await;
        Ok(batch)
    });
    let held = Arc::clone(streams);
    let batches = batches.chain(stream::poll_fn(move |_| {
        let _open = &held;
        std::task::Poll::Ready(None)
    }));
    RowStream {
        progress: Some(Arc::new(Half)),
        ..RowStream::new(Arc::clone(schema), batches.boxed())
    }
}
