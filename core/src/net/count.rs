//! How many connections a port has, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// The limit of connections of one port, if the limit of the process is unknown.
const CONNECTIONS_MAX: usize = 4_096;

static LIMIT: AtomicUsize = AtomicUsize::new(CONNECTIONS_MAX);

/// Sets the limit of connections of each port, which the limit of file descriptors gives.
pub fn limit_connections(limit: usize) {
    LIMIT.store(limit.clamp(1, CONNECTIONS_MAX), Ordering::Relaxed);
}

/// The connections of one port.
#[derive(Debug, Clone)]
pub(super) struct Count(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    limit: usize,
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place. Dropped, it is free for another.
#[derive(Debug)]
pub(super) struct Counted {
    count: Count,
    address: IpAddr,
}

impl Count {
    pub(super) fn new() -> Self {
        Self::up_to(LIMIT.load(Ordering::Relaxed))
    }

    pub(super) fn up_to(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Counts {
            limit,
            all: 0,
            by_address: HashMap::new(),
        })))
    }

    /// Counts a connection. None if there are too many, of which one address has three quarters at most.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Counted> {
        let mut counts = self.0.lock();
        let share = (counts.limit * 3).div_ceil(4);
        let of_address = counts.by_address.get(&address).copied().unwrap_or_default();
        if counts.all >= counts.limit || of_address >= share {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, of_address + 1);
        Some(Counted {
            count: self.clone(),
            address,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.count.0.lock();
        counts.all -= 1;
        let of_address = counts.by_address.get(&self.address).copied().unwrap_or_default();
        match of_address {
            0 | 1 => counts.by_address.remove(&self.address),
            more => counts.by_address.insert(self.address, more - 1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let count = Count::up_to(8);
        let [one, two]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut places: Vec<_> = std::iter::from_fn(|| count.enter(one)).collect();
        assert_eq!(places.len(), 6);
        places.extend([count.enter(two).unwrap(), count.enter(two).unwrap()]);
        assert!(count.enter(two).is_none());
        drop(places.remove(0));
        assert!(count.enter(one).is_some());
        places.clear();
        assert!(count.0.lock().by_address.is_empty());
    }
}
