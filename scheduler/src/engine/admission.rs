//! Admission: so many statements run at a time, so many wait, and more are refused.
//!
//! A statement whose result is not read holds its place. Where users log in, the statements of one user take at most three
//! quarters of the places, and a few more are reserved for administrators, who can inspect and kill statements.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watershed_core::{Error, Result, SqlState, telemetry};

/// Places beside the others, for administrators where users log in.
const RESERVED: usize = 4;

/// The principal of a statement.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// The server has no logins: all clients share the places.
    Anyone,
    Administrator,
    User(&'a str),
}

/// The gate that statements pass.
#[derive(Debug)]
pub struct Admission {
    running: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    /// The places that each user with statements may have.
    shares: Mutex<HashMap<String, Weak<Semaphore>>>,
    waiting: AtomicUsize,
    max_running: usize,
    max_waiting: usize,
}

/// Held by a statement for as long as it runs.
#[derive(Debug)]
#[expect(dead_code, reason = "they give the places back when dropped")]
pub struct Permit {
    place: OwnedSemaphorePermit,
    share: Option<OwnedSemaphorePermit>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        telemetry::STATEMENTS_RUNNING.dec();
    }
}

impl Admission {
    pub fn new(max_running: usize, max_waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(max_running)),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            shares: Mutex::default(),
            waiting: AtomicUsize::new(0),
            max_running,
            max_waiting,
        }
    }

    /// Waits for a place, unless too many wait already.
    pub async fn enter(&self, who: Who<'_>) -> Result<Permit> {
        let own = match who {
            Who::User(name) => Some(self.share(name)),
            Who::Anyone | Who::Administrator => None,
        };
        let share = own.as_ref().map(|own| Arc::clone(own).try_acquire_owned());
        let share = match share {
            None => None,
            Some(Ok(share)) => Some(share),
            Some(Err(_)) => {
                let _waiting = self.wait()?;
                let own = own.ok_or_else(|| Error::internal("a share is missing"))?;
                Some(own.acquire_owned().await.map_err(|_| shutting_down())?)
            }
        };
        if let Ok(place) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(Self::admit(place, share));
        }
        if matches!(who, Who::Administrator)
            && let Ok(place) = Arc::clone(&self.reserved).try_acquire_owned()
        {
            return Ok(Self::admit(place, share));
        }
        let _waiting = self.wait()?;
        let place = Arc::clone(&self.running).acquire_owned().await;
        place.map_or_else(|_| Err(shutting_down()), |place| Ok(Self::admit(place, share)))
    }

    fn share(&self, user: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(user).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new((self.max_running * 3).div_ceil(4).max(1)));
        shares.insert(user.to_owned(), Arc::downgrade(&share));
        share
    }

    fn admit(place: OwnedSemaphorePermit, share: Option<OwnedSemaphorePermit>) -> Permit {
        telemetry::STATEMENTS_RUNNING.inc();
        Permit { place, share }
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

fn shutting_down() -> Error {
    Error::new(SqlState::CannotConnectNow, "the scheduler is shutting down")
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
        let first = admission.enter(Who::Anyone).await.unwrap();
        let second = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter(Who::Anyone).await.map(drop) }
        });
        while admission.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        let error = admission.enter(Who::Anyone).await.unwrap_err();
        assert_eq!(error.code(), SqlState::TooManyStatements);
        assert_eq!(error.message(), "1 statements run and 1 wait already");
        drop(first);
        second.await.unwrap().unwrap();
        admission.enter(Who::Anyone).await.unwrap();
    }

    #[tokio::test]
    async fn a_user_has_a_share_and_administrators_a_reserve() {
        let admission = Admission::new(4, 0);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(admission.enter(Who::User("bob")).await.unwrap());
        }
        assert!(admission.enter(Who::User("bob")).await.is_err());
        places.push(admission.enter(Who::User("ada")).await.unwrap());
        assert!(admission.enter(Who::User("ada")).await.is_err());
        for _ in 0..RESERVED {
            places.push(admission.enter(Who::Administrator).await.unwrap());
        }
        assert!(admission.enter(Who::Administrator).await.is_err());
        places.clear();
        assert!(admission.enter(Who::User("bob")).await.is_ok());
    }
}
