//! Admission: so many statements run at a time, so many wait, and more are refused.
//!
//! A statement that waits for its client gives its place back for a while: see `place`. Where users log in, the statements
//! of one user take at most three quarters of the places, and a few more are reserved for administrators, who can inspect
//! and kill statements.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watershed_core::{Error, Result, SqlState, telemetry};

/// Places beside the others, for administrators where users log in.
const RESERVED: usize = 4;

/// The principal of a statement.
#[derive(Debug, Clone)]
pub enum Who {
    /// The server has no logins: all clients share the places.
    Anyone,
    Administrator,
    User(String),
}

/// The gate that statements pass.
#[derive(Debug)]
pub struct Admission {
    running: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    /// The places that each user with statements may have.
    shares: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// Statements that may be without their places while they wait for their clients.
    away: Arc<Semaphore>,
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
            running: Arc::new(Semaphore::new(max_running.min(Semaphore::MAX_PERMITS))),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            shares: Mutex::default(),
            away: Arc::new(Semaphore::new(max_waiting.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            max_running,
            max_waiting,
        }
    }

    /// A place, if there is one right now.
    pub fn try_enter(&self, who: &Who) -> Option<Permit> {
        let share = match self.own(who) {
            Some(own) => Some(own.try_acquire_owned().ok()?),
            None => None,
        };
        let mut place = Arc::clone(&self.running).try_acquire_owned();
        if place.is_err() && matches!(who, Who::Administrator) {
            place = Arc::clone(&self.reserved).try_acquire_owned();
        }
        place.ok().map(|place| Self::admit(place, share))
    }

    /// Waits for a place, unless too many wait already.
    pub async fn enter(&self, who: &Who) -> Result<Permit> {
        if let Some(permit) = self.try_enter(who) {
            return Ok(permit);
        }
        let _waiting = self.wait()?;
        self.enter_again(who).await
    }

    /// Waits for a place, as a statement does that has given its own back.
    pub async fn enter_again(&self, who: &Who) -> Result<Permit> {
        let share = match self.own(who) {
            Some(own) => Some(own.acquire_owned().await.map_err(|_| shutting_down())?),
            None => None,
        };
        let running = Arc::clone(&self.running).acquire_owned();
        let place = match who {
            Who::Administrator => {
                let reserved = Arc::clone(&self.reserved).acquire_owned();
                tokio::select! {
                    place = running => place,
                    place = reserved => place,
                }
            }
            Who::Anyone | Who::User(_) => running.await,
        };
        place.map_or_else(|_| Err(shutting_down()), |place| Ok(Self::admit(place, share)))
    }

    /// Lets a statement be without its place, unless too many are.
    pub fn away(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.away).try_acquire_owned().ok()
    }

    fn own(&self, who: &Who) -> Option<Arc<Semaphore>> {
        match who {
            Who::User(name) => Some(self.share(name)),
            Who::Anyone | Who::Administrator => None,
        }
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

    fn user(name: &str) -> Who {
        Who::User(name.to_owned())
    }

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_more_are_refused() {
        let admission = Arc::new(Admission::new(1, 1));
        let first = admission.enter(&Who::Anyone).await.unwrap();
        let second = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter(&Who::Anyone).await.map(drop) }
        });
        while admission.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        let error = admission.enter(&Who::Anyone).await.unwrap_err();
        assert_eq!(error.code(), SqlState::TooManyStatements);
        assert_eq!(error.message(), "1 statements run and 1 wait already");
        drop(first);
        second.await.unwrap().unwrap();
        admission.enter(&Who::Anyone).await.unwrap();
    }

    #[tokio::test]
    async fn a_user_has_a_share_and_administrators_a_reserve() {
        let admission = Admission::new(4, 0);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(admission.enter(&user("bob")).await.unwrap());
        }
        assert!(admission.enter(&user("bob")).await.is_err());
        places.push(admission.enter(&user("ada")).await.unwrap());
        assert!(admission.enter(&user("ada")).await.is_err());
        for _ in 0..RESERVED {
            places.push(admission.enter(&Who::Administrator).await.unwrap());
        }
        assert!(admission.enter(&Who::Administrator).await.is_err());
        places.clear();
        assert!(admission.enter(&user("bob")).await.is_ok());
    }
}
