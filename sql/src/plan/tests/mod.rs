//! Tests of planning: a catalog, a session, and tables in memory.

mod changes;
mod definitions;
mod errors;
mod inserts;
mod large;
mod principals;
mod queries;
mod shows;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::execution::SessionState;
use datafusion::physical_plan::collect;
use datafusion::scalar::ScalarValue;
use watershed_core::error::{Error, Result};
use watershed_core::settings::Settings;
use watershed_core::store::StoreRoot;
use watershed_storage::session::{self, Resources};

use super::*;
use crate::authorize::{Access, Noted, authorize};
use crate::catalog::{CatalogStore, Object, PUBLIC_SCHEMA};
use crate::dialect::parse;

/// A session over a catalog of its own. Rows inserted are kept in memory.
struct Fixture {
    _folder: tempfile::TempDir,
    root: StoreRoot,
    store: CatalogStore,
    settings: Settings,
    schema: String,
    rows: Rows,
    /// Without one, whoever asks may do everything.
    user: Option<String>,
}

#[derive(Default)]
struct Rows(parking_lot::Mutex<HashMap<String, Vec<RecordBatch>>>);

#[async_trait]
impl Tables for Rows {
    async fn provider(&self, object: &Object) -> Result<Arc<dyn TableProvider>> {
        let schema = match object {
            Object::Table(def) => def.layout.arrow_schema(),
            Object::Live(def) => def.arrow_schema(),
            Object::External(_) | Object::View(_) => return Err(Error::internal("no rows")),
        };
        let key = format!("{}.{}", object.schema(), object.name());
        let batches = self.0.lock().get(&key).cloned().unwrap_or_default();
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        Ok(Arc::new(MemTable::try_new(schema, vec![batches]).unwrap()))
    }
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
        let store = CatalogStore::open(&root).await.unwrap();
        Self {
            _folder: folder,
            root,
            store,
            settings: Settings::default(),
            schema: PUBLIC_SCHEMA.to_owned(),
            rows: Rows::default(),
            user: None,
        }
    }

    fn state(&self) -> SessionState {
        let resources = Resources {
            memory_limit: 256 << 20,
            spill_dir: self._folder.path().join("spill"),
            threads: 2,
        };
        let runtime = session::runtime(&self.root, &resources).unwrap();
        let mut state = session::state(session::config(&self.settings, 2), runtime).build();
        state.mark_start_execution();
        state
    }

    async fn plan(&self, sql: &str) -> Result<Plan> {
        self.planned(sql, &Parameters::default()).await
    }

    /// The types of a statement's parameters before values are bound.
    async fn types(&self, sql: &str) -> Vec<String> {
        let parameters = Parameters::default();
        if let Err(error) = self.planned(sql, &parameters).await {
            panic!("{sql}: {error:?}");
        }
        let found = parameters.found().into_iter();
        found.map(|parameter| parameter.data_type.to_string()).collect()
    }

    async fn planned(&self, sql: &str, parameters: &Parameters) -> Result<Plan> {
        let mut parsed = parse(sql)?;
        assert_eq!(parsed.len(), 1, "{sql}");
        let state = self.state();
        let access = match &self.user {
            Some(user) => Access::of(&self.store.current().principals, user)?,
            None => Access::everything("tester"),
        };
        let (noted, scans) = (Noted::default(), Scans::default());
        let context = PlanContext {
            catalog: self.store.current(),
            state: &state,
            tables: &self.rows,
            current_schema: &self.schema,
            settings: &self.settings,
            access: &access,
            noted: Some(&noted),
            scans: &scans,
            parameters,
        };
        authorize(plan(parsed.remove(0).statement, &context).await, &context)
    }

    /// Plans and does it. Rows come out as lines of fields with `|` between them.
    async fn run(&mut self, sql: &str) -> Result<Vec<String>> {
        let plan = self.plan(sql).await?;
        self.perform(plan).await
    }

    async fn run_with(&mut self, sql: &str, params: &[ScalarValue]) -> Result<Vec<String>> {
        let parameters = Parameters::bound(params);
        let plan = self.planned(sql, &parameters).await?;
        let plan = plan.bind(&parameters, self.settings.time_zone())?;
        self.perform(plan).await
    }

    async fn perform(&mut self, plan: Plan) -> Result<Vec<String>> {
        match plan {
            Plan::Query(query) => {
                let schema = Arc::clone(query.schema().inner());
                let batches = self.execute(query).await?;
                for batch in &batches {
                    for (field, planned) in batch.schema().fields().iter().zip(schema.fields()) {
                        assert_eq!(field.data_type(), planned.data_type(), "{}", field.name());
                    }
                }
                Ok(lines(&batches))
            }
            Plan::Ddl(op) => {
                let applied = self.store.apply(op).await?;
                Ok(applied.notice.into_iter().collect())
            }
            Plan::Insert { table, input } => {
                self.keep(&table.schema, &table.name, &table.layout.arrow_schema(), input)
                    .await
            }
            Plan::InsertLive { table, input } => {
                self.keep(&table.schema, &table.name, &table.arrow_schema(), input)
                    .await
            }
            // The rows that change, and nothing done about them.
            Plan::DeleteLive { input, .. } | Plan::UpdateLive { input, .. } => {
                Ok(lines(&self.execute(input).await?))
            }
            Plan::CreateTableAs { op, layout, input } => {
                let Op::CreateTable { schema, name, .. } = &op else {
                    panic!("no table");
                };
                let done = self.keep(schema, name, &layout.arrow_schema(), input).await?;
                self.store.apply(op).await?;
                Ok(done)
            }
            Plan::Set { name, value } => {
                match value {
                    Some(value) => self.settings.set(&name, &value)?,
                    None => self.settings.reset(&name)?,
                }
                Ok(Vec::new())
            }
            Plan::Use { schema } => {
                self.schema = schema;
                Ok(Vec::new())
            }
            Plan::Kill { statement } => Ok(vec![statement.to_string()]),
            Plan::Prepare { name, text } => Ok(vec![format!("{name}|{text}")]),
            Plan::Deallocate { name } => Ok(name.into_iter().collect()),
            Plan::Credential(credential) => {
                let applied = self.store.apply(principals::stored(credential)).await?;
                Ok(applied.notice.into_iter().collect())
            }
            Plan::Explain { .. } | Plan::ExplainCache(_) => Ok(vec!["explained".to_owned()]),
        }
    }

    async fn execute(&self, query: datafusion::logical_expr::LogicalPlan) -> Result<Vec<RecordBatch>> {
        let state = self.state();
        let run = async {
            let optimized = state.optimize(&query)?;
            let physical = state.create_physical_plan(&optimized).await?;
            collect(physical, state.task_ctx()).await
        };
        run.await.map_err(watershed_storage::error::from_datafusion)
    }

    async fn keep(
        &self,
        schema: &str,
        name: &str,
        layout: &SchemaRef,
        input: datafusion::logical_expr::LogicalPlan,
    ) -> Result<Vec<String>> {
        for (given, wanted) in input.schema().fields().iter().zip(layout.fields()) {
            assert_eq!(given.name(), wanted.name());
            assert_eq!(given.data_type(), wanted.data_type(), "{}", wanted.name());
        }
        assert_eq!(input.schema().fields().len(), layout.fields().len());
        let batches = self.execute(input).await?;
        // Keys that the system fills are not filled here.
        let fields = layout
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true));
        let layout: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut count = 0;
        let mut rows = self.rows.0.lock();
        let kept = rows.entry(format!("{schema}.{name}")).or_default();
        for batch in batches {
            count += batch.num_rows();
            kept.push(RecordBatch::try_new(Arc::clone(&layout), batch.columns().to_vec()).unwrap());
        }
        Ok(vec![count.to_string()])
    }

    async fn all(&mut self, statements: &[&str]) {
        for sql in statements {
            self.run(sql)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }

    async fn check(&mut self, sql: &str, expected: &[&str]) {
        let lines = self
            .run(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert_eq!(lines, expected, "{sql}");
    }

    async fn refused(&mut self, sql: &str, code: &str) -> Error {
        let error = match self.run(sql).await {
            Err(error) => error,
            Ok(lines) => panic!("{sql}: {lines:?}"),
        };
        assert_eq!(error.code().as_str(), code, "{sql}: {error:?}");
        error
    }
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let fields: Vec<_> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            lines.push(fields.join("|"));
        }
    }
    lines
}
