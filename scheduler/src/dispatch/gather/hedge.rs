//! When a second executor is asked for a partition: if it takes far longer than those that have finished.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// Nothing is slow before this.
const SLOW_MIN: Duration = Duration::from_millis(50);
/// Of a run's partitions, at most one in so many is asked for twice; but one always may.
const SHARE: usize = 10;

/// After how long a partition is slow: one and a half times what 95 in 100 of its finished peers took.
/// Nobody knows before half of all have finished.
fn slow_after(finished: &[Duration], total: usize) -> Option<Duration> {
    if finished.is_empty() || finished.len() * 2 < total {
        return None;
    }
    let mut sorted = finished.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * 95).div_ceil(100).max(1) - 1;
    let p95 = sorted.get(rank).copied().unwrap_or_default();
    Some((p95 + p95 / 2).max(SLOW_MIN))
}

/// How fast the partitions of a run are.
#[derive(Debug)]
pub(super) struct Pace {
    total: usize,
    state: Mutex<State>,
    slow_after: watch::Sender<Option<Duration>>,
}

#[derive(Debug, Default)]
struct State {
    finished: Vec<Duration>,
    hedges: usize,
}

impl Pace {
    /// Of so many partitions that run.
    pub(super) fn new(total: usize) -> Self {
        Self {
            total,
            state: Mutex::default(),
            slow_after: watch::Sender::new(None),
        }
    }

    /// A partition has finished.
    pub(super) fn finished(&self, took: Duration) {
        let mut state = self.state.lock();
        state.finished.push(took);
        self.slow_after
            .send_replace(slow_after(&state.finished, self.total));
    }

    /// Ends when a partition that began then is slow, and may be asked for once more.
    pub(super) async fn slow(&self, began: Instant) {
        let mut changes = self.slow_after.subscribe();
        loop {
            let after = *changes.borrow_and_update();
            let reached = async {
                match after {
                    Some(after) => tokio::time::sleep_until(began + after).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return std::future::pending().await },
                () = reached => {
                    if self.take() {
                        return;
                    }
                    return std::future::pending().await;
                }
            }
        }
    }

    fn take(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.hedges < (self.total / SHARE).max(1);
        state.hedges += usize::from(free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: &[u64], total: usize, expected: Option<u64>) {
        let finished: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(slow_after(&finished, total), expected.map(Duration::from_millis));
    }

    #[test]
    fn slow_is_what_takes_longer_than_peers() {
        check(&[], 0, None);
        check(&[100], 4, None);
        check(&[100, 200], 4, Some(300));
        check(&[1, 2, 3], 4, Some(50));
        let mut many: Vec<u64> = (1..=100).map(|step| 2 * step).collect();
        check(&many, 100, Some(285));
        many[99] = 10_000;
        check(&many, 200, Some(285));
        check(&many, 201, None);
    }

    #[test]
    fn few_are_asked_for_twice() {
        for (total, most) in [(1, 1), (8, 1), (20, 2), (105, 10)] {
            let pace = Pace::new(total);
            assert_eq!((0..total + 5).filter(|_| pace.take()).count(), most);
        }
    }

    #[tokio::test]
    async fn a_slow_partition_is_found() {
        let pace = Pace::new(3);
        let began = Instant::now();
        let waiting = pace.slow(began);
        tokio::pin!(waiting);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), &mut waiting)
                .await
                .is_err(),
            "nobody has finished"
        );
        pace.finished(Duration::from_millis(1));
        pace.finished(Duration::from_millis(2));
        waiting.await;
        assert!(began.elapsed() >= SLOW_MIN);
        let none_left = tokio::time::timeout(Duration::from_millis(20), pace.slow(began));
        assert!(none_left.await.is_err());
    }
}
