//! What the object store holds of the catalog: its records, snapshots that stand for the oldest of them, and the number of
//! the newest.
//!
//! Records are verified by their numbers, which have no gaps: one that is missing is an error, wherever it was, and no number
//! is used twice. After every 256 records the whole catalog is written as a snapshot, so that a start reads few records, and
//! those before it are removed. A process that has not looked for long may need one that is removed; it finds that out, since
//! the record it read last is removed as well, and goes on from the snapshot.

use std::pin::pin;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use futures::StreamExt;
use serde_json::value::RawValue;
use watershed_core::error::{Error, Result, SqlState};
use watershed_core::store::StoreRoot;
use watershed_storage::log::{Append, Listed, SequencedLog};

use super::model::Catalog;
use super::record::{Change, Record, Snapshot};

/// The log's folder below the root.
const FOLDER: &str = "catalog";
/// The folder of snapshots, each under the number of the last record in it.
const SNAPSHOTS: &str = "catalog/snapshots";
/// Records after which there is a snapshot.
const SNAPSHOT_EVERY: u64 = 256;
/// Snapshots that are retained: should the newest be damaged, the one before it and the records since stand for it.
const SNAPSHOTS_KEPT: usize = 2;
/// What a snapshot stands for is removed when it is older. Processes look for what they have missed far more often.
const RETENTION: TimeDelta = TimeDelta::hours(1);
/// Records that one snapshot removes at most.
const REMOVED_MAX: usize = 10_000;

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub struct History {
    records: SequencedLog,
    snapshots: SequencedLog,
}

/// Whether the records go on where a process has stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Current,
    /// They were removed: only a snapshot goes on.
    Behind,
}

/// What an inspection has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The number of the newest record.
    pub newest: u64,
    /// The last record in the newest snapshot that can be read; 0 if there is none.
    pub snapshot: u64,
    /// The newest snapshot that cannot be read, if it is newer than that one.
    pub damaged: Option<(u64, Error)>,
    /// The records after the snapshot that are missing or damaged.
    pub problems: Vec<(u64, Error)>,
}

impl History {
    pub fn new(root: &StoreRoot) -> Self {
        Self::over(
            SequencedLog::new(root, FOLDER),
            SequencedLog::new(root, SNAPSHOTS),
        )
    }

    /// The same in any two folders.
    pub fn over(records: SequencedLog, snapshots: SequencedLog) -> Self {
        Self { records, snapshots }
    }

    /// The newest catalog, and the version of the snapshot that it was made from.
    pub(super) async fn load(&self) -> Result<(Catalog, u64)> {
        let Start {
            mut catalog,
            newest,
            records,
            damaged,
        } = self.start().await?;
        let base = catalog.version;
        if let Some(missing) = gap(&records, base, newest) {
            return Err(damaged.map_or_else(|| self.records.missing(missing), |(_, error)| error));
        }
        let mut records = pin!(self.records.read_all::<Box<RawValue>>(base + 1..newest + 1));
        while let Some(found) = records.next().await {
            let (number, text) = found?;
            catalog = catalog.with(&Record::decode(number, text.get().as_bytes())?.changes);
        }
        Ok((catalog, base))
    }

