//! What is known of a query by its text: how it is planned, and where its answer lies.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use watershed_core::Result;
use watershed_core::settings::RESULT_CACHE;
use watershed_sql::plan::Plan;
use watershed_storage::error::from_datafusion;

use super::Engine;
use super::limits::{Deadline, planning, until};
use super::request::Request;
use super::sessions::Session;
use super::statement::Running;
use super::tables::{PinnedTables, Versions};
use crate::cache::{Fingerprint, Generic, Key, KnownAnswer, KnownPlan, Layer, TextKey, fingerprint};
use crate::dispatch::context::StatementContext;

impl Engine {
    /// What the answer to a query is called now; none of one that is not kept. Nothing is run.
    pub async fn result_key(&self, session: &Arc<Session>, sql: &str) -> Result<Option<Key>> {
        let context = self.begin(session.settings());
        let deadline = context.settings.statement_timeout().map(Deadline::after);
        let (engine, session, sql) = (self.clone(), Arc::clone(session), sql.to_owned());
        let statement = Arc::clone(&context);
        let work = self.apart(async move {
            let work = Box::pin(engine.find_key(&session, &statement, sql));
            planning(deadline, &statement, work).await
        });
        until(deadline, &context, Box::pin(work)).await
    }

    async fn find_key(
        &self,
        session: &Arc<Session>,
        context: &Arc<StatementContext>,
        sql: String,
    ) -> Result<Option<Key>> {
        let catalog = self.newest_catalog().await?;
        let text = TextKey::of(&sql, &[], session, &context.settings, catalog.version);
        let texts = self.parts().cache.texts();
        if text.as_ref().and_then(|text| texts.is_momentary(text)) == Some(true) {
            return Ok(None);
        }
        let known = text.and_then(|text| texts.answer(&text));
        if let Some(known) = known
            && self.is_current(&known).await?
        {
            return Ok(Some(known.print.key));
        }
        let request = Request::Statement {
            sql,
            parameters: Some(Vec::new()),
        };
        let Plan::Query(plan) = self.plan(session, context, &request, catalog).await?.plan else {
            return Ok(None);
        };
        let state = self.parts().dispatch.session(context);
        let print = fingerprint::of_plan(&plan, state, &context.settings)?.ok();
        Ok(print.filter(|print| !print.momentary).map(|print| print.key))
    }

    /// The plan of a query whose text was planned before, over its tables as they are now.
    pub(super) async fn known_plan(
        &self,
        session: &Arc<Session>,
        context: &Arc<StatementContext>,
        text: &TextKey,
    ) -> Result<Option<(Generic, Arc<KnownPlan>, Option<Versions>)>> {
        let parts = self.parts();
        if !context.settings.is_on(RESULT_CACHE) {
            return Ok(None);
        }
        let Some(known) = parts.cache.texts().plan(text) else {
            return Ok(None);
        };
        let pinned = PinnedTables::new(self, session, context, parts.dispatch.session(context));
        let mut providers = HashMap::new();
        for table in &known.tables {
            providers.insert(table.layout.id, pinned.managed(table).await?);
        }
        let generic = known.template.with(|table| providers.get(&table).cloned());
        let generic = generic.map_err(from_datafusion)?;
        Ok(generic.map(|generic| (generic, known, pinned.versions())))
    }

    /// Whether the tables of an answer are at the versions that it is of.
    async fn is_current(&self, known: &KnownAnswer) -> Result<bool> {
        for (table, version) in &known.tables {
            if self.parts().delta.snapshot(&table.layout).await?.version != *version {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Running<'_> {
    /// What its text and parameters are called, if they may come again.
    pub(super) fn text(&self, request: &Request, version: u64) -> Option<TextKey> {
        match request {
            Request::Statement {
                sql,
                parameters: Some(parameters),
            } => TextKey::of(sql, parameters, self.session, &self.context.settings, version),
            Request::Statement { .. } | Request::Ingest { .. } => None,
        }
    }

    /// Its rows, where they are known and no place is free.
    pub(super) async fn waiting(&self, request: &Request) -> Result<Option<SendableRecordBatchStream>> {
        let catalog = self.engine.newest_catalog().await?;
        match self.text(request, catalog.version) {
            Some(text) => self.known(&text).await,
            None => Ok(None),
        }
    }

    /// The answer to a statement whose text came to one before, over tables that are still at the same
    /// versions.
    pub(super) async fn known(&self, text: &TextKey) -> Result<Option<SendableRecordBatchStream>> {
        let parts = self.engine.parts();
        if !self.context.settings.is_on(RESULT_CACHE) {
            return Ok(None);
        }
        let Some(known) = parts.cache.texts().answer(text) else {
            return Ok(None);
        };
        if !self.engine.is_current(&known).await? {
            return Ok(None);
        }
        let Some(entry) = parts.cache.local(&known.print.key) else {
            return Ok(None);
        };
        self.guard.print(&known.print);
        self.answer(&entry, Layer::Local.as_str(), &known.schema)
            .map(Some)
    }

    /// Lets the same text be run without being planned.
    pub(super) fn learn(&self, generic: &Generic) -> Result<()> {
        let Some((text, tables)) = &self.remember else {
            return Ok(());
        };
        if let Some(template) = generic.template().map_err(from_datafusion)? {
            let plan = KnownPlan {
                template,
                tables: tables.iter().map(|(table, _)| Arc::clone(table)).collect(),
                reads: Arc::clone(&self.reads),
            };
            self.engine.parts().cache.texts().learn_plan(text.clone(), plan);
        }
        Ok(())
    }

    /// Lets the same text find its answer without being planned.
    pub(super) fn remember(&mut self, print: Fingerprint, schema: &SchemaRef) {
        let Some((text, tables)) = self.remember.take() else {
            return;
        };
        if !print.clocked {
            let answer = KnownAnswer {
                tables,
                print: Arc::new(print),
                schema: Arc::clone(schema),
            };
            self.engine.parts().cache.texts().learn_answer(text, answer);
        }
    }
}
