//! Queries run: once for every row of what is bound to them, as one stream.

use std::sync::Arc;
use std::task::Poll;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::scalar::ScalarValue;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use watershed_core::id::SessionId;
use watershed_core::net::Notices;
use watershed_core::partial::PartialNote;
use watershed_core::{Error, Result};

use super::engine::{Engine, Executed, Outcome, Prepared, RowStream};
use super::params;
use super::wire;

/// A query that can run, and run again.
#[derive(Clone)]
pub(super) struct Query {
    pub(super) engine: Arc<dyn Engine>,
    /// The session that it runs in, whoever fetches its rows.
    pub(super) session: SessionId,
    pub(super) statement: Arc<Prepared>,
    pub(super) parameters: Arc<Vec<RecordBatch>>,
}

impl Query {
    /// Runs it, for one row of its parameters after the other. The first run begins here, so that its
    /// errors are the call's own.
    pub(super) async fn run(&self) -> Result<(RowStream, Notices)> {
        if self.statement.parameters.fields().is_empty() {
            return self.run_with(&[]).await;
        }
        let mut rows = params::rows(&self.parameters);
        let Some((batch, row)) = rows.next() else {
            return Ok((no_rows(&self.statement.schema), Notices::default()));
        };
        let (first, notices) = self.run_with(&self.bound(batch, row)?).await?;
        let query = self.clone();
        let partial = PartialNote::default();
        let noted = partial.clone();
        let rest = stream::iter(rows).then(move |(batch, row)| {
            let (query, noted) = (query.clone(), noted.clone());
            async move {
                let (rows, _) = query.run_with(&query.bound(batch, row)?).await?;
                Ok::<_, Error>(noting(rows, noted))
            }
        });
        let schema = Arc::clone(&first.schema);
        let batches = noting(first, partial.clone()).chain(rest.try_flatten()).boxed();
        let rows = RowStream {
            partial,
            ..RowStream::new(schema, batches)
        };
        Ok((rows, notices))
    }

    async fn run_with(&self, values: &[ScalarValue]) -> Result<(RowStream, Notices)> {
        let executed = self.engine.execute(self.session, &self.statement, values).await?;
        let notices = notes(&executed);
        match executed.outcome {
            Outcome::Rows(rows) => {
                let with_values = !self.statement.parameters.fields().is_empty();
                wire::check_unchanged(&self.statement.schema, &rows.schema, with_values)?;
                Ok((rows, notices))
            }
            Outcome::Count(_) | Outcome::Done => Err(Error::internal("a query gave no rows, not even none")),
        }
    }

    fn bound(&self, batch: usize, row: usize) -> Result<Vec<ScalarValue>> {
        self.parameters
            .get(batch)
            .map_or_else(|| Ok(Vec::new()), |batch| params::row(batch, row))
    }
}

/// The rows of one run; what it lacks is noted when they have ended.
fn noting(rows: RowStream, noted: PartialNote) -> BoxStream<'static, Result<RecordBatch>> {
    let partial = rows.partial;
    let end = stream::poll_fn(move |_| {
        if let Some(partial) = partial.get() {
            noted.add(partial);
        }
        Poll::Ready(None)
    });
    rows.batches.chain(end).boxed()
}

pub(super) fn no_rows(schema: &SchemaRef) -> RowStream {
    RowStream::new(Arc::clone(schema), stream::empty().boxed())
}

pub(super) fn notes(executed: &Executed) -> Notices {
    Notices {
        notices: executed.notices.clone(),
        warnings: executed.warnings.clone(),
    }
}
