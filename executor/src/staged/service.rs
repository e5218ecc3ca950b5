//! What an executor answers about staged jobs: their files, to other members; and the scheduler's calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use ballista_core::serde::decode_protobuf;
use ballista_core::serde::scheduler::Action as Fetch;
use ballista_executor::flight_service::BallistaFlightService;
use futures::stream::{self, BoxStream};
use tonic::{Request, Response, Status, Streaming};
use watershed_cluster::staged::{END_ACTION, TASKS_ACTION, WAKE_ACTION, is_job_id};

use super::jobs::Jobs;

/// How often, and how many times, it is looked whether an ended job's tasks have stopped.
const STOP_INTERVAL: Duration = Duration::from_secs(1);
const MAX_STOP_CHECKS: u32 = 60;

type Stream<T> = BoxStream<'static, Result<T, Status>>;

#[derive(Clone)]
pub(crate) struct ShuffleService {
    files: BallistaFlightService,
    work_dir: PathBuf,
    jobs: Arc<Jobs>,
}

impl ShuffleService {
    pub(super) fn new(work_dir: PathBuf, jobs: Arc<Jobs>) -> Self {
        Self {
            files: BallistaFlightService::new(work_dir.to_string_lossy().into_owned()),
            work_dir,
            jobs,
        }
    }

    /// Ends a job and removes its files: now, and once more when its tasks have really stopped, as one
    /// that is just writing may make another file.
    async fn end(&self, job: &str) {
        self.jobs.end(job);
        let folder = self.work_dir.join(job);
        remove(&folder).await;
        let (jobs, job) = (Arc::clone(&self.jobs), job.to_owned());
        tokio::spawn(async move {
            for _ in 0..MAX_STOP_CHECKS {
                tokio::time::sleep(STOP_INTERVAL).await;
                if jobs.tasks(&job) == 0 {
                    break;
                }
            }
            remove(&folder).await;
        });
    }
}

async fn remove(folder: &Path) {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::info!(%error, folder = %folder.display(), "files of a job could not all be removed");
        }
        _ => {}
    }
}

/// A job's id names a folder, so it is looked at before anything is done with it.
fn checked(job: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(job)
        .ok()
        .filter(|job| is_job_id(job))
        .ok_or_else(|| Status::invalid_argument("that is no job's id"))
}

fn not_served<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("executors serve files of stages only"))
}

#[async_trait]
impl FlightService for ShuffleService {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = <BallistaFlightService as FlightService>::DoGetStream;
    type DoPutStream = Stream<PutResult>;
    type DoExchangeStream = Stream<FlightData>;
    type DoActionStream = Stream<ActionResult>;
    type ListActionsStream = Stream<ActionType>;

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let fetch = decode_protobuf(&request.get_ref().ticket)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        match &fetch {
            Fetch::FetchPartition { job_id, .. } => checked(job_id.as_str().as_bytes())?,
        };
        self.files.do_get(request).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let action = request.into_inner();
        let body = match action.r#type.as_str() {
            WAKE_ACTION => {
                self.jobs.wake();
                String::new()
            }
            END_ACTION => {
                self.end(checked(&action.body)?).await;
                String::new()
            }
            TASKS_ACTION => self.jobs.tasks(checked(&action.body)?).to_string(),
            other => return Err(Status::unimplemented(format!("unknown action {other:?}"))),
        };
        Ok(Response::new(Box::pin(stream::iter([Ok(ActionResult {
            body: body.into(),
        })]))))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        not_served()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        not_served()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        not_served()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        not_served()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        not_served()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        not_served()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        not_served()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        not_served()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_ends_with_its_files_and_no_other_folder_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (work_dir, beside) = (folder.path().join("shuffle"), folder.path().join("beside"));
        std::fs::create_dir_all(work_dir.join("job-1/2")).unwrap();
        std::fs::create_dir_all(work_dir.join("job-2")).unwrap();
        std::fs::create_dir_all(&beside).unwrap();
        let jobs = Arc::new(Jobs::default());
        let service = ShuffleService::new(work_dir.clone(), Arc::clone(&jobs));
        let act = async |kind: &str, body: &'static str| {
            let action = Action {
                r#type: kind.to_owned(),
                body: body.into(),
            };
            service
                .do_action(Request::new(action))
                .await
                .map(drop)
                .map_err(|status| status.code())
        };
        let task = jobs.begin("job-1");
        assert_eq!(act(END_ACTION, "job-1").await, Ok(()));
        assert!(task.end.is_cancelled());
        assert!(!work_dir.join("job-1").exists() && work_dir.join("job-2").exists());
        for outside in ["../beside", "", ".", "job-2/.."] {
            assert_eq!(act(END_ACTION, outside).await, Err(tonic::Code::InvalidArgument));
        }
        assert!(beside.exists() && work_dir.join("job-2").exists());
        assert_eq!(
            act("IO_BLOCK_TRANSPORT", "job-2").await,
            Err(tonic::Code::Unimplemented)
        );
    }
}
