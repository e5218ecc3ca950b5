//! Circuit breakers: an executor that keeps failing is spared for a while, then tried with one statement.
//!
//! Closed, work is given as to any other. Open, it gets none until a cool-down has passed. Half-open, one
//! statement probes it: success closes, failure opens again for twice as long.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use watershed_core::id::NodeId;
use watershed_core::telemetry;

/// So many failures in a row open a breaker.
const FAILURES_MAX: u32 = 4;
/// So many times in a row that another executor was faster, where this one was asked first.
const SLOW_MAX: u32 = 4;
const COOL_DOWN: Duration = Duration::from_secs(2);
const COOL_DOWN_MAX: Duration = Duration::from_secs(60);
/// A probe of which nothing was heard for so long has been dropped by its client.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// What a breaker is, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Closed,
    Open,
    HalfOpen,
}

impl Phase {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// The breaker of one executor. Times are a monotonic clock's.
#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    slow: u32,
    /// How often it has opened since it was last closed.
    opened: u32,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Duration,
    },
    HalfOpen {
        since: Duration,
    },
}

impl Breaker {
    /// Whether a statement may use the executor. Past the cool-down it may, as the probe.
    fn admits(&mut self, now: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } if now < until => false,
            State::HalfOpen { since } if now < since + PROBE_LIMIT => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.state = State::HalfOpen { since: now };
                true
            }
        }
    }

    fn succeeded(&mut self) {
        match self.state {
            // From before it opened.
            State::Open { .. } => {}
            State::Closed | State::HalfOpen { .. } => *self = Self::default(),
        }
    }

    fn failed(&mut self, now: Duration) {
        self.failures += 1;
        self.judge(self.failures >= FAILURES_MAX, now);
    }

    fn was_slow(&mut self, now: Duration) {
        self.slow += 1;
        self.judge(self.slow >= SLOW_MAX, now);
    }

    fn judge(&mut self, enough: bool, now: Duration) {
        match self.state {
            State::Closed if !enough => return,
            State::Open { .. } => return,
            State::Closed | State::HalfOpen { .. } => {}
        }
        let cool_down = COOL_DOWN
            .saturating_mul(2_u32.saturating_pow(self.opened))
            .min(COOL_DOWN_MAX);
        self.opened = self.opened.saturating_add(1);
        self.state = State::Open {
            until: now + cool_down,
        };
        telemetry::BREAKERS_OPENED.inc();
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Closed => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }
}

/// The breakers of those executors that have failed since they joined or last succeeded.
#[derive(Debug, Default)]
pub(super) struct Breakers(Mutex<BTreeMap<NodeId, Breaker>>);

impl Breakers {
    /// The executors that a statement that begins now does not use. Those whose cool-down has passed it
    /// does, as their probe.
    pub(super) fn spared(&self, now: Duration) -> Vec<NodeId> {
        let mut breakers = self.0.lock();
        let spared = breakers.iter_mut().filter_map(|(node, breaker)| {
            let admitted = breaker.admits(now);
            (!admitted).then(|| node.clone())
        });
        spared.collect()
    }

    pub(super) fn succeeded(&self, node: &NodeId) {
        let mut breakers = self.0.lock();
        let Some(breaker) = breakers.get_mut(node) else {
            return;
        };
        breaker.succeeded();
        if breaker.phase() == Phase::Closed {
            breakers.remove(node);
        }
    }

    /// Only for executors that live, of which there is a bounded number.
    pub(super) fn failed(&self, node: &NodeId, now: Duration) {
        self.0.lock().entry(node.clone()).or_default().failed(now);
    }

    /// The same.
    pub(super) fn was_slow(&self, node: &NodeId, now: Duration) {
        self.0.lock().entry(node.clone()).or_default().was_slow(now);
    }

    /// Another process goes by the name, or none.
    pub(super) fn forget(&self, node: &NodeId) {
        self.0.lock().remove(node);
    }

