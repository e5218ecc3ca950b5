//! An executor that comes back with its folder goes on with what it had kept.

use std::time::Duration;

use super::processes::Processes;
use crate::harness::{Session, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const SUM: &str = "SELECT g, count(*), sum(n), max(text) FROM kept GROUP BY g ORDER BY g";

/// What the newest run of [`SUM`] did: files whose part was known, files that were read, and bytes of these.
fn latest(session: &mut Session) -> [u64; 3] {
    let question = format!(
        "SELECT fragments_cached, fragments_run, bytes_scanned FROM system.queries \
         WHERE statement = '{SUM}' AND state = 'finished' ORDER BY started_at DESC LIMIT 1"
    );
    let row = session.rows(&question).remove(0);
    [0, 1, 2].map(|column| row[column].parse().unwrap())
}

#[test]
fn a_restarted_executor_reads_no_file_again() {
    let mut processes = Processes::start(1);
    let mut session = Session::open(processes.flight());
    session.run("SET watershed.result_cache = 'off'");
    session.run("SET watershed.execution = 'pipelined'");
    session.run("CREATE TABLE kept (n BIGINT, g BIGINT, text STRING) CLUSTERED BY (n) INTO 4 BUCKETS");
    for part in 0..5 {
        let (from, to) = (part * 1_000, part * 1_000 + 999);
        session.run(&format!(
            "INSERT INTO kept SELECT value, value % 7, 'text ' || value FROM generate_series({from}, {to})"
        ));
    }
    let answer = session.rows(SUM);
    assert_eq!(answer.len(), 7);
    let [known, read, bytes] = latest(&mut session);
    assert_eq!((known, read), (0, 20));
    assert!(bytes > 0);

    // What is kept is written in the background: a process that is killed may have had no time for the last of it.
    let restarted = |processes: &mut Processes, session: &mut Session| {
        processes.kill(0);
        processes.revive(0);
        assert_eq!(session.rows(SUM), answer);
        latest(session)
    };
    assert!(wait_until(LIMIT, || {
        restarted(&mut processes, &mut session) == [20, 0, 0]
    }));
    // The file that is new, and no other, is read.
    session.run("INSERT INTO kept VALUES (5000, 0, 'new')");
    session.rows(SUM);
    assert_eq!(latest(&mut session)[..2], [20, 1]);
    session.run("DROP TABLE kept");

    // What was to be forgotten does not come back.
    session.run("CREATE TABLE kept (n BIGINT, g BIGINT, text STRING) CLUSTERED BY (n) INTO 4 BUCKETS");
    session.run("INSERT INTO kept SELECT value, value % 7, 'text ' || value FROM generate_series(0, 999)");
    let answer = session.rows(SUM);
    session.run(
        "INSERT INTO cache_invalidation_events (cache_key, invalidation_reason) VALUES ('public.kept', 'a test')",
    );
    let pending = "SELECT count(*) FROM cache_invalidation_events WHERE processed_at IS NULL";
    assert!(wait_until(LIMIT, || session.value(pending) == "0"));
    processes.kill(0);
    processes.revive(0);
    assert_eq!(session.rows(SUM), answer);
    assert_eq!(latest(&mut session)[..2], [0, 4]);
    // And what was kept since then does.
    assert!(wait_until(LIMIT, || {
        processes.kill(0);
        processes.revive(0);
        assert_eq!(session.rows(SUM), answer);
        latest(&mut session) == [4, 0, 0]
    }));
}
