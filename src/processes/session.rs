//! What a Flight SQL client asks, with whole answers.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use watershed_client::{Client, RowStream};
use watershed_core::partial::Partial;
use watershed_core::{Error, Result};

use crate::answer::{Cell, cells};

/// An ordinary client's session: it can do what any driver can.
#[derive(Clone)]
pub(crate) struct Session(Client);

impl Session {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        Client::connect(url).await.map(Self)
    }

    /// From now on, everything is computed anew.
    pub(crate) async fn without_caches(&self) -> Result<()> {
        for cache in ["result_cache", "fragment_cache"] {
            self.update(&format!("SET watershed.{cache} = 'off'")).await?;
        }
        Ok(())
    }

    /// The rows of a query, as they come.
    pub(crate) async fn stream(&self, sql: &str) -> Result<RowStream> {
        self.0.query(sql).await
    }

    /// All rows of a query.
    pub(crate) async fn rows(&self, sql: &str) -> Result<RecordBatch> {
        self.answer(sql).await.map(|(rows, _)| rows)
    }

    /// All rows of a query, and what its answer lacks, if it lacks any.
    pub(crate) async fn answer(&self, sql: &str) -> Result<(RecordBatch, Option<Partial>)> {
        let mut stream = self.stream(sql).await?;
        let schema = stream.schema().clone();
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            batches.push(batch);
        }
        let rows = concat_batches(&schema, &batches).map_err(|error| {
            Error::internal("batches of one answer differ").with_detail(error.to_string())
        })?;
        Ok((rows, stream.closing().partial))
    }

    /// The number that a query answers, as `SELECT count(*)` does.
    pub(crate) async fn number(&self, sql: &str) -> Result<i128> {
        match cells(&self.rows(sql).await?)?.first().and_then(|row| row.first()) {
            Some(Cell::Number { digits, scale: 0 }) => Ok(*digits),
            other => Err(Error::internal(format!("no number, but {other:?}, for {sql}"))),
        }
    }

    /// Runs a statement that answers no rows, and gives how many it changed, if it changes rows.
    pub(crate) async fn update(&self, sql: &str) -> Result<Option<i64>> {
        self.0.update(sql).await
    }
}
