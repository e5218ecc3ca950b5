//! Events that have come in, and go on coming in: one after the other at a steady rate, each made of its number.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watershed_core::clock::{Clock, SystemClock};
use watershed_core::{Error, Result};

use super::DashboardOptions;
use super::queries::TABLE;
use super::{is_refused, task_failed};
use crate::processes::Session;
use crate::show;

/// From one commit to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Where events come from: number `n` happened `n / rate` seconds after the first.
#[derive(Debug, Clone)]
pub(super) struct Events {
    first: DateTime<Utc>,
    rate: u64,
    /// Events that were there when the others began to come.
    loaded: u64,
    folder: PathBuf,
}

impl Events {
    /// Makes the table and its history, a file in each shard for every minute.
    pub(super) async fn load(session: &Session, folder: &Path, options: &DashboardOptions) -> Result<Self> {
        let rate = options.events_per_second;
        let history = options.history * 60;
        let now = SystemClock::shared().now();
        let first = now - TimeDelta::seconds(i64::try_from(history).unwrap_or_default());
        let tables = folder.join("store/tables");
        let known = subfolders(&tables)?;
        session
            .update(&format!(
                "CREATE TABLE {TABLE} (user_id BIGINT, ts TIMESTAMP, edge STRING, status INT, bytes BIGINT, ms INT) \
                 CLUSTERED BY (user_id) SORTED BY (ts) INTO {} BUCKETS",
                options.shards
            ))
            .await?;
        let added: Vec<_> = subfolders(&tables)?
            .into_iter()
            .filter(|folder| !known.contains(folder))
            .collect();
        let [table] = added.as_slice() else {
            return Err(Error::internal(format!(
                "a table makes one folder, not {}",
                added.len()
            )));
        };
        let mut events = Self {
            first,
            rate,
            loaded: 0,
            folder: table.clone(),
        };
        let clock = SystemClock::shared();
        let all = history * rate;
        while events.loaded < all {
            let to = (events.loaded + 60 * rate).min(all);
            events.insert(session, events.loaded, to).await?;
            events.loaded = to;
        }
        show::line(format_args!(
            "{} events of {} minutes, loaded in {}.",
            show::grouped(all),
            options.history,
            show::duration(clock.elapsed())
        ));
        Ok(events)
    }

    /// Where the table's files lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Inserts events by their numbers, the last not included.
    async fn insert(&self, session: &Session, from: u64, to: u64) -> Result<()> {
        let first = self.first.timestamp_micros();
        let inserted = session
            .update(&format!(
                "INSERT INTO {TABLE} (user_id, ts, edge, status, bytes, ms)
                 SELECT n * 7919 % 100003, to_timestamp_micros({first} + n * 1000000 / {}),
                   CASE n % 8 WHEN 0 THEN 'ams1' WHEN 1 THEN 'bom1' WHEN 2 THEN 'fra2' WHEN 3 THEN 'gru1'
                              WHEN 4 THEN 'iad3' WHEN 5 THEN 'nrt1' WHEN 6 THEN 'sjc2' ELSE 'syd1' END,
                   CASE WHEN n % 97 = 0 THEN 503 WHEN n % 31 = 0 THEN 404 WHEN n % 5 = 0 THEN 206 ELSE 200 END,
                   n * 104729 % 1000003, n * 15485863 % 499
                 FROM generate_series({from}, {}) AS s(n)",
                self.rate,
                to - 1
            ))
            .await?;
        match inserted.and_then(|count| u64::try_from(count).ok()) {
            Some(count) if count == to - from => Ok(()),
            other => Err(Error::internal(format!(
                "{other:?} events were inserted instead of {}",
                to - from
            ))),
        }
    }

    /// How many have happened by now.
    fn happened(&self, now: DateTime<Utc>) -> u64 {
        let micros = (now - self.first).num_microseconds().unwrap_or_default();
        u64::try_from(i128::from(micros) * i128::from(self.rate) / 1_000_000).unwrap_or_default()
    }
}

fn subfolders(path: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| super::super::io_error("list", path, &error);
    std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

/// Commits what has happened, every second. It catches up with what happened while it was late.
pub(super) struct Ingest {
    committed: Arc<AtomicU64>,
    ended: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Ingest {
    pub(super) fn start(session: Session, events: Events) -> Self {
        let (committed, ended) = (Arc::new(AtomicU64::new(events.loaded)), CancellationToken::new());
        let task = tokio::spawn({
            let (committed, ended) = (Arc::clone(&committed), ended.clone());
            async move { ingest(&session, &events, &committed, &ended).await }
        });
        Self {
            committed,
            ended,
            task,
        }
    }

    /// Events that are committed.
    pub(super) fn rows(&self) -> u64 {
        self.committed.load(Ordering::SeqCst)
    }

    pub(super) async fn end(self) -> Result<()> {
        self.ended.cancel();
        self.task.await.map_err(|error| task_failed(&error))?
    }
}

async fn ingest(
    session: &Session,
    events: &Events,
    committed: &AtomicU64,
    ended: &CancellationToken,
) -> Result<()> {
    let clock: Arc<dyn Clock> = SystemClock::shared();
    let mut due = clock.elapsed();
    while !ended.is_cancelled() {
        let (from, to) = (committed.load(Ordering::SeqCst), events.happened(clock.now()));
        if to > from {
            match events.insert(session, from, to).await {
                Ok(()) => committed.store(to, Ordering::SeqCst),
                // The next one takes these along.
                Err(error) if is_refused(&error) => {}
                Err(error) => return Err(error),
            }
        }
        due += EVERY;
        tokio::select! {
            () = tokio::time::sleep(due.saturating_sub(clock.elapsed())) => {}
            () = ended.cancelled() => {}
        }
    }
    Ok(())
}
