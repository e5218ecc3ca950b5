//! A table of equal files, of which everything is known, and questions about it.

use std::collections::BTreeMap;

use watershed_core::clock::SystemClock;
use watershed_core::shard::shard_of_i64;
use watershed_core::{Error, Result};

use crate::answer::Cell;
use crate::processes::Session;
use crate::show;

const SHARDS: u32 = 8;
/// Different values that rows are grouped by. The shard divides it.
const LABELS: u64 = 40;
/// One INSERT writes so many rows, and files of so many partitions, in one go. With more, a file would be
/// closed and another one opened for the rest.
const ROWS_AT_ONCE: u64 = 2_000_000;
const PARTITIONS_AT_ONCE: u64 = 8;

/// Row number `v` lies in shard `v % 8`, and is one of the edge `v % 40`. A partition is a file in each shard.
pub(super) struct Files {
    rows_per_file: u64,
    /// A key of each shard.
    keys: Vec<i64>,
    partitions: u64,
    files: u64,
    totals: BTreeMap<String, Totals>,
}

/// Of an edge, whose rows all lie in one shard.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    shard: u64,
    rows: u64,
    sum: u64,
    slowest: u64,
}

impl Files {
    /// Makes the table.
    pub(super) async fn load(session: &Session, files: u64, rows_per_file: u64) -> Result<Self> {
        let partitions = files.div_ceil(u64::from(SHARDS));
        let mut table = Self {
            rows_per_file,
            keys: keys()?,
            partitions: 0,
            files: 0,
            totals: BTreeMap::new(),
        };
        session
            .update(&format!(
                "CREATE TABLE files (shard_key BIGINT, v BIGINT, ms BIGINT, edge STRING, part BIGINT) \
                 PARTITIONED BY (part) CLUSTERED BY (shard_key) INTO {SHARDS} BUCKETS"
            ))
            .await?;
        let clock = SystemClock::shared();
        let per_partition = rows_per_file * u64::from(SHARDS);
        let at_once = (ROWS_AT_ONCE / per_partition).clamp(1, PARTITIONS_AT_ONCE);
        // By one writer, so that each file is written by one.
        session.update("SET watershed.execution = 'local'").await?;
        session.update("SET watershed.target_partitions = '1'").await?;
        while table.partitions < partitions {
            let more = at_once.min(partitions - table.partitions);
            let from = table.partitions * per_partition;
            let to = from + more * per_partition;
            table.insert(session, from, to - 1, 1).await?;
            table.partitions += more;
        }
        for setting in ["execution", "target_partitions"] {
            session.update(&format!("RESET watershed.{setting}")).await?;
        }
        table.files = table.partitions * u64::from(SHARDS);
        let found = session
            .number("SELECT sum(file_count) FROM system.shards WHERE table_name = 'files'")
            .await?;
        if found != i128::from(table.files) {
            return Err(Error::internal(format!(
                "the table has {found} files instead of {}",
                table.files
            )));
        }
        show::line(format_args!(
            "{} files of {} rows, written in {}.",
            show::grouped(table.files),
            show::grouped(rows_per_file),
            show::duration(clock.elapsed())
        ));
        Ok(table)
    }

    pub(super) const fn count(&self) -> u64 {
        self.files
    }

    /// Appends a file like all others: rows of one shard, in a partition of their own.
    pub(super) async fn append(&mut self, session: &Session) -> Result<()> {
        let shards = u64::from(SHARDS);
        let from = self.partitions * self.rows_per_file * shards;
        let to = from + (self.rows_per_file - 1) * shards;
        self.insert(session, from, to, shards).await?;
        self.partitions += 1;
        self.files += 1;
        Ok(())
    }

    /// Inserts every so-and-so-many-th row from one to another.
    async fn insert(&mut self, session: &Session, from: u64, to: u64, step: u64) -> Result<()> {
        let cases: String = (0..)
            .zip(&self.keys)
            .map(|(shard, key): (u32, _)| format!(" WHEN {shard} THEN {key}"))
            .collect();
        let per_partition = self.rows_per_file * u64::from(SHARDS);
        let expected = (to - from) / step + 1;
        let inserted = session
            .update(&format!(
                "INSERT INTO files (shard_key, v, ms, edge, part)
                 SELECT CASE v % {SHARDS}{cases} END, v, v * 7919 % 1009, 'edge-' || (v % {LABELS}), v / {per_partition}
                 FROM generate_series({from}, {to}, {step}) AS s(v)"
            ))
            .await?;
        if inserted.and_then(|count| u64::try_from(count).ok()) != Some(expected) {
            return Err(Error::internal(format!(
                "{inserted:?} rows were inserted instead of {expected}"
            )));
        }
        count(
            &mut self.totals,
            (from..=to).step_by(usize::try_from(step).unwrap_or(1)),
        );
        Ok(())
    }

    /// The right answer to a question about all files.
    pub(super) fn answer(&self, question: u64) -> Vec<Vec<Cell>> {
        answer(&self.totals, question, &[])
    }

    /// The right answer to a question about the first partitions, or all files, without some shards.
    pub(super) fn answer_in_part(
        &self,
        question: u64,
        partitions: Option<u64>,
        missing: &[u64],
    ) -> Vec<Vec<Cell>> {
        let Some(partitions) = partitions else {
            return answer(&self.totals, question, missing);
        };
        let mut totals = BTreeMap::new();
        count(
            &mut totals,
            0..partitions * self.rows_per_file * u64::from(SHARDS),
        );
        answer(&totals, question, missing)
    }
}

fn count(totals: &mut BTreeMap<String, Totals>, rows: impl Iterator<Item = u64>) {
    for v in rows {
        let totals = totals.entry(format!("edge-{}", v % LABELS)).or_default();
        totals.shard = v % u64::from(SHARDS);
        totals.rows += 1;
        totals.sum += v;
        totals.slowest = totals.slowest.max(v * 7919 % 1009);
    }
}

fn answer(totals: &BTreeMap<String, Totals>, question: u64, missing: &[u64]) -> Vec<Vec<Cell>> {
    let edges = totals
        .iter()
        .filter(|(_, totals)| !missing.contains(&totals.shard));
    edges
        .map(|(edge, totals)| {
            vec![
                Cell::text(edge),
                Cell::int(totals.rows),
                Cell::int(totals.sum + question * totals.rows),
                Cell::int(totals.slowest),
            ]
        })
        .collect()
}

/// A question that shares nothing with those of other numbers: no result, and no part of one.
pub(super) fn question(number: u64) -> String {
    format!(
        "SELECT edge, count(*) AS requests, sum(v + {number}) AS total, max(ms) AS slowest \
         FROM files GROUP BY edge ORDER BY edge"
    )
}

/// [`question`] about the first partitions alone.
pub(super) fn question_about(number: u64, partitions: u64) -> String {
    question(number).replace("FROM files", &format!("FROM files WHERE part < {partitions}"))
}

/// For each shard, the least key that lies in it.
fn keys() -> Result<Vec<i64>> {
    (0..SHARDS)
        .map(|shard| {
            (0..100_000)
                .find(|key| shard_of_i64(*key, SHARDS) == shard)
                .ok_or_else(|| Error::internal(format!("no key lies in shard {shard}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_a_key() {
        let keys = keys().unwrap();
        assert_eq!(keys.len(), SHARDS as usize);
        for (shard, key) in (0..SHARDS).zip(keys) {
            assert_eq!(shard_of_i64(key, SHARDS), shard);
        }
    }
}
