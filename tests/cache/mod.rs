//! Cached answers are fresh ones: a long walk of random steps over tables that change in every way they can,
//! by us and by another writer, while caches are emptied and processes killed. Each question is asked with
//! caches and without, at the same versions, and the answers have to be the same.
//!
//! One that fails prints its seed and its last steps; `WATERSHED_TEST_SEED` repeats it, and
//! `WATERSHED_TEST_STEPS` makes it long.

mod ask;
mod figures;
mod foreign;
mod processes;
mod questions;
mod readers;
mod restart;
mod tables;
mod walk;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::{Cluster, Options, Session, get, steps, wait_until};

/// Steps of a walk; `WATERSHED_TEST_STEPS` makes it more.
const STEPS: u64 = 220;
/// A slow machine walks less far.
const BUDGET: Duration = Duration::from_secs(75);

fn seed() -> u64 {
    match std::env::var("WATERSHED_TEST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    }
}

#[test]
fn cached_answers_are_fresh_ones() {
    // Who asks for steps gets all of them.
    let asked = std::env::var_os("WATERSHED_TEST_STEPS").is_some();
    walk::run(seed(), steps(STEPS), (!asked).then_some(BUDGET));
}

/// While rows are appended, every answer is that of some version, none older than what was acknowledged.
#[test]
fn cached_counts_never_go_back() {
    readers::run(seed(), steps(30));
}

/// Wherever a query runs, what files came to is known where they were read.
#[test]
fn every_path_reads_only_what_is_new() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    // A second executor that is asked as the first is slow reads files again, rightly.
    for setting in ["result_cache = 'off'", "broadcast_limit = '0'", "hedging = 'off'"] {
        session.run(&format!("SET watershed.{setting}"));
    }
    for (table, key) in [("parts", "n"), ("pairs", "g")] {
        session.run(&format!(
            "CREATE TABLE {table} (n BIGINT, g BIGINT) CLUSTERED BY ({key}) INTO 4 BUCKETS"
        ));
        for from in [0, 1_000, 2_000] {
            let to = from + 999;
            session.run(&format!(
                "INSERT INTO {table} SELECT value, value % 7 FROM generate_series({from}, {to})"
            ));
        }
    }
    let sum = "SELECT g, sum(n) FROM parts GROUP BY g ORDER BY g";
    reads_what_is_new(&mut session, "local", "local", sum);
    reads_what_is_new(&mut session, "gather", "pipelined", sum);
    let joined = "SELECT a.g, a.total, count(*) FROM (SELECT g, sum(n + 1) AS total FROM parts GROUP BY g) a \
                  JOIN pairs b ON a.g = b.g JOIN pairs c ON b.n = c.n GROUP BY a.g, a.total ORDER BY a.g";
    reads_what_is_new(&mut session, "exchange", "pipelined", joined);
}

/// Asks a question about `parts` that was not asked on this path before.
fn reads_what_is_new(session: &mut Session, path: &str, execution: &str, sql: &str) {
    session.run(&format!("SET watershed.execution = '{execution}'"));
    let told = |session: &mut Session| {
        let row = session.rows(&format!(
            "SELECT execution, fragments_cached, fragments_run FROM system.queries \
             WHERE statement = '{sql}' AND state = 'finished' ORDER BY started_at DESC LIMIT 1"
        ));
        assert_eq!(row[0][0], path);
        [1, 2].map(|column| row[0][column].parse::<u64>().unwrap())
    };
    let plan = session.rows(&format!("EXPLAIN {sql}")).concat().join("\n");
    assert!(plan.contains("FragmentCacheExec"), "{path}: {plan}");
    let first = session.rows(sql);
    assert_eq!(first.len(), 7);
    let [cached, run] = told(session);
    assert_eq!(cached, 0, "{path}");
    assert_eq!(session.rows(sql), first);
    assert_eq!(told(session), [run, 0], "{path}");
    session.run("INSERT INTO parts VALUES (1, 1)");
    let after = session.rows(sql);
    assert_ne!(after, first, "{path}");
    assert_eq!(told(session), [run, 1], "{path}");
    session.run("SET watershed.fragment_cache = 'off'");
    assert_eq!(session.rows(sql), after, "{path}");
    assert_eq!(told(session), [0, 0], "{path}");
    session.run("RESET watershed.fragment_cache");
}

