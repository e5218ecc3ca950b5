//! Membership: executors join by their first heartbeat and are dead when silent for three seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use watershed_core::clock::Clock;
use watershed_core::cluster::{CachesFigures, HEARTBEAT_TIMEOUT, Heartbeat, PROTOCOL_VERSION};
use watershed_core::id::NodeId;
use watershed_core::shard::Ring;
use watershed_core::{Error, Result, SqlState, telemetry};

use super::breaker::{Breakers, Phase};

/// More executors than this are refused.
const MAX_EXECUTORS: usize = 4096;
/// How often a heartbeat is looked for: longer than it takes to be declared dead.
const MAX_LOOKS: usize = 50;
/// How often silence is looked for.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// An executor that lives.
#[derive(Debug, Clone)]
pub struct Executor {
    pub node: NodeId,
    pub incarnation: u64,
    pub url: String,
    pub http: String,
    pub threads: usize,
    pub version: String,
    pub pid: u32,
    pub memory_used: u64,
    pub memory_limit: u64,
    /// The newest invalidation that its caches have done.
    pub invalidated: u64,
    /// What its caches hold and have done, if it tells.
    pub caches: Option<CachesFigures>,
    pub joined_at: DateTime<Utc>,
    pub heard_at: DateTime<Utc>,
    /// Cancelled once it is declared dead or has left: what waits for it stops waiting.
    pub gone: CancellationToken,
    /// Cancelled once it has said goodbye.
    pub left: CancellationToken,
}

/// The executors at one moment. A statement sees one `Members` from planning to its last row, or
/// plans again.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// Grows with every executor that joins or leaves.
    pub epoch: u64,
    pub executors: BTreeMap<NodeId, Executor>,
    pub ring: Ring,
}

impl Members {
    /// These members without some that a statement has found silent.
    pub fn without(&self, suspects: &[NodeId]) -> Self {
        if suspects.is_empty() {
            return self.clone();
        }
        let mut executors = self.executors.clone();
        executors.retain(|node, _| !suspects.contains(node));
        let ring = Ring::new(executors.keys().cloned());
        Self {
            epoch: self.epoch,
            executors,
            ring,
        }
    }

    pub fn threads(&self) -> usize {
        self.executors.values().map(|executor| executor.threads).sum()
    }
}

#[derive(Debug)]
struct Heard {
    executor: Executor,
    at: Duration,
}

/// Who is in the cluster now.
#[derive(Debug)]
pub struct Membership {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    current: watch::Sender<Arc<Members>>,
    breakers: Breakers,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    heard: BTreeMap<NodeId, Heard>,
}

