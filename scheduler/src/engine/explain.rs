//! `EXPLAIN`: how a statement would run or has run, and where a query's answer would come from.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use watershed_core::settings::RESULT_CACHE;
use watershed_core::{Error, Result};
use watershed_sql::plan::{Plan, explain_cache_schema};

use super::statement::Running;
use super::writes;
use crate::cache::{Layer, fingerprint};
use crate::dispatch::{Job, explain};

/// Those that a query asks. Copies at the edge are asked for by whoever keeps them.
const LAYERS: [Layer; 2] = [Layer::Local, Layer::Distributed];

impl Running<'_> {
    /// The plan, and with `analyze` what came of it.
    pub(super) async fn explain(
        &self,
        analyze: bool,
        verbose: bool,
        plan: Plan,
    ) -> Result<SendableRecordBatchStream> {
        let job = match plan {
            Plan::Query(plan) => Job {
                statement: Arc::clone(self.context),
                plan,
                optimized: None,
                write: None,
            },
            Plan::Insert { table, input } if !analyze => {
                let write = writes::target(self.engine, &table.layout)?;
                Job {
                    statement: Arc::clone(self.context),
                    plan: input,
                    optimized: None,
                    write: Some(write),
                }
            }
            _ => {
                return Err(Error::unsupported("EXPLAIN shows queries and plain INSERTs")
                    .with_hint("EXPLAIN ANALYZE takes a query."));
            }
        };
        let request = explain::Request { analyze, verbose };
        explain::explain(&self.engine.parts().dispatch, &job, request).await
    }

    /// A row per layer of the cache. Nothing is run, and nothing counts as asked.
    pub(super) fn explain_cache(&self, plan: &LogicalPlan) -> Result<SendableRecordBatchStream> {
        let parts = self.engine.parts();
        let settings = &self.context.settings;
        let state = parts.dispatch.session(self.context);
        let layers = parts.cache.layers();
        let (key, refused) = match fingerprint::of_plan(plan, state, settings)? {
            Err(why) => (None, Some(why)),
            Ok(print) if print.momentary => (
                Some(print.key),
                Some("it hangs on an instant that does not come again".to_owned()),
            ),
            Ok(print) => (Some(print.key), None),
        };
        let refused = match settings.is_on(RESULT_CACHE) {
            true => refused,
            false => Some("watershed.result_cache is 'off'".to_owned()),
        };
        let answers = LAYERS.map(|layer| {
            let is_on = match layer {
                Layer::Local => layers.local.is_some(),
                Layer::Distributed => layers.distributed.is_some(),
                Layer::Edge => false,
            };
            match (&refused, key) {
                (Some(why), _) => (false, why.clone()),
                (None, _) if !is_on => (false, "cache_layers has no row for it: it is off".to_owned()),
                (None, Some(key)) if parts.cache.has(layer, &key) => {
                    (true, "the same was asked of the same versions".to_owned())
                }
                (None, _) => (
                    false,
                    "nobody has asked this of these versions, or it was removed since".to_owned(),
                ),
            }
        });
        let schema = explain_cache_schema();
        let hash = key.map(|key| key.to_string());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(LAYERS.map(Layer::as_str))),
            Arc::new(
                answers
                    .iter()
                    .map(|(hit, _)| Some(*hit))
                    .collect::<BooleanArray>(),
            ),
            Arc::new(StringArray::from_iter_values(
                answers.iter().map(|(_, reason)| reason),
            )),
            Arc::new(LAYERS.iter().map(|_| hash.as_deref()).collect::<StringArray>()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|error| Error::internal("an explanation is no table").with_detail(error.to_string()))?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            schema,
            stream::iter([Ok(batch)]),
        )))
    }
}
