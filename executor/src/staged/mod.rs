//! Plans in stages: this process as one of Ballista's executors. It asks the scheduler for tasks over
//! the cluster's connections, keeps what they give in files below its work folder, and hands those
//! files out on the port that serves everything else.
//!
//! `engine` runs tasks, `reader` reads other tasks' files, `errors` lets errors travel, `jobs` knows what runs, `service` answers.

mod engine;
mod errors;
mod jobs;
mod reader;
mod service;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::BALLISTA_PROTOCOL_VERSION;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::ExecutorRegistration;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::scheduler::{ExecutorOperatingSystemSpecification, ExecutorSpecification};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use datafusion::execution::runtime_env::RuntimeEnv;
use tokio_util::sync::CancellationToken;
use watershed_cluster::{Channels, staged};
use watershed_core::id::NodeId;
use watershed_core::net::{self, ClusterSecret, MAX_MESSAGE_BYTES};
use watershed_core::settings::Settings;
use watershed_core::{Error, Result, SqlState};
use watershed_storage::blocks::BlockCache;
use watershed_storage::session;

use engine::Engine;
use jobs::Jobs;
use reader::Files;
use service::ShuffleService;

/// After the scheduler could not be reached, or work could not be asked for.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Who this process is among Ballista's executors.
pub(crate) struct Identity {
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    /// Where other members reach it.
    pub(crate) url: String,
    pub(crate) threads: usize,
}

/// One of Ballista's executors, not yet asking for work.
pub(crate) struct StagedExecutor {
    executor: Arc<Executor>,
    jobs: Arc<Jobs>,
    secret: ClusterSecret,
    work_dir: PathBuf,
}

impl StagedExecutor {
    /// Prepares it. Files of an earlier process below `work_dir` are removed: nobody will ask for them.
    pub(crate) fn new(
        identity: Identity,
        runtime: Arc<RuntimeEnv>,
        blocks: Arc<BlockCache>,
        secret: ClusterSecret,
        work_dir: PathBuf,
    ) -> Result<Self> {
        empty_folder(&work_dir)?;
        let id = staged::executor_id(&identity.node, identity.incarnation);
        let jobs = Arc::new(Jobs::default());
        let files = Files {
            executor: id.clone(),
            work_dir: work_dir.to_string_lossy().into_owned(),
            // Its own connections: their reading must not wait for that of other paths.
            channels: Channels::new(secret.clone()),
            runtime: tokio::runtime::Handle::current(),
        };
        let threads = u32::try_from(identity.threads.max(1)).unwrap_or(u32::MAX);
        let registration = ExecutorRegistration {
            id,
            // The whole address: only code of ours dials it.
            host: Some(identity.url),
            port: 0,
            grpc_port: 0,
            specification: Some(ExecutorSpecification::default().with_vcores(threads).into()),
            os_info: Some(ExecutorOperatingSystemSpecification::default().into()),
            ballista_protocol_version: BALLISTA_PROTOCOL_VERSION,
        };
        let state = session::state(
            session::config(&Settings::default(), identity.threads),
            Arc::clone(&runtime),
        );
        let functions = BallistaFunctionRegistry::from(&state.build());
        let engine = Engine::new(Arc::clone(&runtime), blocks, files, Arc::clone(&jobs));
        let executor = Executor::new(
            registration,
            &work_dir.to_string_lossy(),
            // One for all tasks: its memory is this process's.
            Arc::new(move |_| Ok(Arc::clone(&runtime))),
            Arc::new(staged::executor_config),
            Arc::new(functions),
            Arc::new(LoggingMetricsCollector::default()),
            identity.threads,
            Arc::new(engine),
        );
        Ok(Self {
            executor: Arc::new(executor),
            jobs,
            secret,
            work_dir,
        })
    }

    /// The service that hands out its files and takes the scheduler's calls.
    pub(crate) fn service(&self) -> FlightServiceServer<ShuffleService> {
        FlightServiceServer::new(ShuffleService::new(self.work_dir.clone(), Arc::clone(&self.jobs)))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Asks for work and does it, until `shutdown`.
    pub(crate) async fn run(self, scheduler: String, shutdown: CancellationToken) {
        let jobs = Arc::clone(&self.jobs);
        tokio::select! {
            () = self.work(&scheduler) => {}
            () = jobs.keep_pulse() => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn work(&self, scheduler: &str) {
        loop {
            let channel = match net::dial(scheduler, &self.secret).await {
                Ok(channel) => channel,
                Err(error) => {
                    tracing::warn!(%error, "the scheduler cannot be asked for tasks");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
            };
            let client = SchedulerGrpcClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            let polling = poll_loop(
                client,
                Arc::clone(&self.executor),
                staged::codec(),
                Some(self.jobs.poll_now()),
                None,
                ExecutorHealth::new(),
            );
            // A connection that breaks is made anew inside; this ends for graver reasons only.
            if let Err(error) = polling.await {
                tracing::error!(%error, "asking for tasks failed");
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}

fn empty_folder(folder: &std::path::Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(
            SqlState::IoError,
            format!("cannot prepare the folder for shuffle files {}", folder.display()),
        )
        .with_detail(error.to_string())
    };
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::create_dir_all(folder).map_err(failed)
}
