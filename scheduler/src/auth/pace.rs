//! A rate limit for the tokens that a user creates: each is a record in the catalog's log, which is never compacted.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::{Error, Result, SqlState, duration};

/// Tokens that a user may create at once.
const BURST: u32 = 20;
/// Afterwards, a user may create one token in each interval.
const INTERVAL: Duration = Duration::from_secs(30);
/// The most users with an entry; the least recently used ones are evicted.
const USERS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// Per user, when all that it has done would be allowed again.
pub(super) struct Pace {
    clock: Arc<dyn Clock>,
    free_at: Mutex<LruCache<String, Duration>>,
}

impl Pace {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            free_at: Mutex::new(LruCache::new(USERS_MAX)),
        }
    }

    /// Counts one token of a user, or refuses it if the rate limit is exceeded.
    pub(super) fn take(&self, user: &str) -> Result<()> {
        let now = self.clock.elapsed();
        let mut free_at = self.free_at.lock();
        let at = free_at.get(user).copied().unwrap_or(now).max(now);
        let wait = (at + INTERVAL).saturating_sub(now + INTERVAL * BURST);
        if !wait.is_zero() {
            return Err(Error::new(
                SqlState::TooManyStatements,
                format!("user \"{user}\" has made too many tokens in a short time"),
            )
            .with_hint(format!("Try again in {}.", duration::format(wait))));
        }
        free_at.put(user.to_owned(), at + INTERVAL);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use watershed_core::clock::ManualClock;

    use super::*;

    #[test]
    fn some_at_once_and_then_one_at_a_time() {
        let clock = Arc::new(ManualClock::default());
        let pace = Pace::new(clock.clone());
        for _ in 0..BURST {
            pace.take("ada").unwrap();
        }
        assert_eq!(pace.take("ada").unwrap_err().code(), SqlState::TooManyStatements);
        pace.take("bob").unwrap();
        clock.advance(INTERVAL);
        pace.take("ada").unwrap();
        pace.take("ada").unwrap_err();
    }
}
