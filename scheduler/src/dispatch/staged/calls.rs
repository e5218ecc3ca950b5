//! What the scheduler tells executors about staged jobs, beside Ballista.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::future::join_all;
use watershed_cluster::Channels;
use watershed_cluster::staged::{END_ACTION, TASKS_ACTION, WAKE_ACTION};
use watershed_core::id::NodeId;

use crate::cluster::{Executor, Members};

/// An executor that has not responded by then is slow or gone. No statement depends on its response: it polls for
/// work once a second anyway, and the end of a job is repeated.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the end of a job is repeated to an executor that did not respond, after one second, two, four and so on:
/// one that was frozen or cut off has files to remove. One that restarts removes them itself.
const END_RETRIES: u32 = 9;

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

/// Ends a job on the executors.
pub(super) async fn end(executors: &BTreeMap<NodeId, Executor>, channels: &Channels, job: &str) {
    join_all(executors.values().map(|executor| async {
        if call(executor, channels, END_ACTION, job).await.is_none() {
            let (executor, channels, job) = (executor.clone(), channels.clone(), job.to_owned());
            tokio::spawn(async move {
                for retry in 0..END_RETRIES {
                    tokio::time::sleep(Duration::from_secs(1 << retry)).await;
                    if call(&executor, &channels, END_ACTION, &job).await.is_some() {
                        return;
                    }
                }
                tracing::warn!(node = %executor.node, job, "files of a job stay on an executor that does not respond");
            });
        }
    }))
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
