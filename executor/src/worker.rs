//! The service that runs plan fragments.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion_distributed::{Worker, WorkerQueryContext};
use watershed_cluster::{Channels, session};
use watershed_storage::cache::Caches;

/// A worker with this process's resources. Each task's session is built from its request's headers.
pub(crate) fn worker(
    runtime: Arc<RuntimeEnv>,
    channels: Channels,
    caches: Arc<Caches>,
    threads: usize,
) -> Worker {
    let for_sessions = Arc::clone(&runtime);
    Worker::from_session_builder(move |context: WorkerQueryContext| {
        let runtime = Arc::clone(&for_sessions);
        let state = session::worker_state(context, runtime, channels.clone(), Arc::clone(&caches), threads);
        std::future::ready(state)
    })
    .with_runtime_env(runtime)
    .with_version(env!("CARGO_PKG_VERSION"))
}
