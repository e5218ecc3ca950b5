//! A partition read to its end: from its owner, from another executor if that one is lost, from two if the
//! first is slow.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use futures::StreamExt;
use tokio::time::Instant;
use watershed_core::id::{NodeId, ShardId};
use watershed_core::settings::{HEDGING, HOLD_BACK};
use watershed_core::{Error, SqlState, telemetry};
use watershed_storage::error::into_datafusion;

use super::exec::Surroundings;
use super::kept::{Copy, Copying};
use super::run::{Rows, Run};
use super::source::Source;
use crate::cluster::{Executor, Members};
use crate::dispatch::context::Counters;
use crate::dispatch::fault::{Fault, MAX_TRIES, exhausted, judge};
use crate::dispatch::release::HeldRows;

/// How long a partition waits for an executor when all are gone.
const EXECUTOR_WAIT: Duration = Duration::from_secs(1);

/// A partition that was read to its end.
pub(super) struct Arrived {
    pub(super) source: Source,
    /// Its rows, unless they were sent as they came.
    pub(super) held: Option<HeldRows>,
    pub(super) copy: Option<Copy>,
}

impl Arrived {
    fn of(source: Source, (held, copy): (Option<HeldRows>, Option<Copy>)) -> Self {
        Self { source, held, copy }
    }
}

/// Why a partition was not read to its end.
pub(super) enum Ended {
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
    /// Reads a partition to its end. If it is slow, another executor is asked for it, too: the first whole
    /// answer is taken, and the other let go.
    pub(super) async fn hedged(
        &self,
        partition: usize,
        source: Source,
        sender: &Rows,
    ) -> Result<Arrived, Ended> {
        let began = Instant::now();
        let statement = &self.surroundings.statement;
        let node = source.executor().node.clone();
        let first = self.fetch(partition, source, sender);
        if !self.holds() || !statement.settings.is_on(HEDGING) {
            return first.await;
        }
        tokio::pin!(first);
        let in_time = tokio::select! {
            biased;
            ended = &mut first => Some(ended),
            () = self.pace.slow(began) => None,
        };
        let ended = match in_time {
            Some(ended) => ended,
            None => match self.another(partition, &node)? {
                None => first.await,
                Some(second) => {
                    tracing::info!(%node, partition, statement = %statement.id, "partition is asked for twice");
                    Counters::add(&statement.counters.hedges, 1);
                    telemetry::HEDGES.inc();
                    self.race(first, second, sender, &node).await
                }
            },
        };
        if ended.is_ok() {
            self.pace.finished(began.elapsed());
        }
        ended
    }

    /// The first whole answer of two executors. What the second meets with is not the statement's, as long
    /// as the first still reads.
    async fn race(
        &self,
        mut first: Pin<&mut impl Future<Output = Result<Arrived, Ended>>>,
        source: Source,
        sender: &Rows,
        asked_first: &NodeId,
    ) -> Result<Arrived, Ended> {
        let rows = {
            let mut delivered = 0;
            let second = self.read(&source, sender, &mut delivered);
            tokio::pin!(second);
            tokio::select! {
                biased;
                ended = &mut first => match ended {
                    Err(Ended::Lost(error)) => second.await.map_err(|_| Ended::Lost(error))?,
                    ended => return ended,
                },
                rows = &mut second => match rows {
                    Ok(rows) => {
                        self.surroundings.membership.was_slow(asked_first);
                        rows
                    }
                    Err(_) => return first.await,
                },
            }
        };
        Ok(Arrived::of(source, rows))
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
        Ok(Source::all_of(executor, plan, 1, &self.context, &self.ledger).next())
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
            source.fail();
            let node = &source.executor().node;
            tracing::info!(%node, partition, %error, "partition is read from another executor");
            statement.suspect(source.executor(), &self.surroundings.membership);
            let last = statement.last_try(&self.surroundings.membership).await;
            last.map_err(Ended::Lost)?;
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
        match Source::all_of(&executor, plan, 1, &self.context, &self.ledger).next() {
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
            rows = source.open() => rows?,
            () = source.failed() => return Err(lost()),
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
                () = source.failed() => return Err(lost()),
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
}

/// The executor that a partition belongs to: its shard's owner, or the next in turn where it has no
/// shard.
pub(super) fn choose<'a>(
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
