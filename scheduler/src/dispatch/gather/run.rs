//! One execution of a gather node: which partitions run where, which have come, and what an answer lacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;
use watershed_core::Error;
use watershed_core::id::NodeId;
use watershed_core::partial::Partial;
use watershed_core::telemetry;
use watershed_storage::error::into_datafusion;

use super::exec::Surroundings;
use super::fetch::{Ended, choose, no_executor};
use super::fragment::Fragment;
use super::hedge::Pace;
use super::kept::{Copy, Key};
use super::source::{FragmentReport, Ledger, Source};
use super::tally::Tally;
use crate::cluster::Members;
use crate::dispatch::context::Counters;
use crate::dispatch::measure::REPORT_WAIT;
use crate::dispatch::partial;

type Kept = Arc<Vec<RecordBatch>>;
pub(super) type Rows = Sender<Result<RecordBatch>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) fragment: Arc<Fragment>,
    pub(super) surroundings: Surroundings,
    pub(super) context: Arc<TaskContext>,
    /// Where each partition is had from first, until it is.
    origins: Mutex<Vec<Option<Origin>>>,
    pub(super) ledger: Ledger,
    tally: Tally,
    pub(super) pace: Pace,
    /// Names of the partitions' rows, if they are of use.
    pub(super) keys: Option<Vec<Key>>,
    /// In a run that may lack partitions, copies of those that have finished.
    pub(super) copies: Option<Mutex<Vec<Option<Finished>>>>,
}

#[derive(Debug)]
enum Origin {
    Executor(Source),
    /// It finished for an earlier answer.
    Kept(Kept),
}

/// The rows of a partition that has finished, in case the next try needs them.
#[derive(Debug)]
pub(super) enum Finished {
    Copied(Copy),
    Kept(Kept),
}

impl Run {
    pub(super) fn begin(
        fragment: Arc<Fragment>,
        surroundings: Surroundings,
        context: Arc<TaskContext>,
        reports: Arc<Mutex<Vec<FragmentReport>>>,
        may_lack: bool,
    ) -> Result<Self> {
        let (statement, kept) = (&surroundings.statement, &surroundings.kept);
        let partitions = fragment.partitions();
        let keys = (may_lack || !kept.is_empty())
            .then(|| Key::all_of(&fragment, &statement.settings))
            .flatten();
        let mut origins: Vec<Option<Origin>> = match &keys {
            Some(keys) => keys.iter().map(|key| kept.get(key).map(Origin::Kept)).collect(),
            None => Vec::new(),
        };
        origins.resize_with(partitions, || None);
        let members = statement.members(&surroundings.membership);
        let ledger = Ledger {
            counters: Arc::clone(&statement.counters),
            reports,
        };
        // A shard that counts by itself is not cut short by what another one found.
        let apart = may_lack && fragment.shares_bounds();
        for (node, partitions) in place(&fragment, &members, &origins)? {
            let Some(executor) = members.executors.get(&node) else {
                continue;
            };
            let tasks = partitions.chunks(if apart { 1 } else { partitions.len() });
            for partitions in tasks {
                let plan = fragment.restricted(partitions)?;
                let sources = Source::all_of(executor, plan, partitions.len(), &context, &ledger);
                for (partition, source) in partitions.iter().zip(sources) {
                    if let Some(origin) = origins.get_mut(*partition) {
                        *origin = Some(Origin::Executor(source));
                    }
                }
            }
        }
        if origins.iter().any(Option::is_none) {
            return internal_err!("a partition was given to no executor");
        }
        Counters::add(&statement.counters.total_shards, partitions as u64);
        let run: usize = origins
            .iter()
            .map(|origin| usize::from(matches!(origin, Some(Origin::Executor(_)))))
            .sum();
        Ok(Self {
            pace: Pace::new(run),
            tally: Tally::new(partitions, statement.terms.least),
            copies: may_lack.then(|| Mutex::new(std::iter::repeat_with(|| None).take(partitions).collect())),
            fragment,
            surroundings,
            context,
            origins: Mutex::new(origins),
            ledger,
            keys,
        })
    }

