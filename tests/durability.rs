//! What was acknowledged is there after any crash, and what was not is there wholly or not at all.

use std::thread;
use std::time::Duration;

use crate::harness::{Cluster, Options, Session, steps};

/// Crashes; `WATERSHED_TEST_STEPS` makes it more.
const STEPS: u64 = 4;

/// Creates and fills one table after another until the cluster is gone. Gives the number of the first
/// that was not acknowledged.
fn write_until_killed(url: &str, from: u64) -> u64 {
    let mut session = Session::open(url);
    let mut number = from;
    loop {
        let acknowledged = session
            .update(&format!(
                "CREATE TABLE kept_{number} (id BIGINT, n INT) CLUSTERED BY (id) INTO 2 BUCKETS"
            ))
            .and_then(|_| {
                session.update(&format!(
                    "INSERT INTO kept_{number} VALUES (1, {number}), (2, {number}), (3, {number})"
                ))
            })
            .is_ok();
        if !acknowledged {
            return number;
        }
        number += 1;
    }
}

#[test]
fn a_killed_cluster_loses_nothing() {
    let store = tempfile::tempdir().unwrap();
    let options = Options::executors(1).store(store.path());
    let mut acknowledged = 0;
    for step in 0..steps(STEPS) {
        let cluster = Cluster::start(&options);
        let mut session = cluster.session();
        for number in 0..acknowledged {
            assert_eq!(
                session.rows(&format!("SELECT count(*), sum(n) FROM kept_{number}")),
                [["3".to_owned(), (3 * number).to_string()]],
                "table {number} after crash {step}"
            );
        }
        // The statement that was running may have been committed, but not in part.
        let last = format!("kept_{acknowledged}");
        session.run(&format!(
            "CREATE TABLE IF NOT EXISTS {last} (id BIGINT, n INT) CLUSTERED BY (id) INTO 2 BUCKETS"
        ));
        let rows = session.value(&format!("SELECT count(*) FROM {last}"));
        assert!(
            rows == "0" || rows == "3",
            "{rows} rows of three after crash {step}"
        );
        session.run(&format!("DROP TABLE {last}"));

        let url = cluster.flight().to_owned();
        let from = acknowledged;
        let writer = thread::spawn(move || write_until_killed(&url, from));
        // Later in each step, so that the crash meets other moments.
        thread::sleep(Duration::from_millis(300 + 137 * step));
        cluster.crash();
        acknowledged = writer.join().unwrap();
    }
    assert!(acknowledged > 0, "nothing was written before the crashes");
}
