//! Ballista's scheduler, in this process and without a port of its own.

use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::cluster::memory::{InMemoryClusterState, InMemoryJobState};
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::metrics::NoopMetricsCollector;
use ballista_scheduler::scheduler_server::{JobIdGenerator, SchedulerServer, SessionBuilder};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use watershed_cluster::{Channels, staged};
use watershed_core::clock::Clock;
use watershed_core::net::MAX_MESSAGE_BYTES;
use watershed_core::{Error, Result};
use watershed_storage::session;

use super::calls;
use crate::cluster::Membership;

/// Our membership declares an executor dead after three seconds, and its jobs are run again by then.
/// Ballista comes to know later, when it has nothing to repair any more.
const BALLISTA_TIMEOUT_SECONDS: u64 = 60;
/// A job's result is read at once and its files are removed after; these are for what that missed.
const FORGET_JOBS_SECONDS: u64 = 30;
const FORGET_FILES_SECONDS: u64 = 6 * 3600;

pub(super) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;
/// What executors ask for tasks. It belongs on the cluster's port.
pub type ClusterService = SchedulerGrpcServer<SchedulerServer<LogicalPlanNode, PhysicalPlanNode>>;

/// Runs plans in stages.
#[derive(Clone)]
pub struct Staged {
    pub(super) server: Arc<Server>,
    pub(super) membership: Arc<Membership>,
    pub(super) channels: Channels,
    pub(super) runtime: Arc<RuntimeEnv>,
    pub(super) clock: Arc<dyn Clock>,
    work: Arc<Notify>,
}

impl Staged {
    /// Starts Ballista's scheduler.
    pub async fn start(
        membership: Arc<Membership>,
        channels: Channels,
        runtime: Arc<RuntimeEnv>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let id = "watershed".to_owned();
        let work = Arc::new(Notify::new());
        let available = Arc::clone(&work);
        let for_sessions = Arc::clone(&runtime);
        let sessions: SessionBuilder = Arc::new(move |config| {
            Ok(session::state(config, Arc::clone(&for_sessions))
                .with_session_id(id_of_sessions())
                .build())
        });
        let message_bytes = u32::try_from(MAX_MESSAGE_BYTES).unwrap_or(u32::MAX);
        let config = SchedulerConfig {
            scheduler_id: id.clone(),
            scheduling_policy: TaskSchedulingPolicy::PullStaged,
            grpc_server_max_decoding_message_size: message_bytes,
            grpc_server_max_encoding_message_size: message_bytes,
            executor_timeout_seconds: BALLISTA_TIMEOUT_SECONDS,
            no_executors_grace_period_seconds: BALLISTA_TIMEOUT_SECONDS,
            finished_job_data_clean_up_interval_seconds: FORGET_FILES_SECONDS,
            finished_job_state_clean_up_interval_seconds: FORGET_JOBS_SECONDS,
            override_config_producer: Some(Arc::new(staged::executor_config)),
            override_session_builder: Some(Arc::clone(&sessions)),
            // Ballista dials executors to stop tasks, without a secret. We tell them ourselves.
            override_create_grpc_client_endpoint: Some(Arc::new(|_| {
                Err("connections are dialled by Watershed".into())
            })),
            on_work_available: Some(Arc::new(move |_| available.notify_one())),
            job_id_generator: Some(Arc::new(JobIds)),
            ..SchedulerConfig::default()
        };
        let cluster = BallistaCluster::new(
            Arc::new(InMemoryClusterState::default()),
            Arc::new(InMemoryJobState::new(
                id,
                sessions,
                Arc::new(staged::executor_config),
            )),
        );
        let metrics = Arc::new(NoopMetricsCollector::default());
        let mut server = Server::new(
            "watershed".to_owned(),
            cluster,
            staged::codec(),
            Arc::new(config),
            metrics,
        );
        server.init().await.map_err(|error| {
            Error::internal("staged execution cannot be started").with_detail(error.to_string())
        })?;
        Ok(Self {
            server: Arc::new(server),
            membership,
            channels,
            runtime,
            clock,
            work,
        })
    }

    /// The service for the cluster's port.
    pub fn service(&self) -> ClusterService {
        SchedulerGrpcServer::new(Server::clone(&self.server))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Wakes the executors whenever there are tasks for them, until `shutdown`.
    pub async fn wake_executors(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = self.work.notified() => calls::wake(&self.membership.current(), &self.channels).await,
                () = shutdown.cancelled() => return,
            }
        }
    }
}

/// One for all: executors keep nothing per session.
pub(super) fn id_of_sessions() -> String {
    "watershed".to_owned()
}

struct JobIds;

#[async_trait]
impl JobIdGenerator for JobIds {
    async fn next_id(&self) -> String {
        // Also the name of a folder on every executor.
        uuid::Uuid::now_v7().to_string()
    }
}
