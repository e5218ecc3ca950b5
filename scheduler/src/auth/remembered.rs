//! Passwords that were right a moment ago. Some clients send one with every call, and no call should
//! wait for a hash each time.
//!
//! What is kept is a keyed hash over user, the catalog's hash and password, so that another password
//! takes effect at once, and a dump of the memory gives no password without the key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use watershed_core::Result;
use watershed_core::clock::Clock;
use watershed_sql::catalog::PasswordHash;

/// How long a password is remembered after it was verified.
const LIFETIME: Duration = Duration::from_secs(60);
const ENTRIES_MAX: usize = 10_000;

pub(super) struct Remembered {
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    tag: hmac::Tag,
    until: Duration,
}

impl Remembered {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| super::no_randomness())?;
        Ok(Self {
            key,
            clock,
            kept: Mutex::default(),
        })
    }

    pub(super) fn contains(&self, user: &str, hash: &PasswordHash, password: &str) -> bool {
        let now = self.clock.elapsed();
        let tag = match self.kept.lock().get(user) {
            Some(entry) if entry.until > now => entry.tag,
            Some(_) | None => return false,
        };
        hmac::verify(&self.key, &message(user, hash, password), tag.as_ref()).is_ok()
    }

    pub(super) fn keep(&self, user: &str, hash: &PasswordHash, password: &str) {
        let tag = hmac::sign(&self.key, &message(user, hash, password));
        let now = self.clock.elapsed();
        let mut kept = self.kept.lock();
        if kept.len() >= ENTRIES_MAX {
            kept.retain(|_, entry| entry.until > now);
        }
        // Where all are fresh, this one is verified again the next time.
        if kept.len() < ENTRIES_MAX || kept.contains_key(user) {
            let until = now + LIFETIME;
            kept.insert(user.to_owned(), Entry { tag, until });
        }
    }
}

fn message(user: &str, hash: &PasswordHash, password: &str) -> Vec<u8> {
    let mut message = Vec::new();
    for part in [user, hash.as_str(), password] {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use watershed_core::clock::ManualClock;

    use super::*;

    #[test]
    fn for_a_minute_and_for_this_password_alone() {
        let clock = Arc::new(ManualClock::default());
        let remembered = Remembered::new(Arc::<ManualClock>::clone(&clock)).unwrap();
        let (hash, other) = (PasswordHash::new("h"), PasswordHash::new("other"));
        assert!(!remembered.contains("ada", &hash, "right"));
        remembered.keep("ada", &hash, "right");
        assert!(remembered.contains("ada", &hash, "right"));
        assert!(!remembered.contains("ada", &hash, "wrong"));
        assert!(!remembered.contains("ada", &other, "right"));
        assert!(!remembered.contains("bob", &hash, "right"));
        clock.advance(LIFETIME);
        assert!(!remembered.contains("ada", &hash, "right"));
    }
}
