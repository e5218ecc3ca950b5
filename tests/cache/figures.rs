//! What executors do is seen in `system.queries`, what their caches do in `system.cache_stats` and in their metrics, soon.

use std::time::Duration;

use crate::harness::{Cluster, Options, Session, get, wait_until};

/// Figures come with heartbeats.
const LIMIT: Duration = Duration::from_secs(20);
const SUM: &str = "SELECT g, sum(n) FROM seen GROUP BY g";

#[test]
fn figures_of_executors_follow_what_queries_do() {
    let mut options = Options::executors(2);
    options.arguments = vec!["--data-cache-memory=32MiB", "--fragment-cache-disk=0"];
    let cluster = Cluster::start(&options);
    let mut session = cluster.session();
    session.run("SET watershed.result_cache = 'off'");
    // Files that a second executor is asked for, as the first is slow, count as well.
    session.run("SET watershed.hedging = 'off'");
    session.run("SET watershed.execution = 'pipelined'");
    session.run("CREATE TABLE seen (n BIGINT, g BIGINT) CLUSTERED BY (n) INTO 8 BUCKETS");
    for part in 0..2 {
        let (from, to) = (part * 1_000, part * 1_000 + 999);
        session.run(&format!(
            "INSERT INTO seen SELECT value, value % 7 FROM generate_series({from}, {to})"
        ));
        assert_eq!(session.rows(SUM).len(), 7);
    }
    let statements = "SELECT sum(fragments_cached), sum(fragments_run) FROM system.queries \
                      WHERE statement LIKE 'SELECT g, sum(n) FROM seen%'";
    let did = session.rows(statements);
    // The second run reads the eight files that are new.
    assert_eq!(did, [["8", "16"]]);
    let figures = "SELECT sum(hits), sum(misses) FROM system.cache_stats WHERE layer = 'fragments'";
    let followed = wait_until(LIMIT, || session.rows(figures) == did);
    assert!(followed, "{:?}", session.rows("SELECT * FROM system.cache_stats"));
    let rest = "SELECT layer, node_id, max_size_mb, entries > 0, bytes > 0, hit_rate > 0, disk_bytes, evictions \
                FROM system.cache_stats WHERE node_id LIKE 'executor-%' ORDER BY 1, 2";
    let (data, fragments) = (["false", "false", "NULL"], ["true", "true", "true"]);
    let rows = [
        ("data", "executor-1", "32", data),
        ("data", "executor-2", "32", data),
        ("fragments", "executor-1", "256", fragments),
        ("fragments", "executor-2", "256", fragments),
    ];
    let rows = rows.map(|(layer, node, size, [entries, bytes, hits])| {
        [layer, node, size, entries, bytes, hits, "NULL", "0"]
    });
    assert_eq!(session.rows(rest), rows);

    let total = |metric: &str| -> u64 {
        let of = |executor: &str| {
            let (_, text) = get(&format!("{executor}/metrics"));
            let line = text.lines().find_map(|line| line.strip_prefix(metric));
            let value = line.unwrap_or_else(|| panic!("{metric} is not among:\n{text}"));
            value.trim().parse::<u64>().unwrap()
        };
        let executors = cluster.executors().iter();
        executors.map(|executor| of(&executor.http)).sum()
    };
    for (result, count) in [("hit", 8), ("miss", 16)] {
        let metric = format!("watershed_cache_requests_total{{cache=\"fragments\",result=\"{result}\"}}");
        assert_eq!(total(&metric), count);
    }
    for gauge in ["entries", "bytes"] {
        assert!(total(&format!("watershed_cache_{gauge}{{cache=\"fragments\"}}")) > 0);
    }
}

/// A task counts, though nobody reads it to its end.
#[test]
fn what_was_read_in_vain_is_counted() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    session.run("SET watershed.execution = 'pipelined'");
    session.run("SET watershed.batch_size = '64'");
    session.run("CREATE TABLE vain (n BIGINT) CLUSTERED BY (n) INTO 8 BUCKETS");
    session.run("INSERT INTO vain SELECT value FROM generate_series(1, 400000)");
    assert_eq!(session.rows("SELECT n FROM vain LIMIT 100").len(), 100);
    let figures = "SELECT execution, rows_scanned, bytes_scanned > 0 FROM system.queries \
                   WHERE statement LIKE 'SELECT n FROM vain%'";
    let counted = |session: &mut Session| {
        let row = session.rows(figures).remove(0);
        assert_eq!(row[0], "gather");
        let rows: u64 = row[1].parse().unwrap();
        assert!(rows < 400_000, "read to its end: {row:?}");
        rows >= 100 && row[2] == "true"
    };
    assert!(
        wait_until(LIMIT, || counted(&mut session)),
        "{:?}",
        session.rows(figures)
    );
}
