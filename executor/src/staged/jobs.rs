//! Which tasks run here, of which jobs; and when to ask for more.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Jobs that have ended are remembered, as a task of one may still be on its way.
const MAX_ENDED: usize = 1024;
/// How often work is asked for while there is some.
const PULSE: Duration = Duration::from_millis(20);
/// After the last sign of work it is asked for this often for a while, then once a second.
const PULSES: u32 = 100;

/// The tasks of this process.
#[derive(Debug)]
pub(crate) struct Jobs {
    state: Mutex<State>,
    poll_now: Arc<Notify>,
    /// Pulses left.
    pulses: watch::Sender<u32>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<String, Job>,
    ended: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Job {
    tasks: usize,
    end: CancellationToken,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            poll_now: Arc::default(),
            pulses: watch::Sender::new(PULSES),
        }
    }
}

/// A task that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct RunningTask {
    jobs: Arc<Jobs>,
    job: String,
    /// Cancelled when the job ends.
    pub(crate) end: CancellationToken,
}

impl Jobs {
    /// Enters a task. One of a job that has ended is cancelled from the start.
    pub(crate) fn begin(self: &Arc<Self>, job: &str) -> RunningTask {
        let end = {
            let mut state = self.state.lock();
            let ended = state.ended.iter().any(|ended| ended == job);
            let entry = state.running.entry(job.to_owned()).or_default();
            entry.tasks += 1;
            if ended {
                entry.end.cancel();
            }
            entry.end.clone()
        };
        self.wake();
        RunningTask {
            jobs: Arc::clone(self),
            job: job.to_owned(),
            end,
        }
    }

    /// Ends a job: its tasks stop, and later ones do not start.
    pub(crate) fn end(&self, job: &str) {
        let mut state = self.state.lock();
        if let Some(job) = state.running.get(job) {
            job.end.cancel();
        }
        if !state.ended.iter().any(|ended| ended == job) {
            if state.ended.len() >= MAX_ENDED {
                state.ended.pop_front();
            }
            state.ended.push_back(job.to_owned());
        }
    }

    /// How many tasks of a job run.
    pub(crate) fn tasks(&self, job: &str) -> usize {
        self.state.lock().running.get(job).map_or(0, |job| job.tasks)
    }

    /// Work is there, or may soon be.
    pub(crate) fn wake(&self) {
        self.pulses.send_replace(PULSES);
    }

    /// Notified whenever work is to be asked for.
    pub(crate) fn poll_now(&self) -> Arc<Notify> {
        Arc::clone(&self.poll_now)
    }

    /// Notifies [`Self::poll_now`] while there is work. An executor that nobody needs stays quiet.
    pub(crate) async fn keep_pulse(&self) {
        let mut pulses = self.pulses.subscribe();
        // The sender lives as long as `self`.
        while pulses.wait_for(|left| *left > 0).await.is_ok() {
            self.poll_now.notify_one();
            tokio::time::sleep(PULSE).await;
            let idle = self.state.lock().running.is_empty();
            self.pulses
                .send_modify(|left| *left = if idle { left.saturating_sub(1) } else { PULSES });
        }
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let mut state = self.jobs.state.lock();
        if let Some(job) = state.running.get_mut(&self.job) {
            job.tasks = job.tasks.saturating_sub(1);
            if job.tasks == 0 {
                state.running.remove(&self.job);
            }
        }
        drop(state);
        // How it went is to be told soon.
        self.jobs.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_stop_with_their_job_and_late_ones_never_start() {
        let jobs = Arc::new(Jobs::default());
        let (first, other) = (jobs.begin("a"), jobs.begin("b"));
        assert_eq!((jobs.tasks("a"), jobs.tasks("b"), jobs.tasks("c")), (1, 1, 0));
        jobs.end("a");
        assert!(first.end.is_cancelled());
        assert!(!other.end.is_cancelled());
        drop(first);
        assert_eq!(jobs.tasks("a"), 0);
        assert!(jobs.begin("a").end.is_cancelled());
        assert!(!jobs.begin("b").end.is_cancelled());
    }

    #[test]
    fn ended_jobs_are_forgotten_in_time() {
        let jobs = Arc::new(Jobs::default());
        for number in 0..=MAX_ENDED {
            jobs.end(&number.to_string());
        }
        assert_eq!(jobs.state.lock().ended.len(), MAX_ENDED);
        assert!(!jobs.begin("0").end.is_cancelled());
        assert!(jobs.begin("1").end.is_cancelled());
    }

    #[tokio::test]
    async fn the_pulse_stops_without_work_and_comes_back_with_it() {
        let jobs = Arc::new(Jobs::default());
        jobs.pulses.send_replace(2);
        let poll_now = jobs.poll_now();
        let beating = tokio::spawn({
            let jobs = Arc::clone(&jobs);
            async move { jobs.keep_pulse().await }
        });
        let beats = async |within: Duration| tokio::time::timeout(within, poll_now.notified()).await.is_ok();
        assert!(beats(Duration::from_secs(5)).await);
        jobs.pulses.subscribe().wait_for(|left| *left == 0).await.unwrap();
        // The last one may have been stored.
        beats(PULSE).await;
        assert!(!beats(PULSE * 5).await);
        jobs.wake();
        assert!(beats(Duration::from_secs(5)).await);
        beating.abort();
    }
}