    pub(super) fn phase(&self, node: &NodeId) -> Phase {
        self.0.lock().get(node).map_or(Phase::Closed, Breaker::phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert!(breaker.admits(Duration::ZERO));
            breaker.failed(Duration::ZERO);
        }
        assert_eq!(breaker.phase(), Phase::Open);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_and_others_do_not() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES_MAX {
                breaker.failed(SECOND);
                breaker.was_slow(SECOND);
            }
            breaker.succeeded();
        }
        assert_eq!(breaker.phase(), Phase::Closed);
        for _ in 0..SLOW_MAX {
            assert_eq!(breaker.phase(), Phase::Closed);
            breaker.was_slow(SECOND);
        }
        assert_eq!(breaker.phase(), Phase::Open);
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let mut breaker = opened();
        breaker.succeeded();
        assert_eq!(breaker.phase(), Phase::Open, "what ends late says nothing");
        assert!(!breaker.admits(COOL_DOWN - SECOND));
        assert!(breaker.admits(COOL_DOWN));
        assert_eq!(breaker.phase(), Phase::HalfOpen);
        assert!(!breaker.admits(COOL_DOWN + SECOND), "one probe");
        breaker.succeeded();
        assert_eq!(breaker.phase(), Phase::Closed);
        breaker.failed(SECOND);
        assert!(breaker.admits(SECOND), "it counts from the beginning");
    }

    #[test]
    fn cool_downs_double_up_to_a_limit() {
        let mut breaker = opened();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let opened = now;
            while !breaker.admits(now) {
                now += SECOND;
            }
            waits.push((now - opened).as_secs());
            breaker.failed(now);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_probe_that_is_not_heard_of_is_followed_by_another() {
        let mut breaker = opened();
        assert!(breaker.admits(COOL_DOWN));
        assert!(!breaker.admits(COOL_DOWN + PROBE_LIMIT - SECOND));
        assert!(breaker.admits(COOL_DOWN + PROBE_LIMIT));
    }

    /// Numbers that look random and are the same at every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % limit
        }
    }

    /// Statements meet three executors that break and are mended at random moments.
    #[test]
    fn a_broken_executor_costs_few_statements_and_a_mended_one_is_back_in_time() {
        for seed in 0..200 {
            let mut random = Random(seed);
            let nodes: Vec<NodeId> = ["a", "b", "c"].into_iter().map(NodeId::new).collect();
            let breakers = Breakers::default();
            let mut now = Duration::ZERO;
            let mut broken = [false; 3];
            // Since the last change: when, and how many statements failed.
            let mut since = [(Duration::ZERO, 0_u32); 3];
            for _ in 0..5_000 {
                now += Duration::from_millis(random.below(200));
                for (broken, since) in broken.iter_mut().zip(&mut since) {
                    if random.below(2_000) == 0 {
                        *broken = !*broken;
                        *since = (now, 0);
                    }
                }
                let spared = breakers.spared(now);
                for (index, node) in nodes.iter().enumerate() {
                    if spared.contains(node) {
                        let mended = now - since[index].0;
                        assert!(
                            broken[index] || mended <= COOL_DOWN_MAX + SECOND,
                            "seed {seed}: {node} is spared {mended:?} after it was mended"
                        );
                    } else if broken[index] {
                        breakers.failed(node, now);
                        since[index].1 += 1;
                        // Four in a row, then one per cool-down.
                        let cool_downs = (now - since[index].0).as_secs() / COOL_DOWN.as_secs();
                        let bound = u64::from(FAILURES_MAX) + cool_downs.min(5) + cool_downs / 30 + 1;
                        assert!(u64::from(since[index].1) <= bound, "seed {seed}: {node}");
                    } else {
                        breakers.succeeded(node);
                        assert_eq!(breakers.phase(node), Phase::Closed);
                    }
                }
            }
        }
    }
}
