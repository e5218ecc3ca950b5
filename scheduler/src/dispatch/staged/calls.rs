//! What the scheduler tells executors about staged jobs, beside Ballista.

use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::future::join_all;
use watershed_cluster::Channels;
use watershed_cluster::staged::{END_ACTION, TASKS_ACTION, WAKE_ACTION};

use crate::cluster::{Executor, Members};

/// An executor that has not answered by then is slow or gone. Nothing depends on its answer: it asks
/// for work once a second anyway, and files left behind are removed later.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Tells every executor to ask for work.
pub(super) async fn wake(members: &Members, channels: &Channels) {
    join_all(
        members
            .executors
            .values()
            .map(|executor| call(executor, channels, WAKE_ACTION, "")),
    )
    .await;
}

/// Ends a job on every executor.
pub(super) async fn end(members: &Members, channels: &Channels, job: &str) {
    join_all(
        members
            .executors
            .values()
            .map(|executor| call(executor, channels, END_ACTION, job)),
    )
    .await;
}

/// How many tasks of a job an executor runs, if it answers.
pub(super) async fn tasks(executor: &Executor, channels: &Channels, job: &str) -> Option<usize> {
    let answer = call(executor, channels, TASKS_ACTION, job).await?;
    std::str::from_utf8(&answer).ok()?.parse().ok()
}

async fn call(executor: &Executor, channels: &Channels, kind: &str, body: &str) -> Option<Vec<u8>> {
    let act = async {
        let channel = channels
            .get(&executor.url)
            .await
            .map_err(|error| error.to_string())?;
        let action = Action {
            r#type: kind.to_owned(),
            body: body.to_owned().into(),
        };
        let response = FlightServiceClient::new(channel)
            .do_action(action)
            .await
            .map_err(|status| status.to_string())?;
        let answer = response
            .into_inner()
            .message()
            .await
            .map_err(|status| status.to_string())?;
        Ok::<_, String>(answer.map(|result| result.body.to_vec()).unwrap_or_default())
    };
    match tokio::time::timeout(CALL_TIMEOUT, act).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(node = %executor.node, kind, error, "a call to an executor failed");
            None
        }
        Err(_) => {
            tracing::debug!(node = %executor.node, kind, "a call to an executor was not answered in time");
            None
        }
    }
}
