//! Answers that are reused: exactly those that a query would give again, at the versions of its tables.
//!
//! [`fingerprint`] says which queries are the same. An answer lies in memory (`local`) and on the object
//! store (`distributed`); identical queries that run at the same time wait for one of them (`inflight`);
//! `texts` knows by its text what a statement came to, so that it need not be planned. Versions are in
//! the key, so a commit makes new keys, and what lies under the old ones is only in the way: it is removed
//! and noted in `events`; `invalidate` removes what someone asks to be forgotten.

mod confirmations;
mod distributed;
mod encode;
mod entry;
mod events;
pub mod fingerprint;
mod generic;
mod inflight;
mod invalidate;
mod layers;
mod local;
mod names;
mod records;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watershed_core::clock::Clock;
use watershed_core::store::StoreRoot;
use watershed_sql::catalog::Invalidations;
use watershed_storage::table::Pin;

use crate::dispatch::context::StatementContext;
use distributed::Distributed;
use inflight::{InFlight, Role};
use layers::Counts;
use local::{Local, Removed};

pub use confirmations::Confirmations;
pub use entry::{About, Entry};
pub use events::Events;
pub use fingerprint::{Fingerprint, Key};
pub(crate) use generic::Generic;
pub(crate) use inflight::{Lead, Outcome};
pub use layers::{LayerStats, Layers, Limits};
pub use records::EntryRecord;
pub(crate) use texts::{KnownAnswer, KnownPlan, TextKey};
pub use watershed_sql::catalog::Layer;

/// Tables whose newest version is remembered.
const MAX_TABLES: usize = 10_000;

/// The result cache of a scheduler. Clones share it.
#[derive(Clone)]
pub struct ResultCache(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    layers: Mutex<Layers>,
    local: Mutex<Local>,
    /// The last answers over versions that have passed, by plan, for those who ask for no more.
    outdated: Mutex<Local>,
    /// Partial answers, to be looked at: nobody is given one again.
    partial: Mutex<Local>,
    distributed: Distributed,
    flights: Arc<InFlight>,
    texts: texts::Texts,
    /// The newest version seen of each table.
    versions: Mutex<HashMap<String, String>>,
    counts: [Counts; 3],
    events: Events,
    /// What anyone has asked to be forgotten.
    invalidations: Mutex<Invalidations>,
}

/// What there is for a query.
pub(crate) enum Found {
    /// Its answer.
    Answer(Arc<Entry>, Layer),
    /// Nothing: run it, others wait.
    Lead(Lead),
    /// It runs already: wait, and ask again.
    Wait(tokio::sync::watch::Receiver<Outcome>),
}

impl ResultCache {
    pub fn new(root: &StoreRoot, clock: Arc<dyn Clock>) -> Self {
        let layers = Layers::default();
        Self(Arc::new(Inner {
            events: Events::new(Arc::clone(&clock)),
            clock,
            local: Mutex::new(Local::new(layers.local)),
            outdated: Mutex::new(Local::new(side_limits(layers.local))),
            partial: Mutex::new(Local::new(side_limits(layers.local))),
            layers: Mutex::new(layers),
            distributed: Distributed::new(root),
            flights: Arc::default(),
            texts: texts::Texts::default(),
            versions: Mutex::default(),
            counts: Default::default(),
            invalidations: Mutex::default(),
        }))
    }

