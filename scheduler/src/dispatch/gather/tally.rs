//! Which shards of a run have finished and which are given up.

use parking_lot::Mutex;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shard {
    Pending,
    Finished,
    Missing,
}

/// The shards of one run whose answer may be partial.
#[derive(Debug)]
pub(super) struct Tally {
    /// The part of the shards that an answer has at least.
    least: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    shards: Vec<Shard>,
    settled: bool,
}

/// So many shards can still be had, and that is too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooFew {
    pub(super) left: usize,
    pub(super) total: usize,
}

impl Tally {
    pub(super) fn new(total: usize, least: f64) -> Self {
        Self {
            least,
            state: Mutex::new(State {
                shards: vec![Shard::Pending; total],
                settled: false,
            }),
        }
    }

    /// All rows of a shard are there. `false` if it was given up before: they come too late.
    pub(super) fn finish(&self, shard: usize) -> bool {
        let mut state = self.state.lock();
        match state.shards.get_mut(shard) {
            Some(shard @ (Shard::Pending | Shard::Finished)) => {
                *shard = Shard::Finished;
                true
            }
            Some(Shard::Missing) | None => false,
        }
    }

    /// Gives up a shard.
    pub(super) fn lose(&self, shard: usize) -> Result<(), TooFew> {
        self.give_up(|index| index == shard)
    }

    /// Gives up all that has not finished.
    pub(super) fn close(&self) -> Result<(), TooFew> {
        self.give_up(|_| true)
    }

    fn give_up(&self, which: impl Fn(usize) -> bool) -> Result<(), TooFew> {
        let mut state = self.state.lock();
        for (index, shard) in state.shards.iter_mut().enumerate() {
            if *shard == Shard::Pending && which(index) {
                *shard = Shard::Missing;
            }
        }
        let total = state.shards.len();
        let left = state
            .shards
            .iter()
            .filter(|shard| **shard != Shard::Missing)
            .count();
        // Nothing is no part of an answer.
        if left < total && (left == 0 || (left as f64) < self.least * total as f64) {
            Err(TooFew { left, total })
        } else {
            Ok(())
        }
    }

    /// The shards that are missing, told once: to the first who asks when none is pending any more.
    pub(super) fn settled(&self) -> Option<Vec<usize>> {
        let mut state = self.state.lock();
        if state.settled || state.shards.contains(&Shard::Pending) {
            return None;
        }
        state.settled = true;
        let missing = state.shards.iter().enumerate();
        Some(
            missing
                .filter(|(_, shard)| **shard == Shard::Missing)
                .map(|(index, _)| index)
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_finished_in_time_is_missing() {
        let tally = Tally::new(4, 0.0);
        assert!(tally.finish(2));
        assert!(tally.finish(0));
        assert_eq!(tally.settled(), None);
        tally.close().unwrap();
        assert!(!tally.finish(1), "too late");
        assert!(tally.finish(0), "it was there before");
        assert_eq!(tally.settled(), Some(vec![1, 3]));
        assert_eq!(tally.settled(), None, "told once");
    }

    #[test]
    fn a_whole_answer_lacks_nothing() {
        let tally = Tally::new(2, 1.0);
        assert!(tally.finish(0) && tally.finish(1));
        tally.close().unwrap();
        assert_eq!(tally.settled(), Some(Vec::new()));
    }

    #[track_caller]
    fn check(total: usize, least: f64, lost: usize, enough: bool) {
        let tally = Tally::new(total, least);
        let verdicts: Vec<_> = (0..lost).map(|shard| tally.lose(shard)).collect();
        assert_eq!(verdicts.last().is_none_or(Result::is_ok), enough);
    }

    #[test]
    fn too_few_are_an_error_as_soon_as_that_is_known() {
        check(10, 0.9, 1, true);
        check(10, 0.9, 2, false);
        check(4, 0.75, 1, true);
        check(4, 0.76, 1, false);
        check(3, 1.0, 0, true);
        check(3, 1.0, 1, false);
        check(3, 0.0, 2, true);
        check(3, 0.0, 3, false);
        let tally = Tally::new(4, 0.5);
        tally.finish(1);
        assert_eq!(tally.close(), Err(TooFew { left: 1, total: 4 }));
    }
}
