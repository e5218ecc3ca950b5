//! Hedged gathers: a partition that a second executor gave first must not stop the others of its task.

use std::thread;
use std::time::Duration;

use crate::harness::{Cluster, Options, signal};

/// Long enough for a partition to be hedged, and well before a frozen executor is declared dead.
const FROZEN: Duration = Duration::from_millis(1_000);

/// The partitions of a task share the build side of a hash join, and begin to probe when all of them have
/// reported it: one that is dropped without having reported must not keep the others waiting.
#[test]
fn partitions_that_share_a_build_side_survive_a_hedge() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    session.run("CREATE TABLE facts (id BIGINT, k INT, v BIGINT) CLUSTERED BY (id) INTO 16 BUCKETS");
    session.run(
        "INSERT INTO facts SELECT value, value % 50, value % 11 FROM generate_series(1, 40000) AS s(value)",
    );
    session.run("CREATE TABLE names (k INT, name STRING)");
    session.run("INSERT INTO names SELECT value, 'n' || (value % 7) FROM generate_series(0, 49) AS s(value)");
    // Of 40,000 rows it would run in the scheduler.
    session.run("SET watershed.execution = 'pipelined'");
    session.without_caches();
    let sql = "SELECT name, count(*), sum(v) FROM facts JOIN names ON facts.k = names.k \
               WHERE names.k BETWEEN 3 AND 40 GROUP BY name ORDER BY name";
    let expected = session.rows(sql);
    assert_eq!(expected.len(), 7);
    for executor in cluster.executors() {
        signal(executor.pid, "STOP");
        let pid = executor.pid;
        let resumed = thread::spawn(move || {
            thread::sleep(FROZEN);
            signal(pid, "CONT");
        });
        assert_eq!(session.rows(sql), expected);
        resumed.join().unwrap();
    }
    let hedges =
        session.value("SELECT sum(hedges) FROM system.queries WHERE statement LIKE 'SELECT name, count%'");
    assert_ne!(hedges, "0", "no partition was hedged, so nothing was tested");
    cluster.assert_goes_on();
}