/// A text that was planned before is asked of what its tables are now, wherever it runs.
#[test]
fn known_texts_are_asked_of_what_is_there() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    session.run("CREATE TABLE known (n BIGINT, at TIMESTAMP) CLUSTERED BY (n) INTO 4 BUCKETS");
    session.run("CREATE TABLE other (n BIGINT, m BIGINT) CLUSTERED BY (m) INTO 4 BUCKETS");
    session.run("INSERT INTO other SELECT value, value % 10 FROM generate_series(1, 100)");
    session.run("SET watershed.broadcast_limit = '0'");
    let window = "SELECT count(*), sum(n) FROM known WHERE at > now() - INTERVAL '1' HOUR";
    let join = "SELECT count(*) FROM known a JOIN other b ON a.n = b.n JOIN known c ON b.m = c.n WHERE c.at <= now()";
    let (mut rows, mut sum, mut pairs) = (0, 0, 0);
    for (path, execution) in [
        ("local", "local"),
        ("exchange", "pipelined"),
        ("staged", "staged"),
    ] {
        session.run(&format!("SET watershed.execution = '{execution}'"));
        for _ in 0..3 {
            rows += 1;
            sum += rows;
            // Old events are not in the window, and meet others all the same.
            session.run(&format!(
                "INSERT INTO known VALUES ({rows}, now()), ({}, now() - INTERVAL '2' HOUR)",
                1_000 + rows
            ));
            // Row `m` of `other` is met by that of the same number, for numbers below ten.
            pairs += u64::from(rows < 10);
            let found = session.rows(window);
            assert_eq!(found, [[rows.to_string(), sum.to_string()]], "{path}");
            assert_eq!(session.value(join), pairs.to_string(), "{path}");
            let ran = session.value(&format!(
                "SELECT execution FROM system.queries WHERE statement = '{join}' ORDER BY started_at DESC LIMIT 1"
            ));
            assert_eq!(ran, path);
        }
    }
    let all = "SELECT * FROM known WHERE n = 1";
    assert_eq!(session.rows(all)[0].len(), 2);
    session.run("ALTER TABLE known ADD COLUMN text STRING");
    assert_eq!(session.rows(all)[0].len(), 3);
    session.run("DROP TABLE known");
    session.fails(all, "42P01");
}

#[test]
fn what_has_passed_is_answered_on_request_only() {
    let cluster = Cluster::start(&Options::executors(1));
    let mut session = cluster.session();
    session.run("CREATE TABLE passed (n BIGINT) CLUSTERED BY (n) INTO 2 BUCKETS");
    session.run("INSERT INTO passed VALUES (1), (2)");
    let count = "SELECT count(*) FROM passed";
    assert_eq!(session.value(count), "2");
    session.run("INSERT INTO passed VALUES (3)");
    session.run("SET watershed.max_staleness = '1h'");
    // Nobody has seen the new version yet but this one, which takes the old one's answer.
    assert_eq!(session.value(count), "2");
    let why = "SELECT cache || ': ' || cache_reason FROM system.queries \
               WHERE statement = 'SELECT count(*) FROM passed' AND cache = 'stale'";
    let why = session.value(why);
    assert!(why.starts_with("stale: its tables have changed; it is "), "{why}");
    // It was computed meanwhile for those who come next, and nobody else ever gets the old one.
    assert!(wait_until(Duration::from_secs(10), || session.value(count) == "3"));
    session.run("INSERT INTO passed VALUES (4)");
    let mut other = cluster.session();
    assert_eq!(other.value(count), "4");
}

#[test]
fn answers_over_http_are_known_by_their_tag() {
    let cluster = Cluster::start(&Options::executors(0));
    let mut session = cluster.session();
    session.run("CREATE TABLE tagged (n BIGINT)");
    session.run("INSERT INTO tagged VALUES (1), (2)");
    let url = format!(
        "{}/v1/results?sql=SELECT%20sum(n)%20AS%20total%20FROM%20tagged",
        cluster.http()
    );
    assert_eq!(get(&url), (200, "[{\"total\":3}]".to_owned()));
    session.run("INSERT INTO tagged VALUES (4)");
    assert_eq!(get(&url), (200, "[{\"total\":7}]".to_owned()));
    let (status, body) = get(&format!(
        "{}/v1/results?sql=DROP%20TABLE%20tagged",
        cluster.http()
    ));
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("only queries are answered over HTTP"), "{body}");
}
