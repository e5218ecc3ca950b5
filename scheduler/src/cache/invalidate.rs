//! What is removed on request, and what counts as removed.

use std::sync::Arc;

use watershed_core::Result;
use watershed_sql::catalog::Invalidations;

use super::ResultCache;
use super::entry::{About, Entry};
use super::fingerprint::Key;
use super::names::Names;

impl ResultCache {
    /// Removes one answer by its hash.
    pub fn evict(&self, hash: &str, reason: &str) -> bool {
        let Some(key) = Key::parse(hash) else {
            return false;
        };
        self.0.flights.part(|found| *found == key);
        let removed = self.remove_local(|found, _| *found == key) > 0;
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.distributed.remove(&key).await });
        if removed {
            self.0.events.record(hash, reason);
        }
        removed
    }

    /// Learns what was asked to be forgotten.
    pub fn learn_invalidations(&self, invalidations: &Invalidations) {
        let mut known = self.0.invalidations.lock();
        if known.last() < invalidations.last() {
            known.clone_from(invalidations);
        }
    }

    /// Whether an answer was asked to be forgotten after it was made. Whoever was to remove it may not have
    /// come to that, or have written it afterwards.
    pub(super) fn is_invalidated(&self, key: &Key, about: &About) -> bool {
        let keys = self.0.invalidations.lock().keys_since(about.invalidation);
        let names: Vec<Names> = keys.iter().map(|key| Names::of(key)).collect();
        Names::any(&names, key, about)
    }

    /// Removes what any of `keys` names, in both layers: a table, a hash or a prefix of one, a prefix before
    /// `*`. Gives how many answers went.
    pub async fn invalidate(&self, keys: &[String]) -> Result<usize> {
        let names: Vec<Names> = keys.iter().map(|key| Names::of(key)).collect();
        let goes = |key: &Key, entry: &Entry| Names::any(&names, key, &entry.about);
        // What runs now may have read before whatever is the reason for this.
        self.0.flights.part(|_| true);
        let removed = self.remove_local(goes);
        Ok(removed + self.0.distributed.remove_where(goes).await?)
    }

    /// What is asked to be forgotten is forgotten in every form.
    fn remove_local(&self, which: impl Fn(&Key, &Entry) -> bool) -> usize {
        self.0.outdated.lock().take(&which);
        let partial = self.0.partial.lock().take(&which).len();
        self.take_local(which).len() + partial
    }
}