    /// What there is to start from: the newest snapshot that can be read, and a listing of all records.
    async fn start(&self) -> Result<Start> {
        let (snapshots, noted) = futures::try_join!(self.snapshots.list(0), self.records.noted_newest())?;
        // Last, so that it has all records whose number was noted, and those after the snapshots.
        let records = self.records.list(0).await?;
        let last = |listed: &[Listed]| listed.last().map_or(0, |last| last.number);
        let mut start = Start {
            catalog: Catalog::empty(),
            newest: last(&records).max(last(&snapshots)).max(noted),
            records,
            damaged: None,
        };
        for snapshot in snapshots.iter().rev() {
            match self.snapshot(snapshot.number).await {
                Ok(Some(catalog)) => {
                    start.catalog = catalog;
                    break;
                }
                Ok(None) => {}
                Err(error) if error.code() == SqlState::DataCorrupted => {
                    tracing::warn!(%error, "a snapshot of the catalog cannot be read; records stand for it");
                    start.damaged.get_or_insert((snapshot.number, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(start)
    }

    async fn snapshot(&self, version: u64) -> Result<Option<Catalog>> {
        let Some(found) = self.snapshots.read::<Snapshot<Box<RawValue>>>(version).await? else {
            return Ok(None);
        };
        let snapshot = Snapshot {
            invalidations: found.invalidations,
            record: Record::decode(version, found.record.get().as_bytes())?,
        };
        Ok(Some(Catalog::of_snapshot(version, &snapshot)))
    }

    /// The catalog with the records that others have added since.
    pub(super) async fn follow(&self, mut catalog: Arc<Catalog>) -> Result<Arc<Catalog>> {
        let mut records = pin!(self.records.read_from::<Box<RawValue>>(catalog.version + 1));
        while let Some(found) = records.next().await {
            let (number, text) = found?;
            let record = Record::decode(number, text.get().as_bytes())?;
            catalog = Arc::new(catalog.with(&record.changes));
        }
        Ok(catalog)
    }

    /// Whether the records go on from a version. An error if one is missing.
    pub(super) async fn standing(&self, version: u64) -> Result<Standing> {
        let before = version.saturating_sub(1);
        let listed = self.records.list(before).await?;
        let newest = listed.last().map_or(version, |last| last.number.max(version));
        let Some(missing) = gap(&listed, before, newest).filter(|_| version > 0) else {
            return Ok(Standing::Current);
        };
        let snapshots = self.snapshots.list(before).await?;
        if snapshots.iter().any(|snapshot| snapshot.number > version) {
            return Ok(Standing::Behind);
        }
        let stands = missing == version && snapshots.iter().any(|snapshot| snapshot.number == version);
        let missing = match stands {
            true => gap(&listed, version, newest),
            false => Some(missing),
        };
        let Some(missing) = missing else {
            return Ok(Standing::Current);
        };
        // A listing may miss what is written meanwhile.
        match self.records.read::<Box<RawValue>>(missing).await {
            Ok(None) => Err(self.records.missing(missing)),
            Ok(Some(_)) => Ok(Standing::Current),
            Err(error) => Err(error),
        }
    }

    /// Appends the record after a version of the catalog, unless there is one. The version is the newest by its standing.
    pub(super) async fn append(&self, catalog: &Catalog, changes: Vec<Change>) -> Result<Option<Catalog>> {
        let record = Record::new(changes);
        let number = catalog.version + 1;
        match self.records.append_if_next(number, &record).await? {
            Append::Conflict => Ok(None),
            Append::Appended => {
                // The record is there, whatever becomes of its number.
                if let Err(error) = self.records.note_newest(number).await {
                    tracing::warn!(%error, "the number of the newest catalog record cannot be noted");
                }
                Ok(Some(catalog.with(&record.changes)))
            }
        }
    }

    /// Writes a snapshot where enough records have come since the last one, and removes what two snapshots stand for. Gives
    /// the version of the newest.
    pub(super) async fn compact(&self, catalog: &Catalog) -> Result<u64> {
        let snapshots = self.snapshots.list(0).await?;
        let last = snapshots.last().map_or(0, |last| last.number);
        if !Self::is_due(catalog, last) {
            return Ok(last);
        }
        self.write_snapshot(catalog, RETENTION).await?;
        Ok(catalog.version)
    }

    /// Whether enough records have come since a snapshot.
    pub(super) fn is_due(catalog: &Catalog, snapshot: u64) -> bool {
        catalog.version.saturating_sub(snapshot) >= SNAPSHOT_EVERY
    }

    pub(super) async fn write_snapshot(&self, catalog: &Catalog, retention: TimeDelta) -> Result<()> {
        self.snapshots
            .append_if_next(catalog.version, &catalog.snapshot())
            .await?;
        let snapshots = self.snapshots.list(0).await?;
        let Some(oldest) = self.oldest_needed(&snapshots).await? else {
            return Ok(());
        };
        let until = Utc::now() - retention;
        let old = |listed: &&Listed| listed.written_at <= until;
        let records = self.records.list(0).await?;
        let records = records.iter().take_while(|record| record.number <= oldest);
        let records: Vec<u64> = records
            .filter(old)
            .take(REMOVED_MAX)
            .map(|record| record.number)
            .collect();
        // What stands in the place of the first is as old as its removal.
        self.records.remove(records.into_iter()).await?;
        let snapshots = snapshots.iter().take_while(|snapshot| snapshot.number < oldest);
        let snapshots: Vec<u64> = snapshots.filter(old).map(|snapshot| snapshot.number).collect();
        self.snapshots.remove(snapshots.into_iter()).await
    }

    /// The oldest of the newest snapshots that can be read, which are retained. None while there are fewer.
    async fn oldest_needed(&self, snapshots: &[Listed]) -> Result<Option<u64>> {
        let mut readable = 0;
        for snapshot in snapshots.iter().rev() {
            match self.snapshot(snapshot.number).await {
                Ok(Some(_)) => readable += 1,
                Ok(None) => {}
                Err(error) if error.code() == SqlState::DataCorrupted => {
                    tracing::warn!(%error, "a snapshot of the catalog cannot be read; records stand for it");
                }
                Err(error) => return Err(error),
            }
            if readable == SNAPSHOTS_KEPT {
                return Ok(Some(snapshot.number));
            }
        }
        Ok(None)
    }

    /// Looks at every record that a start would read.
    pub async fn inspect(&self) -> Result<Findings> {
        let start = self.start().await?;
        let snapshot = start.catalog.version;
        let mut problems = Vec::new();
        // Of what a damaged snapshot stands for, records were removed on purpose.
        let removed = start.damaged.as_ref();
        let removed = removed.and_then(|(damaged, _)| gap(&start.records, snapshot, *damaged));
        if let Some(number) = removed {
            problems.push((number, self.records.missing(number)));
        }
        let unread = if removed.is_some() { start.newest } else { snapshot };
        for number in unread + 1..start.newest + 1 {
            let read = match self.records.read::<Box<RawValue>>(number).await {
                Ok(Some(text)) => Record::decode(number, text.get().as_bytes()).map(drop),
                Ok(None) => Err(self.records.missing(number)),
                Err(error) => Err(error),
            };
            match read {
                Ok(()) => {}
                Err(error) if error.code() == SqlState::DataCorrupted => problems.push((number, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(Findings {
            newest: start.newest,
            snapshot,
            damaged: start.damaged,
            problems,
        })
    }

    /// Puts a record without changes in the place of one that is missing or damaged, so that the others can be read.
    pub async fn give_up(&self, number: u64) -> Result<()> {
        self.records.replace(number, &Record::new(Vec::new())).await
    }
}

struct Start {
    catalog: Catalog,
    newest: u64,
    records: Vec<Listed>,
    /// The newest snapshot that cannot be read.
    damaged: Option<(u64, Error)>,
}

/// The first number above `base`, up to `newest`, that is not listed.
fn gap(listed: &[Listed], base: u64, newest: u64) -> Option<u64> {
    let above = listed.iter().filter(|listed| listed.number > base);
    let mut expected = base + 1;
    for listed in above {
        if listed.number != expected {
            return Some(expected);
        }
        expected += 1;
    }
    (expected <= newest).then_some(expected)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::prefix::PrefixStore;
    use object_store::throttle::{ThrottleConfig, ThrottledStore};
    use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

    use super::super::{Op, store::CatalogStore};
    use super::*;

    fn over(store: &Arc<dyn ObjectStore>) -> History {
        let folder = |name: &str| {
            let store = PrefixStore::new(Arc::clone(store), name);
            SequencedLog::over(Arc::new(store), format!("memory:///{name}"))
        };
        History::over(folder(FOLDER), folder(SNAPSHOTS))
    }

    fn memory() -> Arc<dyn ObjectStore> {
        Arc::new(InMemory::new())
    }

    fn path(number: u64) -> Path {
        Path::from(format!("{FOLDER}/{number:020}.json"))
    }

    fn schema(number: u64) -> Op {
        Op::CreateSchema {
            name: format!("s{number}"),
            if_not_exists: false,
        }
    }

    /// A catalog whose newest record has this number.
    async fn with_records(store: &Arc<dyn ObjectStore>, newest: u64) -> CatalogStore {
        let catalog = CatalogStore::over(over(store)).await.unwrap();
        for number in 2..newest + 1 {
            assert_eq!(
                catalog.apply(schema(number)).await.unwrap().catalog.version,
                number
            );
        }
        catalog
    }

    #[track_caller]
    fn assert_missing(error: &Error, number: u64) {
        assert_eq!(error.code(), SqlState::DataCorrupted);
        assert!(
            error.message().contains(&format!("{number:020}.json is missing")),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("watershed doctor"), "{error:?}");
    }

    #[tokio::test]
    async fn a_record_that_is_missing_is_an_error_at_a_start() {
        for missing in 1..6 {
            let store = memory();
            with_records(&store, 5).await;
            store.delete(&path(missing)).await.unwrap();
            let error = CatalogStore::over(over(&store)).await.unwrap_err();
            assert_missing(&error, missing);
            let findings = over(&store).inspect().await.unwrap();
            assert_eq!(findings.newest, 5);
            assert_eq!(
                findings
                    .problems
                    .iter()
                    .map(|(number, _)| *number)
                    .collect::<Vec<_>>(),
                [missing]
            );
            over(&store).give_up(missing).await.unwrap();
            let again = CatalogStore::over(over(&store)).await.unwrap();
            assert_eq!(again.apply(schema(9)).await.unwrap().catalog.version, 6);
        }
        let store = memory();
        with_records(&store, 3).await;
        for number in 1..4 {
            store.delete(&path(number)).await.unwrap();
        }
        let error = CatalogStore::over(over(&store)).await.unwrap_err();
        assert_missing(&error, 1);
    }

    #[tokio::test]
    async fn the_number_of_a_record_that_is_missing_is_not_used_again() {
        let store = memory();
        let one = with_records(&store, 4).await;
        let two = CatalogStore::over(over(&store)).await.unwrap();
        store.delete(&path(4)).await.unwrap();
        assert_missing(&one.apply(schema(9)).await.unwrap_err(), 4);
        let store = memory();
        let behind = with_records(&store, 4).await;
        let ahead = CatalogStore::over(over(&store)).await.unwrap();
        for number in 5..8 {
            ahead.apply(schema(number)).await.unwrap();
        }
        store.delete(&path(5)).await.unwrap();
        assert_missing(&behind.apply(schema(9)).await.unwrap_err(), 5);
        drop(two);
    }

    #[tokio::test]
    async fn a_record_that_is_empty_is_an_error_with_a_way_out() {
        let store = memory();
        with_records(&store, 4).await;
        store.put(&path(4), PutPayload::new()).await.unwrap();
        let error = CatalogStore::over(over(&store)).await.unwrap_err();
        assert_eq!(error.code(), SqlState::DataCorrupted);
        assert!(error.hint().unwrap().contains("watershed doctor"), "{error:?}");
        over(&store).give_up(4).await.unwrap();
        let again = CatalogStore::over(over(&store)).await.unwrap();
        assert_eq!(again.current().version, 4);
        assert!(again.current().has_schema("s3") && !again.current().has_schema("s4"));
        let aside = Path::from(format!("{FOLDER}/damaged/{:020}.json", 4));
        store.head(&aside).await.unwrap();
    }

    #[tokio::test]
    async fn snapshots_stand_for_records_that_are_removed() {
        let store = memory();
        let ahead = with_records(&store, 10).await;
        let behind = CatalogStore::over(over(&store)).await.unwrap();
        let history = over(&store);
        for number in 11..31 {
            let catalog = ahead.apply(schema(number)).await.unwrap().catalog;
            if number % 10 == 0 {
                history.write_snapshot(&catalog, TimeDelta::zero()).await.unwrap();
            }
        }
        // The last two are there, with the records after the older.
        assert_eq!(
            history
                .snapshots
                .list(0)
                .await
                .unwrap()
                .iter()
                .map(|s| s.number)
                .collect::<Vec<_>>(),
            [20, 30]
        );
        let left: Vec<u64> = history
            .records
            .list(0)
            .await
            .unwrap()
            .iter()
            .map(|r| r.number)
            .collect();
        assert_eq!(left, std::iter::once(1).chain(21..31).collect::<Vec<_>>());
        // An older version does not take the log for an empty one.
        let error = history.records.read::<Box<RawValue>>(1).await.unwrap_err();
        assert!(error.message().contains("newer version"), "{error}");
        // Who has stopped reading at a record that is gone goes on from the snapshot.
        assert_eq!(behind.current().version, 10);
        assert_eq!(behind.apply(schema(31)).await.unwrap().catalog.version, 31);
        assert!(behind.current().has_schema("s15"));
        let fresh = CatalogStore::over(over(&store)).await.unwrap();
        assert_eq!(fresh.current().version, 31);
        assert_eq!(
            fresh.current().schemas(),
            ahead.refresh().await.unwrap().schemas()
        );
        // Without the newest snapshot, the one before it and the records do.
        let newest = Path::from(format!("{SNAPSHOTS}/{:020}.json", 30));
        store.put(&newest, PutPayload::new()).await.unwrap();
        let fresh = CatalogStore::over(over(&store)).await.unwrap();
        assert_eq!(
            (fresh.current().version, fresh.current().has_schema("s25")),
            (31, true)
        );
        // A snapshot that cannot be read counts for nothing when the next is written: what it stood for stays.
        let (catalog, _) = history.load().await.unwrap();
        history.write_snapshot(&catalog, TimeDelta::zero()).await.unwrap();
        let left = history.records.list(0).await.unwrap();
        assert_eq!(left.iter().filter(|record| record.number > 20).count(), 11);
        let found = history.inspect().await.unwrap();
        assert_eq!(
            (found.snapshot, found.damaged, found.problems),
            (31, None, Vec::new())
        );
        // Without any, no repair makes an empty catalog of what they stood for.
        for number in [20, 31] {
            let path = Path::from(format!("{SNAPSHOTS}/{number:020}.json"));
            store.put(&path, PutPayload::new()).await.unwrap();
        }
        let found = history.inspect().await.unwrap();
        assert_eq!(found.damaged.map(|(number, _)| number), Some(31));
        assert_eq!(found.problems.len(), 1);
        assert!(CatalogStore::over(over(&store)).await.is_err());
    }

    #[tokio::test]
    async fn a_catalog_of_very_many_records_is_there_soon() {
        let newest = 20_000;
        let store = memory();
        with_records(&store, 1).await;
        let history = over(&store);
        for number in 2..newest + 1 {
            let name = format!("s{}", number / 2);
            let change = match number % 2 {
                0 => Change::SchemaCreated { name },
                _ => Change::SchemaDropped { name },
            };
            let record = Record::new(vec![change]);
            let appended = history.records.append_if_next(number, &record).await;
            assert_eq!(appended.unwrap(), Append::Appended);
            if number == newest - SNAPSHOT_EVERY + 1 {
                let (catalog, _) = history.load().await.unwrap();
                history.write_snapshot(&catalog, TimeDelta::zero()).await.unwrap();
            }
        }
        let wait = Duration::from_millis(15);
        let config = ThrottleConfig {
            wait_get_per_call: wait,
            wait_list_per_call: wait,
            wait_list_with_delimiter_per_call: wait,
            wait_put_per_call: wait,
            ..ThrottleConfig::default()
        };
        let inner = PrefixStore::new(Arc::clone(&store), "");
        let slow: Arc<dyn ObjectStore> = Arc::new(ThrottledStore::new(inner, config));
        let began = std::time::Instant::now();
        let opened = CatalogStore::over(over(&slow)).await.unwrap();
        assert_eq!(opened.current().version, newest);
        // One request after the other would take five minutes.
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    }
}