    /// Sends the rows of a partition to `sender`.
    pub(super) async fn gather(&self, partition: usize, sender: Rows) -> Result<()> {
        let origin = self.origins.lock().get_mut(partition).and_then(Option::take);
        let source = match origin {
            Some(Origin::Executor(source)) => source,
            Some(Origin::Kept(rows)) => return self.reuse(partition, &rows, &sender).await,
            None => return internal_err!("partition {partition} is not there, or was asked for twice"),
        };
        let due = async {
            match self.copies {
                Some(_) => self.surroundings.statement.terms.due().await,
                None => std::future::pending().await,
            }
        };
        let fetched = tokio::select! {
            biased;
            fetched = self.hedged(partition, source, &sender) => fetched,
            () = due => Err(Ended::Late),
        };
        let arrived = match fetched {
            Ok(arrived) => arrived,
            Err(Ended::Unwanted) => return Ok(()),
            Err(Ended::Failed(error)) => return Err(error),
            Err(Ended::Lost(error)) => return self.lose(partition, error),
            Err(Ended::Late) => return self.close(),
        };
        self.surroundings
            .membership
            .succeeded(&arrived.source.executor().node);
        if !self.finish(partition, arrived.copy.map(Finished::Copied)) {
            return Ok(());
        }
        if let Some(held) = arrived.held {
            let mut released = held.release()?;
            while let Some(batch) = released.next().await {
                if sender.send(Ok(batch?)).await.is_err() {
                    return Ok(());
                }
            }
        }
        self.leave(arrived.source).await;
        Ok(())
    }

    /// Sends rows that are there already.
    async fn reuse(&self, partition: usize, rows: &Kept, sender: &Rows) -> Result<()> {
        Counters::add(&self.surroundings.statement.counters.reused_shards, 1);
        self.finish(partition, Some(Finished::Kept(Arc::clone(rows))));
        for batch in rows.iter() {
            if sender.send(Ok(batch.clone())).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Counts a partition whose rows are there. `false` if the answer goes without them.
    fn finish(&self, partition: usize, copy: Option<Finished>) -> bool {
        if !self.tally.finish(partition) {
            return false;
        }
        if let Some(copies) = &self.copies
            && let Some(place) = copies.lock().get_mut(partition)
        {
            *place = copy;
        }
        Counters::add(&self.surroundings.statement.counters.completed_shards, 1);
        self.settle();
        true
    }

    /// Goes on without a partition that no executor gave, if the answer may.
    fn lose(&self, partition: usize, error: Error) -> Result<()> {
        if self.copies.is_none() || self.tally.lose(partition).is_err() {
            return Err(into_datafusion(error));
        }
        tracing::warn!(partition, %error, statement = %self.surroundings.statement.id, "partition is given up");
        self.settle();
        Ok(())
    }

    /// Goes on without what has not finished by now.
    fn close(&self) -> Result<()> {
        let verdict = self.tally.close();
        self.settle();
        let (Err(few), Some(deadline)) = (verdict, self.surroundings.statement.terms.deadline) else {
            return Ok(());
        };
        Err(into_datafusion(partial::too_few(deadline, few.left, few.total)))
    }

    /// Once every partition has finished or is given up: keeps those that the next try needs, and says
    /// which are missing, before the last stream of them ends.
    fn settle(&self) {
        let Some(missing) = self.tally.settled() else {
            return;
        };
        let kept = &self.surroundings.kept;
        if missing.is_empty() {
            kept.remove(self.keys.iter().flatten());
            return;
        }
        if let (Some(copies), Some(keys)) = (&self.copies, &self.keys) {
            for (key, copy) in keys.iter().zip(copies.lock().drain(..)) {
                match copy {
                    Some(Finished::Copied(copy)) => kept.put(key.clone(), copy.into_rows()),
                    Some(Finished::Kept(rows)) => kept.put(key.clone(), rows),
                    None => {}
                }
            }
        }
        telemetry::PARTIAL_ANSWERS.inc();
        let total = self.fragment.partitions();
        self.surroundings.statement.note.set(Partial {
            completed_shards: (total - missing.len()) as u64,
            total_shards: total as u64,
            missing_shards: missing
                .into_iter()
                .map(|partition| self.fragment.missing(partition))
                .collect(),
        });
    }

    /// Lets go of a source that was read to its end. Its figures may come after an answer that is due.
    async fn leave(&self, source: Source) {
        tokio::select! {
            biased;
            () = source.leave() => {}
            () = tokio::time::sleep(REPORT_WAIT) => {}
            () = self.surroundings.statement.terms.due() => {}
        }
    }
}

/// The partitions that have to run, by the executor that each is given to.
fn place(
    fragment: &Fragment,
    members: &Members,
    origins: &[Option<Origin>],
) -> Result<BTreeMap<NodeId, Vec<usize>>> {
    let mut by_node: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    let owners = members.ring.place(fragment.table_shards());
    for (partition, _) in origins.iter().enumerate().filter(|(_, origin)| origin.is_none()) {
        let executor = choose(members, &owners, partition, fragment.shard(partition))
            .ok_or_else(|| into_datafusion(no_executor()))?;
        by_node.entry(executor.node.clone()).or_default().push(partition);
    }
    Ok(by_node)
}
