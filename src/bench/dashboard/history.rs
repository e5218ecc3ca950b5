//! What the system says of the refreshes: which were answered from caches, and what the others read. It
//! remembers few statements, so it is asked again and again.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watershed_core::Result;

use super::queries::TABLE;
use super::{is_refused, task_failed};
use crate::processes::{Ran, Session, all_ran};

/// A thousand statements are remembered: at 192 a second, what ended within five seconds.
const EVERY: Duration = Duration::from_millis(1_500);

/// Sums over all refreshes that were seen.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) seen: u64,
    pub(super) full_hits: u64,
    /// Not all of the answer, but parts of it.
    pub(super) partial_hits: u64,
    pub(super) bytes_cached: u64,
    pub(super) bytes_scanned: u64,
    pub(super) fragments_cached: u64,
    pub(super) fragments_run: u64,
    pub(super) decisions: BTreeMap<String, u64>,
}

impl History {
    pub(super) fn hit_share(&self) -> f64 {
        (self.full_hits + self.partial_hits) as f64 / self.seen as f64
    }

    pub(super) fn byte_share(&self) -> f64 {
        self.bytes_cached as f64 / (self.bytes_cached + self.bytes_scanned) as f64
    }

    fn add(&mut self, ran: &Ran) {
        let number = |value: i128| u64::try_from(value).unwrap_or_default();
        self.seen += 1;
        match (ran.is_full_hit(), ran.fragments_cached > 0) {
            (true, _) => self.full_hits += 1,
            (false, true) => self.partial_hits += 1,
            (false, false) => {}
        }
        self.bytes_cached += number(ran.bytes_cached);
        self.bytes_scanned += number(ran.bytes);
        self.fragments_cached += number(ran.fragments_cached);
        self.fragments_run += number(ran.fragments_run);
        *self.decisions.entry(ran.cache.clone()).or_default() += 1;
    }
}

/// Asks until it is ended.
pub(super) struct Watch {
    ended: CancellationToken,
    task: JoinHandle<Result<History>>,
}

impl Watch {
    pub(super) fn start(session: Session) -> Self {
        let ended = CancellationToken::new();
        let task = tokio::spawn({
            let ended = ended.clone();
            async move { watch(&session, &ended).await }
        });
        Self { ended, task }
    }

    pub(super) async fn end(self) -> Result<History> {
        self.ended.cancel();
        self.task.await.map_err(|error| task_failed(&error))?
    }
}

async fn watch(session: &Session, ended: &CancellationToken) -> Result<History> {
    let condition = format!(
        "state = 'finished' AND statement LIKE '%AS asked FROM {TABLE} %' \
         AND statement NOT LIKE '%system.queries%'"
    );
    // What ran before is not counted.
    let mut known: HashSet<String> = identities(&all_ran(session, &condition).await?);
    let mut history = History::default();
    loop {
        let last = ended.is_cancelled();
        let listed = match all_ran(session, &condition).await {
            Ok(listed) => listed,
            Err(error) if is_refused(&error) => {
                tokio::time::sleep(EVERY).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        for ran in listed.iter().filter(|ran| !known.contains(&ran.id)) {
            history.add(ran);
        }
        // What is not listed any more will not be again.
        known = identities(&listed);
        if last {
            return Ok(history);
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = ended.cancelled() => {}
        }
    }
}

fn identities(listed: &[Ran]) -> HashSet<String> {
    listed.iter().map(|ran| ran.id.clone()).collect()
}
