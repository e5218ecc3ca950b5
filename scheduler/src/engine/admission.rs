//! Admission: so many statements run at a time, so many wait, and more are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watershed_core::{Error, Result, SqlState, telemetry};

/// The gate that statements pass.
#[derive(Debug)]
pub struct Admission {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_running: usize,
    max_waiting: usize,
}

/// Held by a statement for as long as it runs.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "gives the place back when dropped")] OwnedSemaphorePermit);

impl Drop for Permit {
    fn drop(&mut self) {
        telemetry::STATEMENTS_RUNNING.dec();
    }
}

impl Admission {
    pub fn new(max_running: usize, max_waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(max_running)),
            waiting: AtomicUsize::new(0),
            max_running,
            max_waiting,
        }
    }

    /// Waits for a place, unless too many wait already.
    pub async fn enter(&self) -> Result<Permit> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(Self::admit(permit));
        }
        let _waiting = self.wait()?;
        match Arc::clone(&self.running).acquire_owned().await {
            Ok(permit) => Ok(Self::admit(permit)),
            Err(_) => Err(Error::new(
                SqlState::CannotConnectNow,
                "the scheduler is shutting down",
            )),
        }
    }

    fn admit(permit: OwnedSemaphorePermit) -> Permit {
        telemetry::STATEMENTS_RUNNING.inc();
        Permit(permit)
    }

    fn wait(&self) -> Result<Waiting<'_>> {
        let place = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
                (waiting < self.max_waiting).then_some(waiting + 1)
            });
        match place {
            Ok(_) => {
                telemetry::STATEMENTS_QUEUED.inc();
                Ok(Waiting(&self.waiting))
            }
            Err(_) => Err(Error::new(
                SqlState::TooManyStatements,
                format!(
                    "{} statements run and {} wait already",
                    self.max_running, self.max_waiting
                ),
            )
            .with_hint("Try again in a moment.")),
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
        telemetry::STATEMENTS_QUEUED.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_more_are_refused() {
        let admission = Arc::new(Admission::new(1, 1));
        let first = admission.enter().await.unwrap();
        let second = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await.map(drop) }
        });
        while admission.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        let error = admission.enter().await.unwrap_err();
        assert_eq!(error.code(), SqlState::TooManyStatements);
        assert_eq!(error.message(), "1 statements run and 1 wait already");
        drop(first);
        second.await.unwrap().unwrap();
        admission.enter().await.unwrap();
    }
}