impl Membership {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            current: watch::Sender::new(Arc::default()),
            breakers: Breakers::default(),
        }
    }

    /// The executors of this moment.
    pub fn current(&self) -> Arc<Members> {
        Arc::clone(&self.current.borrow())
    }

    /// Told of every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Members>> {
        self.current.subscribe()
    }

    /// Takes a heartbeat, and gives the epoch it is part of.
    pub fn heard(&self, heartbeat: Heartbeat) -> Result<u64> {
        if heartbeat.protocol != PROTOCOL_VERSION {
            return Err(Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                format!(
                    "executor {} speaks cluster protocol {}, this scheduler speaks {PROTOCOL_VERSION}",
                    heartbeat.node, heartbeat.protocol
                ),
            )
            .with_hint("Run the same version of Watershed everywhere."));
        }
        let (now, at) = (self.clock.now(), self.clock.elapsed());
        let mut state = self.state.lock();
        let known = state.heard.get(&heartbeat.node);
        let same = known.is_some_and(|known| known.executor.incarnation == heartbeat.incarnation);
        if known.is_none() && state.heard.len() >= MAX_EXECUTORS {
            return Err(Error::new(
                SqlState::TooManyStatements,
                format!("a cluster has at most {MAX_EXECUTORS} executors"),
            ));
        }
        let new = CancellationToken::new;
        let (joined_at, gone, left) = match known {
            Some(Heard { executor, .. }) if same => {
                (executor.joined_at, executor.gone.clone(), executor.left.clone())
            }
            Some(known) => {
                // Another process under an old name: what ran on the old one is lost.
                known.executor.gone.cancel();
                self.breakers.forget(&heartbeat.node);
                (now, new(), new())
            }
            None => (now, new(), new()),
        };
        let executor = Executor {
            node: heartbeat.node.clone(),
            incarnation: heartbeat.incarnation,
            url: heartbeat.url,
            http: heartbeat.http,
            threads: heartbeat.threads.max(1) as usize,
            version: heartbeat.version,
            pid: heartbeat.pid,
            memory_used: heartbeat.memory_used,
            memory_limit: heartbeat.memory_limit,
            invalidated: heartbeat.invalidated.unwrap_or_default(),
            caches: heartbeat.caches,
            joined_at,
            heard_at: now,
            gone,
            left,
        };
        state.heard.insert(heartbeat.node, Heard { executor, at });
        if same {
            self.refresh(&state);
        } else {
            self.changed(&mut state);
        }
        Ok(state.epoch)
    }

    /// Whether an executor has been silent for longer than `tolerance`.
    pub fn is_late(&self, node: &NodeId, tolerance: Duration) -> bool {
        let now = self.clock.elapsed();
        let state = self.state.lock();
        state
            .heard
            .get(node)
            .is_none_or(|heard| now.saturating_sub(heard.at) > tolerance)
    }

    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Whether a process whose connection broke then has died without a goodbye: waits until it sends a heartbeat, or
    /// is declared dead.
    pub async fn has_died(&self, process: &Executor, then: Duration) -> bool {
        for _ in 0..MAX_LOOKS {
            if process.gone.is_cancelled() {
                break;
            }
            let heard = self.state.lock().heard.get(&process.node).map(|heard| heard.at);
            if heard.is_some_and(|at| at > then) {
                return false;
            }
            tokio::select! {
                () = process.gone.cancelled() => {}
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            }
        }
        !process.left.is_cancelled()
    }

    /// The executors that a statement that begins now does not use, as they have kept failing. One whose
    /// time to be tried again has come is not among them: the statement is its probe.
    pub fn spared(&self) -> Vec<NodeId> {
        self.breakers.spared(self.clock.elapsed())
    }

    /// An executor did what it was asked.
    pub fn succeeded(&self, node: &NodeId) {
        self.breakers.succeeded(node);
    }

    /// An executor failed a statement.
    pub fn failed(&self, node: &NodeId) {
        // What is gone has no breaker.
        if self.state.lock().heard.contains_key(node) {
            self.breakers.failed(node, self.clock.elapsed());
        }
    }

    /// Another executor was faster, though it was asked later.
    pub fn was_slow(&self, node: &NodeId) {
        if self.state.lock().heard.contains_key(node) {
            self.breakers.was_slow(node, self.clock.elapsed());
        }
    }

    pub fn breaker(&self, node: &NodeId) -> Phase {
        self.breakers.phase(node)
    }

    /// Takes a goodbye.
    pub fn left(&self, node: &NodeId) {
        let mut state = self.state.lock();
        if let Some(Heard { executor, .. }) = state.heard.remove(node) {
            executor.left.cancel();
            executor.gone.cancel();
            self.breakers.forget(node);
            self.changed(&mut state);
        }
    }

    /// Declares dead who has been silent too long.
    pub fn sweep(&self) {
        let now = self.clock.elapsed();
        let mut state = self.state.lock();
        let dead: Vec<_> = state
            .heard
            .iter()
            .filter(|(_, heard)| now.saturating_sub(heard.at) > HEARTBEAT_TIMEOUT)
            .map(|(node, _)| node.clone())
            .collect();
        for node in &dead {
            if let Some(lost) = state.heard.remove(node) {
                tracing::warn!(%node, "executor declared dead");
                telemetry::EXECUTORS_LOST.inc();
                lost.executor.gone.cancel();
                self.breakers.forget(node);
            }
        }
        if !dead.is_empty() {
            self.changed(&mut state);
        }
    }

    /// Sweeps until `shutdown`.
    pub async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            self.sweep();
            tokio::select! {
                () = tokio::time::sleep(SWEEP_INTERVAL) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    fn changed(&self, state: &mut State) {
        state.epoch += 1;
        telemetry::EXECUTORS.set(i64::try_from(state.heard.len()).unwrap_or(i64::MAX));
        let executors: BTreeMap<_, _> = state
            .heard
            .iter()
            .map(|(node, heard)| (node.clone(), heard.executor.clone()))
            .collect();
        let ring = Ring::new(executors.keys().cloned());
        self.current.send_replace(Arc::new(Members {
            epoch: state.epoch,
            executors,
            ring,
        }));
    }

    /// Shows newer figures of the same members, without waking those who wait for a change.
    fn refresh(&self, state: &State) {
        self.current.send_if_modified(|members| {
            let mut newer = Members::clone(members);
            for (node, heard) in &state.heard {
                newer.executors.insert(node.clone(), heard.executor.clone());
            }
            *members = Arc::new(newer);
            false
        });
    }
}

#[cfg(test)]
mod tests;
