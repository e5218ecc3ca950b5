//! Threads that serve one purpose, whatever keeps the others busy.

use crate::error::{Error, Result, SqlState};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

/// As of the threads that statements run on.
const STACK_BYTES: usize = 16 << 20;

/// See the module. Dropped, they end.
pub struct Threads(Option<Runtime>);

impl Threads {
    pub fn start(name: &str, count: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name(name)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| {
                let message = format!("the threads '{name}' cannot be started");
                Error::new(SqlState::InsufficientResources, message).with_detail(error.to_string())
            })?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a task there; it ends with the threads at the latest.
    pub fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let started = self.0.as_ref().map(|runtime| runtime.spawn(task));
        async move {
            match started {
                Some(started) => ended(started.await),
                None => Err(Error::internal("the threads have ended")),
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The outcome of a task of a server.
pub fn ended<T>(joined: Result<Result<T>, JoinError>) -> Result<T> {
    joined.unwrap_or_else(|error| Err(Error::internal("a server task failed").with_detail(error.to_string())))
}
