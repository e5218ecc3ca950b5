//! Ends work that computes for long without waiting for anything, such as the planning of a statement.
//!
//! A future is dropped between two polls alone, so neither a timeout nor a cancellation ends one that computes.
//! Work that is polled in [`interruptible`] calls [`check`] between its steps, as PostgreSQL does by
//! `CHECK_FOR_INTERRUPTS`, and leaves the threads of the runtime to the other tasks while it computes.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::{Error, Result};

/// Says why the work has to end, if it has to.
pub type Interrupt = Arc<dyn Fn() -> Option<Error> + Send + Sync>;

thread_local! {
    /// That of the work which the thread polls.
    static CURRENT: RefCell<Option<Interrupt>> = const { RefCell::new(None) };
}

/// The error of the work that the thread polls, if it has to end. Work outside of [`interruptible`] never has to.
pub fn check() -> Result<()> {
    let current = CURRENT.with_borrow(Clone::clone);
    current.and_then(|interrupt| interrupt()).map_or(Ok(()), Err)
}

/// Polls `work` so that [`check`] within it calls `interrupt`. If it is interrupted, its error is that of
/// `interrupt`, also where a library has made another one of it.
pub async fn interruptible<T>(interrupt: Interrupt, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    let done = std::future::poll_fn(|context| {
        let _entered = Entered::by(Arc::clone(&interrupt));
        computing(|| work.as_mut().poll(context))
    })
    .await;
    done.map_err(|error| interrupt().unwrap_or(error))
}

/// Computes, while other threads go on with the tasks of this one.
fn computing<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Puts the previous interrupt back in its place, also if the work panics.
struct Entered(Option<Interrupt>);

impl Entered {
    fn by(interrupt: Interrupt) -> Self {
        Self(CURRENT.replace(Some(interrupt)))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::error::SqlState;

    fn cancelled() -> Error {
        Error::new(SqlState::QueryCanceled, "cancelled")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_computes_is_interrupted_by_another_task() {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, set) = (Arc::clone(&stop), Arc::clone(&stop));
        // On the runtime's only thread, which the loop below would block.
        let other = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            set.store(true, Ordering::SeqCst);
        });
        let interrupt: Interrupt = Arc::new(move || seen.load(Ordering::SeqCst).then(cancelled));
        let work = tokio::spawn(interruptible(interrupt, async {
            while check().is_ok() {
                std::thread::yield_now();
            }
            Err::<(), _>(Error::internal("a library's error"))
        }));
        let error = work.await.unwrap().unwrap_err();
        assert_eq!(error.code(), SqlState::QueryCanceled);
        other.await.unwrap();
    }

    #[tokio::test]
    async fn work_within_work_has_its_own_interrupt() {
        let never: Interrupt = Arc::new(|| None);
        let always: Interrupt = Arc::new(|| Some(cancelled()));
        let outer = interruptible(never, async {
            let inner = interruptible(Arc::clone(&always), async { check() }).await;
            assert!(inner.is_err());
            check()
        });
        outer.await.unwrap();
        check().unwrap();
    }
}
