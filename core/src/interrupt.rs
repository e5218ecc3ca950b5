//! Ends work that computes for long without waiting for anything, such as the planning of a statement.
//!
//! A future is dropped between two polls alone, so neither a timeout nor a cancellation ends one that computes.
//! Work that is polled in [`interruptible`] calls [`check`] between its steps, as PostgreSQL does by
//! `CHECK_FOR_INTERRUPTS`, and leaves the threads of the runtime to the other tasks while it computes.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::{Error, Result};

/// Says why the work has to end, if it has to.
pub type Interrupt = Arc<dyn Fn() -> Option<Error> + Send + Sync>;

/// Work that can be interrupted, for those parts of it that other tasks poll.
#[derive(Clone)]
pub struct Work {
    interrupt: Interrupt,
    /// Bytes that it has made.
    made: Arc<AtomicU64>,
}

thread_local! {
    /// The work which the thread polls.
    static CURRENT: RefCell<Option<Work>> = const { RefCell::new(None) };
}

/// The error of the work that the thread polls, if it has to end. Work outside of [`interruptible`] never has to.
pub fn check() -> Result<()> {
    let current = CURRENT.with_borrow(Clone::clone);
    current.and_then(|work| (work.interrupt)()).map_or(Ok(()), Err)
}

/// Counts bytes that the work which the thread polls has made, and gives how many that are in all. Work outside of
/// [`interruptible`] is not counted.
pub fn made(bytes: u64) -> u64 {
    let add = |work: &Work| {
        work.made
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes)
    };
    CURRENT.with_borrow(|current| current.as_ref().map_or(0, add))
}

/// The work that the thread polls.
pub fn current() -> Option<Work> {
    CURRENT.with_borrow(Clone::clone)
}

impl Work {
    /// Does a part of the work, in which [`check`] is that of the whole.
    pub fn within<T>(&self, part: impl FnOnce() -> T) -> T {
        let _entered = Entered::by(self.clone());
        part()
    }
}

/// Polls `work` so that [`check`] within it calls `interrupt`. If it is interrupted, its error is that of
/// `interrupt`, also where a library has made another one of it.
pub async fn interruptible<T>(interrupt: Interrupt, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    let known = Work {
        interrupt: Arc::clone(&interrupt),
        made: Arc::default(),
    };
    let done = std::future::poll_fn(|context| {
        let _entered = Entered::by(known.clone());
        computing(|| work.as_mut().poll(context))
    })
    .await;
    done.map_err(|error| interrupt().unwrap_or(error))
}

/// Computes for long, while other threads go on with the tasks of this one.
pub fn computing<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Puts the previous interrupt back in its place, also if the work panics.
struct Entered(Option<Work>);

impl Entered {
    fn by(work: Work) -> Self {
        Self(CURRENT.replace(Some(work)))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
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
            assert_eq!(made(5), 5);
            let inner = interruptible(Arc::clone(&always), async {
                assert_eq!(made(7), 7);
                check()
            });
            assert!(inner.await.is_err());
            assert_eq!(made(1), 6);
            let whole = current().unwrap();
            // As a task of its own would.
            let part = std::thread::spawn(move || whole.within(|| made(1)));
            assert_eq!(part.join().unwrap(), 7);
            check()
        });
        outer.await.unwrap();
        assert_eq!(made(1), 0);
        check().unwrap();
    }
}
