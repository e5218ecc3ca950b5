//! Sees when a job gets nowhere. Ballista waits for ever for a task that nobody runs: one whose start
//! or end was lost with a connection, or one that no stage will ever give it.

use std::collections::BTreeMap;
use std::time::Duration;

/// A picture is trusted once it has not changed for this long.
pub(super) const SETTLED: Duration = Duration::from_secs(4);
/// Executors ask for work every second, even busy ones every five.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// A job at one moment, as Ballista sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picture {
    /// Tasks that run, per executor.
    pub(super) running: BTreeMap<String, usize>,
    /// Tasks that have ended.
    pub(super) ended: usize,
    /// Tasks that wait for an executor with room.
    pub(super) waiting: usize,
}

/// What to think of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It gets on, or it is too early to tell.
    Fine,
    /// Nothing has changed for a while: ask these executors whether they really run its tasks.
    Ask(Vec<String>),
    /// Nothing will ever change.
    Stuck(&'static str),
}

/// What was seen of a job.
#[derive(Debug, Default)]
pub(super) struct Watch {
    last: Option<(Picture, Duration)>,
}

impl Watch {
    /// Looks at the job at `now`. `heard`: how long ago the last executor asked for work.
    pub(super) fn look(&mut self, picture: Picture, now: Duration, heard: Option<Duration>) -> Verdict {
        let (last, since) = match &mut self.last {
            Some((last, since)) if *last == picture => (&*last, since),
            _ => {
                self.last = Some((picture, now));
                return Verdict::Fine;
            }
        };
        let unchanged = now.saturating_sub(*since);
        if unchanged < SETTLED {
            return Verdict::Fine;
        }
        if !last.running.is_empty() {
            // The next question comes as much later.
            *since = now;
            return Verdict::Ask(last.running.keys().cloned().collect());
        }
        if last.waiting == 0 {
            return Verdict::Stuck("none of its tasks runs or waits");
        }
        // Waiting for room may take long; waiting for executors that never ask will not end.
        match heard {
            Some(ago) if ago < SILENCE => Verdict::Fine,
            _ if unchanged < SILENCE => Verdict::Fine,
            _ => Verdict::Stuck("no executor asks for its tasks"),
        }
    }

    /// Takes the executors' answers: how many tasks each of those asked really runs.
    pub(super) fn answered(&self, answers: &BTreeMap<String, usize>) -> Verdict {
        let lost = answers.values().any(|tasks| *tasks == 0);
        if lost {
            Verdict::Stuck("an executor does not run the tasks it was given")
        } else {
            Verdict::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(running: &[(&str, usize)], ended: usize, waiting: usize) -> Picture {
        let running = running
            .iter()
            .map(|(executor, tasks)| ((*executor).to_owned(), *tasks))
            .collect();
        Picture {
            running,
            ended,
            waiting,
        }
    }

    fn check(pictures: &[(u64, Picture)], heard: Option<u64>, expected: Verdict) {
        let mut watch = Watch::default();
        let mut verdict = Verdict::Fine;
        for (seconds, picture) in pictures {
            verdict = watch.look(
                picture.clone(),
                Duration::from_secs(*seconds),
                heard.map(Duration::from_secs),
            );
        }
        assert_eq!(verdict, expected);
    }

    #[test]
    fn a_job_that_changes_is_fine() {
        let pictures: Vec<_> = (0..100)
            .map(|n| (n, picture(&[("a", 1)], n as usize / 3, 0)))
            .collect();
        check(&pictures, None, Verdict::Fine);
    }

    #[test]
    fn long_tasks_are_asked_about() {
        let same = picture(&[("a", 2), ("b", 1)], 3, 4);
        check(&[(0, same.clone()), (3, same.clone())], Some(0), Verdict::Fine);
        check(
            &[(0, same.clone()), (4, same.clone()), (7, same.clone())],
            Some(0),
            Verdict::Fine,
        );
        check(
            &[(0, same.clone()), (4, same)],
            Some(0),
            Verdict::Ask(vec!["a".to_owned(), "b".to_owned()]),
        );
    }

    #[test]
    fn a_job_without_tasks_is_stuck() {
        let same = picture(&[], 3, 0);
        check(&[(0, same.clone()), (3, same.clone())], Some(0), Verdict::Fine);
        check(
            &[(0, same.clone()), (5, same)],
            Some(0),
            Verdict::Stuck("none of its tasks runs or waits"),
        );
    }

    #[test]
    fn waiting_for_room_is_no_fault_and_waiting_for_nobody_is() {
        let same = picture(&[], 0, 4);
        check(&[(0, same.clone()), (1000, same.clone())], Some(1), Verdict::Fine);
        check(&[(0, same.clone()), (14, same.clone())], None, Verdict::Fine);
        check(
            &[(0, same.clone()), (15, same)],
            None,
            Verdict::Stuck("no executor asks for its tasks"),
        );
    }

    #[test]
    fn a_task_that_its_executor_does_not_know_is_lost() {
        let answers = |b| BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), b)]);
        let watch = Watch::default();
        assert_eq!(watch.answered(&answers(2)), Verdict::Fine);
        assert!(matches!(watch.answered(&answers(0)), Verdict::Stuck(_)));
    }
}
