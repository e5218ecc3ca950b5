//! What is fetched of a table of equal files after one more has come, as the object store counts it.

use watershed_core::shard::shard_of_i64;

use super::s3::{Bucket, Fetched};
use crate::harness::{Cluster, Session, steps};

const SHARDS: u32 = 4;
const ROWS_PER_FILE: u64 = 2_000;
/// One INSERT writes files of so many partitions, in one go.
const PARTITIONS_AT_ONCE: u64 = 5;
const QUESTION: &str = "SELECT edge, count(*), sum(v), max(ms) FROM files GROUP BY edge ORDER BY edge";

/// What a run of the question came to.
struct Asked {
    rows: Vec<Vec<String>>,
    fetched: Fetched,
    /// What the system says of it.
    told: Vec<(&'static str, f64)>,
}

impl Asked {
    fn told(&self, name: &str) -> f64 {
        let found = self.told.iter().find(|(told, _)| *told == name);
        found.unwrap_or_else(|| panic!("{name} is not told")).1
    }
}

/// A table whose partitions are a file in each shard.
struct Files {
    session: Session,
    partitions: u64,
}

impl Files {
    fn load(cluster: &Cluster, files: u64) -> Self {
        let mut session = cluster.session();
        session.run(&format!(
            "CREATE TABLE files (shard_key BIGINT, v BIGINT, ms BIGINT, edge STRING, part BIGINT) \
             PARTITIONED BY (part) CLUSTERED BY (shard_key) INTO {SHARDS} BUCKETS"
        ));
        // By one writer, so that each file is written by one.
        session.run("SET watershed.execution = 'local'");
        session.run("SET watershed.target_partitions = '1'");
        let mut table = Self {
            session,
            partitions: 0,
        };
        let partitions = files / u64::from(SHARDS);
        while table.partitions < partitions {
            let more = PARTITIONS_AT_ONCE.min(partitions - table.partitions);
            table.insert(more, 1);
        }
        assert_eq!(table.count(), files);
        table
    }

    /// Rows of these partitions, of every shard or of the first alone.
    fn insert(&mut self, partitions: u64, step: u64) {
        let cases: String = (0..SHARDS)
            .map(|shard| format!(" WHEN {shard} THEN {}", key_of(shard)))
            .collect();
        let per_partition = ROWS_PER_FILE * u64::from(SHARDS);
        let from = self.partitions * per_partition;
        let to = from + partitions * per_partition - 1;
        self.session.run(&format!(
            "INSERT INTO files (shard_key, v, ms, edge, part)
             SELECT CASE v % {SHARDS}{cases} END, v, v * 7919 % 1009, 'edge-' || (v % 40), v / {per_partition}
             FROM generate_series({from}, {to}, {step}) AS s(v)"
        ));
        self.partitions += partitions;
    }

    fn count(&mut self) -> u64 {
        let count = "SELECT sum(file_count) FROM system.shards WHERE table_name = 'files'";
        self.session.value(count).parse().unwrap()
    }

    fn ask(&mut self, bucket: &Bucket) -> Asked {
        const TOLD: [&str; 6] = [
            "bytes_scanned",
            "data_bytes_cached",
            "bytes_cached",
            "fragments_cached",
            "fragments_run",
            "duration_ms",
        ];
        let before = bucket.fetched();
        let rows = self.session.rows(QUESTION);
        let after = bucket.fetched();
        let told = self.session.rows(&format!(
            "SELECT {} FROM system.queries WHERE statement = '{QUESTION}' ORDER BY started_at DESC LIMIT 1",
            TOLD.join(", ")
        ));
        let told = TOLD
            .into_iter()
            .zip(told[0].iter().map(|value| value.parse().unwrap()));
        Asked {
            rows,
            fetched: Fetched {
                data: after.data - before.data,
                all: after.all - before.all,
            },
            told: told.collect(),
        }
    }
}

/// A hundred files, or a thousand where `WATERSHED_TEST_STEPS` asks for more; `--nocapture` shows the figures.
#[test]
fn a_refresh_fetches_the_appended_file_alone() {
    let files = if steps(1) > 1 { 1_000 } else { 100 };
    let bucket = Bucket::serve();
    let cluster = Cluster::start(&bucket.options(2, "appended"));
    let mut table = Files::load(&cluster, files);
    // Where a second executor is asked as the first is slow, it fetches the files of a shard once more.
    table.session.run("SET watershed.hedging = 'off'");
    table.session.run("SET watershed.execution = 'pipelined'");
    let cold = table.ask(&bucket);
    table.session.run("SET watershed.execution = 'local'");
    table.insert(1, u64::from(SHARDS));
    table.session.run("SET watershed.execution = 'pipelined'");
    assert_eq!(table.count(), files + 1);
    let refreshed = table.ask(&bucket);

    let share = refreshed.fetched.data as f64 / cold.fetched.data as f64;
    for (what, asked) in [("cold", &cold), ("refreshed", &refreshed)] {
        eprintln!("{what}: {:?}, {:?}", asked.fetched, asked.told);
    }
    eprintln!(
        "{files} files and one more: {:.4} % of the data is fetched, {:.4} % of everything, {:.1}× as fast",
        100.0 * share,
        100.0 * refreshed.fetched.all as f64 / cold.fetched.all as f64,
        cold.told("duration_ms") / refreshed.told("duration_ms"),
    );
    // The question is right with and without caches.
    table.session.without_caches();
    assert_eq!(refreshed.rows, table.session.rows(QUESTION));
    assert_ne!(refreshed.rows, cold.rows);
    assert!(cold.fetched.data > files * 1_000, "{:?}", cold.fetched);
    assert!(
        share <= 2.0 / files as f64,
        "{:?} of {:?}",
        refreshed.fetched,
        cold.fetched
    );
    cluster.assert_goes_on();
}

/// The least key that lies in a shard.
fn key_of(shard: u32) -> i64 {
    (0..100_000)
        .find(|key| shard_of_i64(*key, SHARDS) == shard)
        .expect("every shard has a key")
}
