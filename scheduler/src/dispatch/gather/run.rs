//! One execution of a gather node: each partition from whichever executor gives it, through the loss of
//! executors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::TaskContext;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use watershed_core::id::{NodeId, ShardId};
use watershed_core::partial::Partial;
use watershed_core::settings::{HEDGING, HOLD_BACK};
use watershed_core::{Error, SqlState, telemetry};
use watershed_storage::error::into_datafusion;

use super::exec::Surroundings;
use super::fragment::Fragment;
use super::hedge::Pace;
use super::kept::{Copy, Copying, Key};
use super::source::{FragmentReport, Source};
use super::tally::Tally;
use crate::cluster::{Executor, Members};
use crate::dispatch::context::Counters;
use crate::dispatch::fault::{Fault, MAX_TRIES, exhausted, judge};
use crate::dispatch::partial;
use crate::dispatch::release::HeldRows;

/// How long a partition waits for an executor when all are gone.
const EXECUTOR_WAIT: Duration = Duration::from_secs(1);

type Kept = Arc<Vec<RecordBatch>>;
type Rows = Sender<Result<RecordBatch>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Run {
    fragment: Arc<Fragment>,
    surroundings: Surroundings,
    context: Arc<TaskContext>,
    /// Where each partition is had from first.
    origins: Vec<Origin>,
    reports: Arc<Mutex<Vec<FragmentReport>>>,
    tally: Tally,
    pace: Pace,
    /// Names of the partitions' rows, if they are of use.
    keys: Option<Vec<Key>>,
    /// In a run that may lack partitions, copies of those that have finished.
    copies: Option<Mutex<Vec<Option<Finished>>>>,
}

#[derive(Debug)]
enum Origin {
    Executor(Source),
    /// It finished for an earlier answer.
    Kept(Kept),
}

/// The rows of a partition that has finished, in case the next try needs them.
#[derive(Debug)]
enum Finished {
    Copied(Copy),
    Kept(Kept),
}

/// A partition that was read to its end.
struct Arrived {
    source: Source,
    /// Its rows, unless they were sent as they came.
    held: Option<HeldRows>,
    copy: Option<Copy>,
}

impl Arrived {
    fn of(source: Source, (held, copy): (Option<HeldRows>, Option<Copy>)) -> Self {
        Self { source, held, copy }
    }
}

/// Why a partition was not read to its end.
enum Ended {
    /// Whoever wanted the rows has gone.
    Unwanted,
    Failed(DataFusionError),
    /// Executors failed it until there was nothing left to try.
    Lost(Error),
    /// The answer is due.
    Late,
}

