//! The names a server knows, for completion: fetched when first needed, and again after DDL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use watershed_core::{Error, Result};

use crate::connect::Client;

/// Completion is no place to wait for a slow server.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a failure nothing is asked for this long.
const PAUSE: Duration = Duration::from_secs(5);

const SCHEMAS: &str = "SELECT DISTINCT schema_name FROM information_schema.schemata ORDER BY 1 LIMIT 1000";
const COLUMNS: &str = "SELECT table_schema, table_name, column_name FROM information_schema.columns \
                       ORDER BY table_schema, table_name, ordinal_position LIMIT 20000";

/// What has a name. The queries above bound it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) schemas: Vec<String>,
    pub(super) relations: Vec<Relation>,
}

/// A table or view.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

impl Known {
    /// Takes rows of schema, table and column, in this order.
    pub(super) fn of(schemas: Vec<String>, columns: Vec<[String; 3]>) -> Self {
        let mut relations: Vec<Relation> = Vec::new();
        for [schema, name, column] in columns {
            match relations.last_mut() {
                Some(last) if last.schema == schema && last.name == name => last.columns.push(column),
                _ => relations.push(Relation {
                    schema,
                    name,
                    columns: vec![column],
                }),
            }
        }
        Self { schemas, relations }
    }
}

/// A server's names, as far as they are known here.
#[derive(Debug)]
pub(super) struct Names {
    client: Client,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Arc<Known>,
    is_current: bool,
    failed: Option<Instant>,
}

impl Names {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            state: Mutex::default(),
        }
    }

    /// They may have changed.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        state.is_current = false;
        state.failed = None;
    }

    /// The names, fetched first if need be. For a thread that may block.
    pub(super) fn known(&self, runtime: &Handle) -> Arc<Known> {
        {
            let state = self.state.lock();
            if state.is_current || state.failed.is_some_and(|at| at.elapsed() < PAUSE) {
                return Arc::clone(&state.known);
            }
        }
        let fetched = runtime.block_on(async { tokio::time::timeout(PATIENCE, fetch(&self.client)).await });
        let mut state = self.state.lock();
        match fetched {
            Ok(Ok(known)) => {
                state.known = Arc::new(known);
                state.is_current = true;
            }
            // What was known before is better than nothing, and an error here would only disturb.
            Ok(Err(error)) => {
                tracing::debug!(%error, "names for completion were not fetched");
                state.failed = Some(Instant::now());
            }
            Err(_) => state.failed = Some(Instant::now()),
        }
        Arc::clone(&state.known)
    }
}

async fn fetch(client: &Client) -> Result<Known> {
    let schemas = texts::<1>(client, SCHEMAS).await?;
    let columns = texts::<3>(client, COLUMNS).await?;
    Ok(Known::of(
        schemas.into_iter().map(|[schema]| schema).collect(),
        columns,
    ))
}

async fn texts<const N: usize>(client: &Client, sql: &str) -> Result<Vec<[String; N]>> {
    let batches: Vec<RecordBatch> = client.query(sql).await?.try_collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        let unreadable = |error| Error::internal("cannot read names").with_detail(format!("{error}"));
        let options = FormatOptions::new();
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref() as &dyn Array, &options))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        for row in 0..batch.num_rows() {
            rows.push(std::array::from_fn(|column| {
                formatters
                    .get(column)
                    .map(|formatter| formatter.value(row).to_string())
                    .unwrap_or_default()
            }));
        }
    }
    Ok(rows)
}
