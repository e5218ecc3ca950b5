//! A query by way of the result cache: its answer is there, or somebody is finding it, or it runs and
//! leaves its answer for others.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use chrono::TimeDelta;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use watershed_core::Result;
use watershed_core::settings::{MAX_STALENESS, RESULT_CACHE};
use watershed_storage::error::from_datafusion;

use super::statement::Running;
use crate::cache::{About, Entry, Fingerprint, Found, Generic, Lead, Outcome, fingerprint};
use crate::dispatch::context::Counters;
use crate::dispatch::{Job, Path};

/// The path of a query whose answer is there.
const PATH: &str = "cache";

impl Running<'_> {
    /// Runs a query, or takes its answer from where it lies.
    pub(super) async fn query(&mut self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let parts = self.engine.parts();
        if !self.context.settings.is_on(RESULT_CACHE) {
            self.guard.cache("bypass", "watershed.result_cache is 'off'");
            return self.run(plan, None).await.map(|(_, rows)| rows);
        }
        let state = parts.dispatch.session(self.context);
        match Generic::of(&plan, state).map_err(from_datafusion)? {
            Ok(generic) => {
                self.learn(&generic)?;
                self.generic(&generic, Some(plan)).await
            }
            Err(why) => {
                self.guard.cache("bypass", &why);
                self.run(plan, None).await.map(|(_, rows)| rows)
            }
        }
    }

    /// [`Running::query`] for an optimized plan, and what it was made of where there is that.
    pub(super) async fn generic(
        &mut self,
        generic: &Generic,
        plan: Option<LogicalPlan>,
    ) -> Result<SendableRecordBatchStream> {
        let parts = self.engine.parts();
        let state = parts.dispatch.session(self.context);
        let text = self.remember.as_ref().map(|(text, _)| text);
        let momentary = text.and_then(|text| parts.cache.texts().is_momentary(text));
        let (print, optimized) = match fingerprint::of(generic, state, &self.context.settings, momentary)? {
            Ok(found) => found,
            Err(why) => {
                self.guard.cache("bypass", &why);
                let optimized = generic.at(state, TimeDelta::zero()).map_err(from_datafusion)?;
                let plan = plan.unwrap_or_else(|| optimized.clone());
                return self.run(plan, Some(optimized)).await.map(|(_, rows)| rows);
            }
        };
        let plan = plan.unwrap_or_else(|| optimized.clone());
        self.guard.print(&print);
        parts.cache.see(&print.pins);
        if let Some((text, _)) = self.remember.as_ref().filter(|_| momentary.is_none()) {
            parts.cache.texts().learn_momentary(text.clone(), print.momentary);
        }
        if print.momentary {
            self.guard
                .cache("bypass", "it hangs on an instant that does not come again");
            return self.run(plan, Some(optimized)).await.map(|(_, rows)| rows);
        }
        let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
        let mut waited = false;
        let lead = loop {
            let found = parts
                .cache
                .find(&print, self.context, self.session.principal.name(), &self.reads);
            match found.await {
                Found::Answer(entry, layer) => {
                    let from = if waited { "shared" } else { layer.as_str() };
                    let rows = self.answer(&entry, from, &schema)?;
                    self.remember(print, &schema);
                    return Ok(rows);
                }
                Found::Lead(lead) => {
                    if let Some(rows) = self.outdated(&print, &schema)? {
                        drop(lead);
                        self.refresh();
                        return Ok(rows);
                    }
                    break Some(lead);
                }
                // Its own deadline would pass while it waits for another's answer.
                Found::Wait(_) if self.context.terms.allowed => break None,
                Found::Wait(mut ended) => {
                    waited = true;
                    // It is over when the one that ran it has said so, or has gone without a word.
                    let changed = ended.wait_for(|outcome| *outcome != Outcome::Running).await;
                    if changed.is_ok_and(|outcome| *outcome == Outcome::NotShared) {
                        break None;
                    }
                }
            }
        };
        self.guard
            .cache("miss", "nobody has asked this of these versions");
        let (path, rows) = self.run(plan, Some(optimized)).await?;
        match lead {
            Some(lead) => self.lead(lead, print, path, rows).await,
            None => Ok(rows),
        }
    }

    /// The last answer over versions that have passed, for a session that takes it.
    fn outdated(
        &mut self,
        print: &Fingerprint,
        schema: &SchemaRef,
    ) -> Result<Option<SendableRecordBatchStream>> {
        let Some(max_age) = self.context.settings.duration(MAX_STALENESS) else {
            return Ok(None);
        };
        let cache = &self.engine.parts().cache;
        let Some((entry, age)) = cache.outdated(&print.plan, max_age) else {
            return Ok(None);
        };
        let rows = self.answer(&entry, "stale", schema)?;
        let age = format!("{:.1} s", age.as_secs_f64());
        self.guard
            .cache("stale", &format!("its tables have changed; it is {age} old"));
        self.warnings.push(format!(
            "the answer is {age} old, and its tables have changed since; watershed.max_staleness allows it"
        ));
        Ok(Some(rows))
    }

    /// Computes the answer for those who come next.
    fn refresh(&mut self) {
        let Some((sql, parameters)) = self.again.take() else {
            return;
        };
        let (engine, session) = (self.engine.clone(), Arc::clone(self.session));
        let mut settings = self.context.settings.clone();
        tokio::spawn(async move {
            let refreshed = async {
                settings.reset(MAX_STALENESS)?;
                Box::pin(engine.refresh(&session, settings, &sql, &parameters)).await
            };
            // system.queries has it as a statement of its own.
            if let Err(error) = refreshed.await {
                tracing::info!(%error, "an answer that has passed was not computed anew");
            }
        });
    }

    async fn run(
        &self,
        plan: LogicalPlan,
        optimized: Option<LogicalPlan>,
    ) -> Result<(Path, SendableRecordBatchStream)> {
        let job = Job {
            statement: Arc::clone(self.context),
            plan,
            optimized,
            write: None,
        };
        let (choice, rows) = self.engine.parts().dispatch.answer(&job).await?;
        self.guard.path(choice.path.name(), &choice.why);
        Ok((choice.path, rows))
    }

    /// The rows of an answer that is there.
    pub(super) fn answer(
        &self,
        entry: &Entry,
        from: &'static str,
        schema: &SchemaRef,
    ) -> Result<SendableRecordBatchStream> {
        let counters = &self.context.counters;
        Counters::add(&counters.total_shards, entry.about.shards);
        Counters::add(&counters.completed_shards, entry.about.shards);
        let batches = entry.batches(schema)?;
        if let Some(place) = &self.place {
            place.leave();
        }
        self.guard.path(PATH, "its answer is there");
        self.guard.cache(from, "the same was asked of the same versions");
        let rows = stream::iter(batches.into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), rows)))
    }

    /// Takes the rows of a query that others wait for, up to what one answer may take: this client's pace
    /// is not theirs. A longer answer streams on, and the others run it themselves.
    async fn lead(
        &mut self,
        lead: Lead,
        print: Fingerprint,
        path: Path,
        mut rows: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        let parts = self.engine.parts();
        let limit = parts.cache.layers().local.map_or(0, |limits| limits.max_entry());
        let schema = rows.schema();
        let mut taken: Vec<RecordBatch> = Vec::new();
        let mut bytes = 0;
        let whole = loop {
            if bytes > limit {
                break false;
            }
            match rows.try_next().await.map_err(from_datafusion)? {
                Some(batch) => {
                    bytes += size(&batch);
                    taken.push(batch);
                }
                None => break true,
            }
        };
        if !whole {
            lead.end(Outcome::NotShared);
            let taken = stream::iter(taken.into_iter().map(Ok));
            let rows = taken.chain(rows);
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
        }
        let partial = self.context.partial();
        if self.is_exact(&print).await {
            let about = About {
                principal: self.session.principal.name().to_owned(),
                reads: self.reads.to_vec(),
                tables: print.pins.iter().map(|pin| pin.table.clone()).collect(),
                versions: print
                    .pins
                    .iter()
                    .map(|pin| (pin.identity.clone(), pin.version.clone()))
                    .collect(),
                shards: partial
                    .as_ref()
                    .map_or_else(|| self.shards(), |partial| partial.total_shards),
                missing_shards: partial.as_ref().map_or(0, |partial| {
                    partial.total_shards.saturating_sub(partial.completed_shards)
                }),
                plan: print.plan.to_string(),
                created_at: self.context.now,
                invalidation: self.invalidation,
            };
            let entry = Entry::new(about, &schema, &taken)?;
            if partial.is_some() {
                parts.cache.show_partial(print.key, lead, entry);
            } else {
                parts.cache.store(print.key, lead, entry, path != Path::Local);
                self.remember(print, &schema);
            }
        } else {
            lead.end(Outcome::NotShared);
        }
        let rows = stream::iter(taken.into_iter().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// The shards that the answer is made of: those that executors were given, or those that were read here.
    fn shards(&self) -> u64 {
        let given = Counters::get(&self.context.counters.total_shards);
        let scans = self.context.scans.reports();
        let scanned: usize = scans.iter().map(|scan| scan.shards_scanned.len()).sum();
        if given > 0 { given } else { scanned as u64 }
    }

    /// Whether what was read is what the fingerprint names, all of it.
    async fn is_exact(&self, print: &Fingerprint) -> bool {
        let state = self.engine.parts().dispatch.session(self.context);
        for pin in &print.pins {
            if !pin.holds(state).await {
                return false;
            }
        }
        true
    }
}

/// What a batch's rows take, without what its buffers hold besides.
fn size(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    // Of a type whose slices cannot be measured, whole buffers count.
    let bytes = columns.map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size()
            .unwrap_or_else(|_| column.get_array_memory_size())
    });
    bytes.sum::<usize>() as u64
}