impl From<DataFusionError> for Ended {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error)
    }
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
        for (node, partitions) in place(&fragment, &members, &origins)? {
            let Some(executor) = members.executors.get(&node) else {
                continue;
            };
            let plan = fragment.restricted(&partitions)?;
            let sources = Source::all_of(executor, plan, partitions.len());
            for (partition, source) in partitions.into_iter().zip(sources) {
                if let Some(origin) = origins.get_mut(partition) {
                    *origin = Some(Origin::Executor(source));
                }
            }
        }
        let Some(origins) = origins.into_iter().collect::<Option<Vec<_>>>() else {
            return internal_err!("a partition was given to no executor");
        };
        Counters::add(&statement.counters.total_shards, partitions as u64);
        let run: usize = origins
            .iter()
            .map(|origin| usize::from(matches!(origin, Origin::Executor(_))))
            .sum();
        Ok(Self {
            pace: Pace::new(run),
            tally: Tally::new(partitions, statement.terms.least),
            copies: may_lack.then(|| Mutex::new(std::iter::repeat_with(|| None).take(partitions).collect())),
            fragment,
            surroundings,
            context,
            origins,
            reports,
            keys,
        })
    }

    /// Sends the rows of a partition to `sender`.
    pub(super) async fn gather(&self, partition: usize, sender: Rows) -> Result<()> {
        let source = match self.origins.get(partition) {
            Some(Origin::Executor(source)) => source.clone(),
            Some(Origin::Kept(rows)) => return self.reuse(partition, rows, &sender).await,
            None => return internal_err!("partition {partition} of {} was asked for", self.origins.len()),
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
        self.leave(&arrived.source).await;
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

    /// Reads a partition to its end. If it is slow, another executor is asked for it, too: the first whole
    /// answer is taken, and the other let go.
    async fn hedged(&self, partition: usize, source: Source, sender: &Rows) -> Result<Arrived, Ended> {
        let began = Instant::now();
        let statement = &self.surroundings.statement;
        let node = source.executor().node.clone();
        let first = self.fetch(partition, source, sender);
        if !self.holds() || !statement.settings.is_on(HEDGING) {
            return first.await;
        }
        tokio::pin!(first);
        let ended = tokio::select! {
            biased;
            ended = &mut first => Some(ended),
            () = self.pace.slow(began) => None,
        };
        let ended = match (ended, self.another(partition, &node)?) {
            (Some(ended), _) => ended,
            (None, None) => first.await,
            (None, Some(source)) => {
                tracing::info!(%node, partition, statement = %statement.id, "partition is asked for twice");
                Counters::add(&statement.counters.hedges, 1);
                telemetry::HEDGES.inc();
                let mut delivered = 0;
                let second = self.read(&source, sender, &mut delivered);
                tokio::pin!(second);
                tokio::select! {
                    biased;
                    ended = &mut first => match ended {
                        Err(Ended::Lost(_)) => second.await.map(|rows| Arrived::of(source.clone(), rows)).or(ended),
                        ended => ended,
                    },
                    rows = &mut second => match rows {
                        Ok(rows) => {
                            self.surroundings.membership.was_slow(&node);
                            Ok(Arrived::of(source.clone(), rows))
                        }
                        Err(_) => first.await,
                    },
                }
            }
        };
        if ended.is_ok() {
            self.pace.finished(began.elapsed());
        }
        ended
    }

    /// The partition as a task of its own on an executor that was not asked yet, if there is one.
    fn another(&self, partition: usize, asked: &NodeId) -> Result<Option<Source>> {
        let Surroundings {
            membership,
            statement,
            ..
        } = &self.surroundings;
        let members = statement.members(membership).without(std::slice::from_ref(asked));
        let owners = members.ring.place(self.fragment.table_shards());
        let shard = self.fragment.shard(partition);
        let Some(executor) = choose(&members, &owners, partition, shard) else {
            return Ok(None);
        };
        let plan = self.fragment.restricted(&[partition])?;
        Ok(Source::all_of(executor, plan, 1).next())
    }

    /// Whether no row of a partition is let go before the last of them is there.
    fn holds(&self) -> bool {
        self.copies.is_some() || !self.fragment.is_replayable()
    }

    /// Reads a partition to its end, from one executor after the other.
    async fn fetch(&self, partition: usize, mut source: Source, sender: &Rows) -> Result<Arrived, Ended> {
        let statement = &self.surroundings.statement;
        let mut delivered = 0;
        let mut tries = 1;
        loop {
            let error = match self.read(&source, sender, &mut delivered).await {
                Ok(rows) => return Ok(Arrived::of(source, rows)),
                Err(Ended::Failed(error)) => error,
                Err(ended) => return Err(ended),
            };
            let error = match judge(error) {
                Fault::Statement(error) => return Err(Ended::Failed(into_datafusion(error))),
                Fault::Executor(error) => error,
            };
            let node = &source.executor().node;
            tracing::info!(%node, partition, %error, "partition is read from another executor");
            statement.suspect(node, &self.surroundings.membership);
            if tries >= MAX_TRIES {
                return Err(Ended::Lost(exhausted(&error)));
            }
            tries += 1;
            Counters::add(&statement.counters.retries, 1);
            telemetry::RETRIES.inc();
            source = self.elsewhere(partition, tries, &error).await?;
        }
    }

    /// The same partition as a task of its own on another executor.
    async fn elsewhere(
        &self,
        partition: usize,
        tries: u32,
        error: &DataFusionError,
    ) -> Result<Source, Ended> {
        let Surroundings {
            membership,
            statement,
            ..
        } = &self.surroundings;
        let mut changes = membership.subscribe();
        let shard = self.fragment.shard(partition);
        let executor = loop {
            let members = statement.members(membership);
            let owners = members.ring.place(self.fragment.table_shards());
            if let Some(executor) = choose(&members, &owners, partition + tries as usize, shard) {
                break executor.clone();
            }
            match tokio::time::timeout(EXECUTOR_WAIT, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(Ended::Lost(exhausted(error))),
            }
        };
        let plan = self.fragment.restricted(&[partition])?;
        match Source::all_of(&executor, plan, 1).next() {
            Some(source) => Ok(source),
            None => Err(Ended::Lost(exhausted(error))),
        }
    }

    /// Reads a partition from one executor. Rows that cannot be given twice, and rows of an answer that
    /// counts whole shards alone, are held back until the last of them is there.
    async fn read(
        &self,
        source: &Source,
        sender: &Rows,
        delivered: &mut u64,
    ) -> Result<(Option<HeldRows>, Option<Copy>), Ended> {
        let executor = source.executor();
        let lost = || {
            Ended::Failed(into_datafusion(Error::new(
                SqlState::CannotConnectNow,
                format!("executor {} is gone", executor.node),
            )))
        };
        let mut rows = tokio::select! {
            rows = source.open(&self.context) => rows?,
            () = executor.gone.cancelled() => return Err(lost()),
            () = sender.closed() => return Err(Ended::Unwanted),
        };
        let mut copy = match (&self.copies, &self.keys) {
            (Some(_), Some(_)) => Some(self.surroundings.kept.copying()),
            _ => None,
        };
        let mut held = self.holds().then(|| self.hold());
        let mut to_skip = *delivered;
        loop {
            let next = tokio::select! {
                biased;
                next = rows.next() => next,
                () = executor.gone.cancelled() => return Err(lost()),
                () = sender.closed() => return Err(Ended::Unwanted),
            };
            let Some(batch) = next.transpose()? else { break };
            match &mut held {
                Some(held) => {
                    if let Some(copy) = &mut copy {
                        copy.push(&batch);
                    }
                    held.push(batch)?;
                }
                None => {
                    let Some(batch) = skip(batch, &mut to_skip) else {
                        continue;
                    };
                    let count = batch.num_rows() as u64;
                    sender.send(Ok(batch)).await.map_err(|_| Ended::Unwanted)?;
                    *delivered += count;
                }
            }
        }
        Ok((held, copy.and_then(Copying::end)))
    }

    fn hold(&self) -> HeldRows {
        let limit =
            self.surroundings.statement.settings.number(HOLD_BACK) / self.fragment.partitions().max(1);
        HeldRows::new(
            self.fragment.plan().schema(),
            Arc::clone(&self.context.runtime_env()),
            limit,
        )
    }

    /// Lets go of a source that was read to its end, and notes what its executor did. An answer that is
    /// due does not wait for that.
    async fn leave(&self, source: &Source) {
        let statement = &self.surroundings.statement;
        let report = tokio::select! {
            biased;
            report = source.close() => report,
            () = statement.terms.due() => None,
        };
        if let Some(report) = report {
            Counters::add(&statement.counters.bytes_scanned, report.task.bytes_scanned);
            Counters::add(&statement.counters.rows_scanned, report.task.rows_scanned);
            Counters::add(&statement.counters.fragments_cached, report.task.fragments_cached);
            Counters::add(&statement.counters.fragments_run, report.task.fragments_run);
            Counters::add(&statement.counters.bytes_cached, report.task.bytes_cached);
            self.reports.lock().push(report);
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

/// The executor that a partition belongs to: its shard's owner, or the next in turn where it has no
/// shard.
fn choose<'a>(
    members: &'a Members,
    owners: &[&'a NodeId],
    partition: usize,
    shard: Option<ShardId>,
) -> Option<&'a Executor> {
    let nodes = members.ring.nodes();
    let node = match shard.and_then(|shard| owners.get(shard as usize).copied()) {
        Some(owner) => owner,
        None => nodes.get(partition.checked_rem(nodes.len())?)?,
    };
    members.executors.get(node)
}

pub(crate) fn no_executor() -> Error {
    Error::new(SqlState::CannotConnectNow, "no executor is alive")
        .with_hint("Start one with `watershed executor`, or SET watershed.execution = 'local'.")
}

/// The batch without the first `count` rows still to skip.
fn skip(batch: RecordBatch, count: &mut u64) -> Option<RecordBatch> {
    let rows = batch.num_rows();
    let skipped = usize::try_from(*count).unwrap_or(usize::MAX).min(rows);
    *count -= skipped as u64;
    (skipped < rows).then(|| batch.slice(skipped, rows - skipped))
}
