//! What the server keeps for clients between their calls, found by a handle: bounded in number,
//! bytes and idle time. The one that has been idle longest makes room for a new one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;
use watershed_core::clock::Clock;

/// How much a registry keeps, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub entries_max: usize,
    pub bytes_max: usize,
    pub idle_max: Duration,
}

pub(super) struct Registry<T> {
    bounds: Bounds,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    entries: HashMap<Uuid, Entry<T>>,
    /// By last use: the first is the next to go.
    order: BTreeMap<(Duration, Uuid), ()>,
    bytes: usize,
}

struct Entry<T> {
    value: Arc<T>,
    bytes: usize,
    used: Duration,
}

impl<T> Registry<T> {
    pub(super) fn new(bounds: Bounds, clock: Arc<dyn Clock>) -> Self {
        let kept = Kept {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
        };
        Self {
            bounds,
            clock,
            kept: Mutex::new(kept),
        }
    }

    /// Keeps a value under a new handle.
    pub(super) fn insert(&self, handle: Uuid, value: T, bytes: usize) -> Arc<T> {
        let value = Arc::new(value);
        let used = self.clock.elapsed();
        let mut kept = self.kept.lock();
        kept.remove(&handle);
        kept.bytes += bytes;
        kept.order.insert((used, handle), ());
        kept.entries.insert(
            handle,
            Entry {
                value: Arc::clone(&value),
                bytes,
                used,
            },
        );
        self.shrink(&mut kept, used, handle);
        value
    }

    /// Finds a value and counts that as a use of it.
    pub(super) fn get(&self, handle: &Uuid) -> Option<Arc<T>> {
        let now = self.clock.elapsed();
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        let entry = kept.entries.get_mut(handle)?;
        if now.saturating_sub(entry.used) >= self.bounds.idle_max {
            kept.remove(handle);
            return None;
        }
        kept.order.remove(&(entry.used, *handle));
        entry.used = now;
        kept.order.insert((now, *handle), ());
        Some(Arc::clone(&entry.value))
    }

    /// Says that a value takes more or less room than before.
    pub(super) fn weigh(&self, handle: &Uuid, bytes: usize) {
        let mut kept = self.kept.lock();
        let before = match kept.entries.get_mut(handle) {
            Some(entry) => std::mem::replace(&mut entry.bytes, bytes),
            None => return,
        };
        kept.bytes = kept.bytes.saturating_sub(before) + bytes;
        self.shrink(&mut kept, self.clock.elapsed(), *handle);
    }

    pub(super) fn remove(&self, handle: &Uuid) -> Option<Arc<T>> {
        self.kept.lock().remove(handle)
    }

    /// Removes what has expired.
    pub(super) fn sweep(&self) {
        let now = self.clock.elapsed();
        let mut kept = self.kept.lock();
        while let Some((&(used, oldest), ())) = kept.order.first_key_value() {
            if now.saturating_sub(used) < self.bounds.idle_max {
                break;
            }
            kept.remove(&oldest);
        }
        kept.entries.shrink_to_fit();
    }

    /// Removes what has expired and what is too much, but never `newest`.
    fn shrink(&self, kept: &mut Kept<T>, now: Duration, newest: Uuid) {
        while let Some((&(used, oldest), ())) = kept.order.first_key_value() {
            let expired = now.saturating_sub(used) >= self.bounds.idle_max;
            let crowded = kept.entries.len() > self.bounds.entries_max || kept.bytes > self.bounds.bytes_max;
            if oldest == newest || !(expired || crowded) {
                break;
            }
            kept.remove(&oldest);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.lock().entries.len()
    }
}

impl<T> Kept<T> {
    fn remove(&mut self, handle: &Uuid) -> Option<Arc<T>> {
        let entry = self.entries.remove(handle)?;
        self.order.remove(&(entry.used, *handle));
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry.value)
    }
}

#[cfg(test)]
mod tests {
    use watershed_core::clock::ManualClock;

    use super::*;

    fn registry(entries_max: usize, bytes_max: usize) -> (Registry<u32>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        let bounds = Bounds {
            entries_max,
            bytes_max,
            idle_max: Duration::from_secs(60),
        };
        (Registry::new(bounds, Arc::<ManualClock>::clone(&clock)), clock)
    }

    #[test]
    fn the_longest_idle_makes_room() {
        let (registry, clock) = registry(2, 1_000);
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        registry.insert(a, 1, 1);
        clock.advance(Duration::from_secs(1));
        registry.insert(b, 2, 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(registry.get(&a).as_deref(), Some(&1));
        clock.advance(Duration::from_secs(1));
        registry.insert(c, 3, 1);
        assert!(registry.get(&b).is_none());
        assert!(registry.get(&a).is_some() && registry.get(&c).is_some());
    }

    #[test]
    fn bytes_are_bounded_too_and_one_large_value_still_fits() {
        let (registry, clock) = registry(10, 100);
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        registry.insert(a, 1, 60);
        clock.advance(Duration::from_secs(1));
        registry.insert(b, 2, 30);
        clock.advance(Duration::from_secs(1));
        registry.weigh(&b, 50);
        assert!(registry.get(&a).is_none());
        clock.advance(Duration::from_secs(1));
        registry.insert(c, 3, 1_000);
        assert_eq!(registry.len(), 1);
        assert!(registry.get(&c).is_some());
    }

    #[test]
    fn the_idle_expire() {
        let (registry, clock) = registry(10, 100);
        let a = Uuid::from_u128(1);
        registry.insert(a, 1, 1);
        clock.advance(Duration::from_secs(59));
        assert!(registry.get(&a).is_some());
        clock.advance(Duration::from_secs(60));
        assert!(registry.get(&a).is_none());
        assert_eq!(registry.len(), 0);

        let [b, c] = [2, 3].map(Uuid::from_u128);
        registry.insert(b, 2, 1);
        clock.advance(Duration::from_secs(30));
        registry.insert(c, 3, 1);
        registry.sweep();
        assert_eq!(registry.len(), 2);
        clock.advance(Duration::from_secs(30));
        registry.sweep();
        assert_eq!(registry.len(), 1);
        assert!(registry.get(&c).is_some());
    }
}
