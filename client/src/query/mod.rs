//! Statements: asked once, or prepared and asked again.

mod prepared;
mod rows;

use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, CommandStatementQuery, CommandStatementUpdate, DoPutUpdateResult,
    ProstMessageExt,
};
use arrow_flight::{FlightData, FlightDescriptor};
use futures::stream;
use prost::Message;
use watershed_core::Result;
use watershed_core::net::Notices;

use crate::connect::Client;
use crate::error;

pub use prepared::Prepared;
pub use rows::RowStream;

/// What a statement answers.
#[derive(Debug)]
pub enum Answer {
    /// Rows, perhaps none.
    Rows(RowStream),
    /// It was done.
    Done(Done),
}

/// What is known of a statement that returns no rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// How many rows it changed, if it is a statement that changes rows.
    pub count: Option<i64>,
    pub notices: Notices,
}

impl Client {
    /// Asks a query. Dropping the stream cancels it.
    pub async fn query(&self, sql: &str) -> Result<RowStream> {
        let command = CommandStatementQuery {
            query: sql.to_owned(),
            transaction_id: None,
        };
        self.rows(&command, None).await
    }

    /// Runs a statement that returns no rows, and gives the number of rows it changed.
    pub async fn update(&self, sql: &str) -> Result<Option<i64>> {
        let command = CommandStatementUpdate {
            query: sql.to_owned(),
            transaction_id: None,
        };
        Ok(self.done(&command).await?.count)
    }

    /// Runs a statement of any kind, exactly once.
    pub async fn run(&self, sql: &str) -> Result<Answer> {
        let statement = self.prepare(sql).await?;
        if statement.is_query() {
            statement.into_rows().await.map(Answer::Rows)
        } else {
            let done = statement.done().await;
            statement.close().await;
            done.map(Answer::Done)
        }
    }

    /// Has a statement parsed and planned, to run it later or often.
    pub async fn prepare(&self, sql: &str) -> Result<Prepared> {
        let request = ActionCreatePreparedStatementRequest {
            query: sql.to_owned(),
            transaction_id: None,
        };
        Prepared::create(self, &request).await
    }

    async fn rows(
        &self,
        command: &impl ProstMessageExt,
        statement: Option<prepared::Handle>,
    ) -> Result<RowStream> {
        let descriptor = descriptor(command);
        let info = self
            .call(|mut flight| {
                let descriptor = descriptor.clone();
                async move { flight.get_flight_info(descriptor).await }
            })
            .await?
            .into_inner();
        RowStream::new(self.clone(), info, statement)
    }

    async fn done(&self, command: &impl ProstMessageExt) -> Result<Done> {
        let frame = FlightData {
            flight_descriptor: Some(descriptor(command)),
            ..Default::default()
        };
        let failed = |status| self.error(&status);
        let reply = self
            .call(|mut flight| {
                let frames = stream::iter([frame.clone()]);
                async move { flight.do_put(frames).await }
            })
            .await?;
        let mut notices = Notices::from_metadata(reply.metadata());
        let mut results = reply.into_inner();
        let mut count = None;
        // To the end: only there a server says that all went well.
        while let Some(result) = results.message().await.map_err(failed)? {
            let result = DoPutUpdateResult::decode(&*result.app_metadata)
                .map_err(|error| error::protocol(self.url(), error))?;
            count = Some(result.record_count);
        }
        if let Some(trailers) = results.trailers().await.map_err(failed)?
            && notices.is_empty()
        {
            notices = Notices::from_metadata(&trailers);
        }
        let count = count.ok_or_else(|| error::protocol(self.url(), "an update had no result"))?;
        Ok(Done {
            // Flight SQL's way to say that there is no number.
            count: (count >= 0).then_some(count),
            notices,
        })
    }
}

fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

#[cfg(test)]
pub(crate) mod tests;
