//! Names become rows: each table is pinned to one version for the statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use tokio::sync::Mutex;
use watershed_core::id::TableId;
use watershed_core::{Error, Result};
use watershed_sql::catalog::{ExternalDef, ExternalFormat as Format, Object, TableDef};
use watershed_sql::plan::Tables;
use watershed_storage::delta::TableSnapshot;
use watershed_storage::external::{self, ExternalFormat, ExternalTable};
use watershed_storage::table::ShardedTable;

use super::Engine;
use super::sessions::Session;
use crate::dispatch::context::StatementContext;
use crate::system;

/// Tables at their versions.
pub(super) type Versions = Vec<(Arc<TableDef>, u64)>;

/// A table, and the version that was pinned.
type Pinned = (Arc<TableDef>, Arc<TableSnapshot>);

/// The tables of one statement.
pub(super) struct PinnedTables<'a> {
    engine: &'a Engine,
    session: &'a Arc<Session>,
    statement: &'a Arc<StatementContext>,
    state: &'a SessionState,
    pins: Mutex<HashMap<TableId, Pinned>>,
    /// Whether rows come from anything else, and whether that is files of others.
    others: AtomicBool,
    files: AtomicBool,
}

impl<'a> PinnedTables<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        session: &'a Arc<Session>,
        statement: &'a Arc<StatementContext>,
        state: &'a SessionState,
    ) -> Self {
        Self {
            engine,
            session,
            statement,
            state,
            pins: Mutex::default(),
            others: AtomicBool::new(false),
            files: AtomicBool::new(false),
        }
    }

    /// Whether the statement reads external tables, in views and as what `DESCRIBE` shows too.
    pub(super) fn reads_files(&self) -> bool {
        self.files.load(Ordering::Relaxed)
    }

    /// The versions that were pinned, if they say all about what the statement reads.
    pub(super) fn versions(self) -> Option<Versions> {
        let pins = self.pins.into_inner();
        (!self.others.into_inner()).then(|| {
            pins.into_values()
                .map(|(table, snapshot)| (table, snapshot.version))
                .collect()
        })
    }

    pub(super) async fn managed(&self, table: &Arc<TableDef>) -> Result<Arc<dyn TableProvider>> {
        let parts = self.engine.parts();
        let mut pins = self.pins.lock().await;
        let snapshot = match pins.get(&table.layout.id) {
            Some((_, snapshot)) => Arc::clone(snapshot),
            None => {
                let snapshot = parts.delta.snapshot(&table.layout).await?;
                pins.insert(table.layout.id, (Arc::clone(table), Arc::clone(&snapshot)));
                snapshot
            }
        };
        let name = format!("{}.{}", table.schema, table.name);
        let layout = Arc::clone(&table.layout);
        Ok(Arc::new(ShardedTable::new(
            name,
            layout,
            snapshot,
            &parts.root,
            self.statement.scans.clone(),
        )))
    }
}

#[async_trait]
impl Tables for PinnedTables<'_> {
    async fn provider(&self, object: &Object) -> Result<Arc<dyn TableProvider>> {
        match object {
            Object::Table(table) => self.managed(table).await,
            Object::External(def) => {
                self.others.store(true, Ordering::Relaxed);
                self.files.store(true, Ordering::Relaxed);
                external::open(&external_table(def), self.state, self.statement.scans.clone()).await
            }
            Object::Live(def) => {
                self.others.store(true, Ordering::Relaxed);
                system::provider(self.engine, self.session, def).await
            }
            Object::View(view) => Err(Error::internal(format!(
                "view {} has no rows of its own",
                view.name
            ))),
        }
    }
}

/// Checks that files are as `CREATE EXTERNAL TABLE` says. Columns that it leaves to the files are not stored, as
/// files change.
pub(super) async fn check_files(def: &ExternalDef, state: &SessionState) -> Result<()> {
    external::check(&external_table(def), state).await
}

fn external_table(def: &ExternalDef) -> ExternalTable {
    ExternalTable {
        // Files that a query names itself are in no schema.
        name: match def.schema.as_str() {
            "" => def.name.clone(),
            schema => format!("{schema}.{}", def.name),
        },
        format: match def.format {
            Format::Parquet => ExternalFormat::Parquet,
            Format::Csv => ExternalFormat::Csv,
            Format::Json => ExternalFormat::Json,
            Format::Delta => ExternalFormat::Delta,
        },
        location: def.location.clone(),
        columns: def.columns.clone(),
        partition_by: def.partition_by.clone(),
        options: def.options.clone(),
    }
}