    /// What the caches have done that someone may want to know.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    pub fn layers(&self) -> Layers {
        *self.0.layers.lock()
    }

    /// Other limits, which hold at once.
    pub fn configure(&self, layers: Layers) {
        let before = std::mem::replace(&mut *self.0.layers.lock(), layers);
        if before.local != layers.local {
            let removed = self
                .0
                .local
                .lock()
                .set_limits(layers.local, self.0.clock.elapsed());
            self.note(Layer::Local, &removed);
            let limits = side_limits(layers.local);
            for side in [&self.0.outdated, &self.0.partial] {
                side.lock().set_limits(limits, self.0.clock.elapsed());
            }
        }
    }

    /// The answer to a query if it is there, or else this one's part in finding it.
    pub(crate) async fn find(
        &self,
        print: &Fingerprint,
        statement: &Arc<StatementContext>,
        principal: &str,
        reads: &[(String, String)],
    ) -> Found {
        if let Some(entry) = self.local(&print.key) {
            return Found::Answer(entry, Layer::Local);
        }
        let lead = match self.0.flights.join(print.key, statement, principal, reads) {
            Role::Follow(ended) => return Found::Wait(ended),
            Role::Lead(lead) => lead,
        };
        // It may have come between the two.
        if let Some(entry) = self.local(&print.key) {
            return Found::Answer(entry, Layer::Local);
        }
        self.count(Layer::Local, false);
        let limits = self.layers().distributed;
        if limits.is_some() {
            let now = self.0.clock.now();
            let mut found = self.0.distributed.get(&print.key, limits, now).await;
            if found
                .as_ref()
                .is_some_and(|entry| self.is_invalidated(&print.key, &entry.about))
            {
                self.0.distributed.remove(&print.key).await;
                found = None;
            }
            self.count(Layer::Distributed, found.is_some());
            if let Some(entry) = found {
                let entry = Arc::new(entry);
                // An invalidation may have come while it was read.
                if lead.leads() {
                    let age = (now - entry.about.created_at).to_std().unwrap_or_default();
                    self.keep(print.key, Arc::clone(&entry), age);
                }
                lead.end(Outcome::Cached);
                return Found::Answer(entry, Layer::Distributed);
            }
        }
        Found::Lead(lead)
    }

    /// The answer in memory. Whoever does not find it goes on to ask elsewhere, so that only a hit counts.
    pub(crate) fn local(&self, key: &Key) -> Option<Arc<Entry>> {
        let found = self.0.local.lock().get(key, self.0.clock.elapsed());
        if found.is_some() {
            self.count(Layer::Local, true);
        }
        found
    }

    /// Keeps an answer that was just computed, `costly` ones on the store, too.
    pub(crate) fn store(&self, key: Key, lead: Lead, entry: Entry, costly: bool) {
        if !lead.leads() {
            lead.end(Outcome::NotShared);
            return;
        }
        let entry = Arc::new(entry);
        self.0.partial.lock().remove(&key);
        self.keep(key, Arc::clone(&entry), Duration::ZERO);
        let kept = self.0.local.lock().get(&key, self.0.clock.elapsed()).is_some();
        lead.end(if kept { Outcome::Cached } else { Outcome::NotShared });
        let limits = self.layers().distributed;
        if costly && limits.is_some() {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move {
                inner.distributed.put(key, &entry, limits).await;
            });
        }
    }

    /// Shows a partial answer until there is a whole one.
    pub(crate) fn show_partial(&self, key: Key, lead: Lead, entry: Entry) {
        if lead.leads() {
            let now = self.0.clock.elapsed();
            let mut partial = self.0.partial.lock();
            partial.put(key, Arc::new(entry), Duration::ZERO, now);
        }
        lead.end(Outcome::NotShared);
    }

    fn keep(&self, key: Key, entry: Arc<Entry>, age: Duration) {
        let removed = self.0.local.lock().put(key, entry, age, self.0.clock.elapsed());
        self.note(Layer::Local, &removed);
    }

    /// Whether a layer has the answer, without asking for it.
    pub(crate) fn has(&self, layer: Layer, key: &Key) -> bool {
        match layer {
            Layer::Local => self.0.local.lock().has(key, self.0.clock.elapsed()),
            Layer::Distributed => {
                let limits = self.layers().distributed;
                self.0.distributed.has(key, limits, self.0.clock.now())
            }
            Layer::Edge => false,
        }
    }

    /// What statements came to, by their texts.
    pub(crate) fn texts(&self) -> &texts::Texts {
        &self.0.texts
    }

    /// Learns the versions that a query sees. Answers over older ones are never asked for again.
    pub(crate) fn see(&self, pins: &[Pin]) {
        let mut changed = Vec::new();
        {
            let mut versions = self.0.versions.lock();
            for pin in pins {
                let room = versions.len() < MAX_TABLES;
                match versions.get_mut(&pin.identity) {
                    Some(known) if is_newer(&pin.version, known) => {
                        known.clone_from(&pin.version);
                        changed.push(pin);
                    }
                    None if room => {
                        versions.insert(pin.identity.clone(), pin.version.clone());
                    }
                    Some(_) | None => {}
                }
            }
        }
        for pin in changed {
            let outdated = |about: &About| {
                about
                    .versions
                    .iter()
                    .any(|(table, version)| *table == pin.identity && is_newer(&pin.version, version))
            };
            self.0.partial.lock().take(|_, entry| outdated(&entry.about));
            let removed = self.take_local(|_, entry| outdated(&entry.about));
            if !removed.is_empty() {
                self.0.events.record(&pin.table, "commit");
            }
            let (now, elapsed) = (self.0.clock.now(), self.0.clock.elapsed());
            let mut passed = self.0.outdated.lock();
            for entry in removed {
                if let Some(plan) = Key::parse(&entry.about.plan) {
                    let age = (now - entry.about.created_at).to_std().unwrap_or_default();
                    passed.put(plan, entry, age, elapsed);
                }
            }
        }
    }

    /// The last answer to a plan over versions that have passed, if it is no older than that, and its age.
    pub(crate) fn outdated(&self, plan: &Key, max_age: Duration) -> Option<(Arc<Entry>, Duration)> {
        let entry = self.0.outdated.lock().get(plan, self.0.clock.elapsed())?;
        let age = (self.0.clock.now() - entry.about.created_at).to_std().ok()?;
        if age > max_age {
            return None;
        }
        Counts::add(&self.0.counts[Layer::Local as usize].stale, 1);
        Some((entry, age))
    }

    fn take_local(&self, which: impl Fn(&Key, &Entry) -> bool) -> Vec<Arc<Entry>> {
        self.0.local.lock().take(which)
    }

    /// Removes from memory what is too old or too much. It is called every second or so.
    pub fn sweep(&self) {
        let now = self.0.clock.elapsed();
        self.0.outdated.lock().trim(now);
        self.0.partial.lock().trim(now);
        let removed = self.0.local.lock().trim(now);
        self.note(Layer::Local, &removed);
    }

    /// Learns what lies on the store, and removes what is too old or too much there.
    pub async fn sweep_store(&self) {
        let layers = self.layers();
        if let Err(error) = self.0.distributed.look().await {
            tracing::warn!(%error, "cached answers on the store cannot be listed");
            return;
        }
        let (expired, evicted) = self
            .0
            .distributed
            .trim(layers.distributed, self.0.clock.now())
            .await;
        let counts = &self.0.counts[Layer::Distributed as usize];
        Counts::add(&counts.expirations, expired);
        Counts::add(&counts.evictions, evicted);
    }

    pub(crate) fn count(&self, layer: Layer, hit: bool) {
        let counts = &self.0.counts[layer as usize];
        Counts::add(if hit { &counts.hits } else { &counts.misses }, 1);
    }

    fn note(&self, layer: Layer, removed: &Removed) {
        let counts = &self.0.counts[layer as usize];
        Counts::add(&counts.evictions, removed.evicted.len());
        Counts::add(&counts.expirations, removed.expired.len());
        for (keys, reason) in [(&removed.evicted, "eviction"), (&removed.expired, "ttl")] {
            for key in keys {
                self.0.events.record(&key.to_string(), reason);
            }
        }
    }
}

/// Of answers that are only good for some: a part of what the others may take.
fn side_limits(local: Option<Limits>) -> Option<Limits> {
    local.map(|limits| Limits {
        max_bytes: limits.max_bytes / 8,
        ..limits
    })
}

/// Whether a version is later than another. Of sets of files none is: one is simply not the other.
fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => version != than,
    }
}
