//! The layer in this scheduler's memory: the least recently used goes first, nothing outlives its time.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use super::entry::Entry;
use super::fingerprint::Key;
use super::layers::Limits;

/// An answer and when it came, on the process's clock.
struct Kept {
    entry: Arc<Entry>,
    at: Duration,
}

/// Entries within their limits. Time is given by whoever asks.
pub(super) struct Local {
    entries: LruCache<Key, Kept>,
    bytes: u64,
    limits: Option<Limits>,
}

/// Entries at most, whatever their size.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99_999);

/// What has been removed to make room, or for its age.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) evicted: Vec<Key>,
    pub(super) expired: Vec<Key>,
}

impl Local {
    pub(super) fn new(limits: Option<Limits>) -> Self {
        Self {
            entries: LruCache::new(MAX_ENTRIES),
            bytes: 0,
            limits,
        }
    }

    /// Other limits, which hold at once.
    pub(super) fn set_limits(&mut self, limits: Option<Limits>, now: Duration) -> Removed {
        self.limits = limits;
        self.trim(now)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The most recently used first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<Entry>)> {
        self.entries.iter().map(|(key, kept)| (key, &kept.entry))
    }

    pub(super) fn get(&mut self, key: &Key, now: Duration) -> Option<Arc<Entry>> {
        let ttl = self.limits?.ttl;
        let kept = self.entries.get(key)?;
        (now.saturating_sub(kept.at) < ttl).then(|| Arc::clone(&kept.entry))
    }

    /// Whether it is there, which does not count as use.
    pub(super) fn has(&self, key: &Key, now: Duration) -> bool {
        let ttl = self.limits.map_or(Duration::ZERO, |limits| limits.ttl);
        let kept = self.entries.peek(key);
        kept.is_some_and(|kept| now.saturating_sub(kept.at) < ttl)
    }

    /// Keeps an entry of that age, unless it is too large or too old.
    pub(super) fn put(&mut self, key: Key, entry: Arc<Entry>, age: Duration, now: Duration) -> Removed {
        let Some(limits) = self.limits else {
            return Removed::default();
        };
        if entry.size() > limits.max_entry() || age >= limits.ttl {
            return Removed::default();
        }
        self.remove(&key);
        self.bytes += entry.size();
        let at = now.saturating_sub(age);
        let displaced = self.entries.push(key, Kept { entry, at });
        let mut removed = Removed::default();
        if let Some((key, kept)) = displaced {
            self.bytes -= kept.entry.size();
            removed.evicted.push(key);
        }
        removed.evicted.extend(self.shrink());
        removed
    }

    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let Some(kept) = self.entries.pop(key) else {
            return false;
        };
        self.bytes -= kept.entry.size();
        true
    }

    /// Removes what `which` chooses, and gives it.
    pub(super) fn take(&mut self, which: impl Fn(&Key, &Entry) -> bool) -> Vec<Arc<Entry>> {
        let chosen = self.entries.iter().filter(|(key, kept)| which(key, &kept.entry));
        let keys: Vec<Key> = chosen.map(|(key, _)| *key).collect();
        let taken = keys.iter().filter_map(|key| self.entries.pop(key));
        let taken: Vec<Arc<Entry>> = taken.map(|kept| kept.entry).collect();
        self.bytes -= taken.iter().map(|entry| entry.size()).sum::<u64>();
        taken
    }

    /// Removes what is too old, and what there is no room for.
    pub(super) fn trim(&mut self, now: Duration) -> Removed {
        let ttl = self.limits.map_or(Duration::ZERO, |limits| limits.ttl);
        let expired: Vec<Key> = self
            .entries
            .iter()
            .filter(|(_, kept)| now.saturating_sub(kept.at) >= ttl)
            .map(|(key, _)| *key)
            .collect();
        for key in &expired {
            self.remove(key);
        }
        Removed {
            evicted: self.shrink(),
            expired,
        }
    }

    fn shrink(&mut self) -> Vec<Key> {
        let max = self.limits.map_or(0, |limits| limits.max_bytes);
        let mut evicted = Vec::new();
        while self.bytes > max {
            let Some((key, kept)) = self.entries.pop_lru() else {
                break;
            };
            self.bytes -= kept.entry.size();
            evicted.push(key);
        }
        evicted
    }
}
