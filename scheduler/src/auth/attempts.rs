//! How often one may be wrong: a bucket of tries for each user and address, and one for each address.
//!
//! There is none for a user alone, from wherever: with that, anyone could lock out anyone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::{Error, Result, SqlState};

/// Buckets that are kept; those that are full again go first.
const BUCKETS_MAX: usize = 10_000;

/// A bucket's size and how long it takes to get one try back.
#[derive(Debug, Clone, Copy)]
struct Rate {
    tries: u32,
    refill: Duration,
}

/// For one user from one address.
const PAIR: Rate = Rate {
    tries: 10,
    refill: Duration::from_secs(30),
};
/// For all users from one address.
const ADDRESS: Rate = Rate {
    tries: 100,
    refill: Duration::from_secs(2),
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, Option<IpAddr>),
    Address(IpAddr),
}

impl Key {
    fn rate(&self) -> Rate {
        match self {
            Self::Pair(..) => PAIR,
            Self::Address(_) => ADDRESS,
        }
    }
}

/// When a bucket will be full again: each failure puts that off by one refill.
struct Bucket {
    full_at: Duration,
}

pub(super) struct Attempts {
    clock: Arc<dyn Clock>,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

impl Attempts {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            buckets: Mutex::default(),
        }
    }

    /// An error where no try is left.
    pub(super) fn check(&self, user: &str, peer: Option<IpAddr>) -> Result<()> {
        let now = self.clock.elapsed();
        let buckets = self.buckets.lock();
        let wait = keys(user, peer)
            .filter_map(|key| {
                let rate = key.rate();
                let owed = buckets.get(&key)?.full_at.saturating_sub(now);
                let last = rate.refill * (rate.tries - 1);
                (owed > last).then(|| owed - last)
            })
            .max();
        match wait {
            None => Ok(()),
            Some(wait) => Err(Error::new(
                SqlState::TooManyStatements,
                "too many failed logins from this address",
            )
            .with_hint(format!("Try again in {} s.", wait.as_secs() + 1))),
        }
    }

    pub(super) fn failed(&self, user: &str, peer: Option<IpAddr>) {
        let now = self.clock.elapsed();
        let mut buckets = self.buckets.lock();
        for key in keys(user, peer) {
            if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
                make_room(&mut buckets, now);
            }
            let rate = key.rate();
            let bucket = buckets.entry(key).or_insert(Bucket { full_at: now });
            // Tries that were under way together may be more than there were left; they owe no more.
            bucket.full_at = (bucket.full_at.max(now) + rate.refill).min(now + rate.refill * rate.tries);
        }
    }

    /// Whoever knows the password made mistakes before. The address may still be guessing others'.
    pub(super) fn succeeded(&self, user: &str, peer: Option<IpAddr>) {
        if let Some(pair) = keys(user, peer).next() {
            self.buckets.lock().remove(&pair);
        }
    }
}

fn keys(user: &str, peer: Option<IpAddr>) -> impl Iterator<Item = Key> {
    let peer = peer.map(network);
    std::iter::once(Key::Pair(user.to_owned(), peer)).chain(peer.map(Key::Address))
}

/// Whoever has an IPv6 address usually has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

/// Forgets those that are full again; where none is, the one that is full soonest.
fn make_room(buckets: &mut HashMap<Key, Bucket>, now: Duration) {
    buckets.retain(|_, bucket| bucket.full_at > now);
    if buckets.len() >= BUCKETS_MAX {
        let soonest = buckets.iter().min_by_key(|(_, bucket)| bucket.full_at);
        if let Some(key) = soonest.map(|(key, _)| key.clone()) {
            buckets.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use watershed_core::clock::ManualClock;

    use super::*;

    fn attempts() -> (Attempts, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        (Attempts::new(Arc::<ManualClock>::clone(&clock)), clock)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn tries_run_out_and_come_back() {
        let (attempts, clock) = attempts();
        let here = address("10.0.0.1");
        for _ in 0..PAIR.tries {
            attempts.check("ada", here).unwrap();
            attempts.failed("ada", here);
        }
        let error = attempts.check("ada", here).unwrap_err();
        assert_eq!(error.code(), SqlState::TooManyStatements);
        assert_eq!(error.hint(), Some("Try again in 31 s."));
        // Nobody else is locked out by it.
        attempts.check("ada", address("10.0.0.2")).unwrap();
        attempts.check("bob", here).unwrap();
        clock.advance(PAIR.refill);
        attempts.check("ada", here).unwrap();
        attempts.failed("ada", here);
        attempts.check("ada", here).unwrap_err();
        clock.advance(PAIR.refill);
        attempts.succeeded("ada", here);
        attempts.failed("ada", here);
        attempts.check("ada", here).unwrap();
    }

    #[test]
    fn an_address_runs_out_of_tries_for_all_users() {
        let (attempts, _) = attempts();
        for number in 0..ADDRESS.tries {
            let peer = address(&format!("2001:db8::{number:x}"));
            attempts
                .check("x", peer)
                .unwrap_or_else(|_| assert!(number >= PAIR.tries));
            attempts.failed(&number.to_string(), peer);
        }
        attempts.check("ada", address("2001:db8::ffff")).unwrap_err();
        attempts.check("ada", address("2001:db9::1")).unwrap();
        attempts.check("ada", None).unwrap();
    }

    #[test]
    fn their_number_is_bounded() {
        let (attempts, clock) = attempts();
        for number in 0..BUCKETS_MAX + 10 {
            clock.advance(Duration::from_millis(1));
            attempts.failed(&number.to_string(), None);
        }
        assert_eq!(attempts.buckets.lock().len(), BUCKETS_MAX);
    }
}
