//! Statements that are too much: a clear error or a right answer, and every process goes on.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Cluster, Options, Session};

#[test]
fn deep_nesting() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    let brackets = |depth: usize| format!("SELECT {}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(session.value(&brackets(100)), "1");
    let text = session.fails(&brackets(10_000), "54001");
    assert!(text.contains("500"), "the limit is named: {text}");
    for (open, close) in [
        ("abs(", ")"),
        ("CASE WHEN true THEN ", " END"),
        ("(SELECT ", ")"),
        ("NOT ", ""),
        ("- ", ""),
    ] {
        let sql = format!("SELECT {}1{}", open.repeat(10_000), close.repeat(10_000));
        session.fails(&sql, "54001");
    }
    session.fails(&format!("SELECT 1{}", " + 1".repeat(10_000)), "54001");
    cluster.assert_goes_on();
}

#[test]
fn long_conditions() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    session.run("CREATE TABLE t (id BIGINT, n INT) CLUSTERED BY (id) INTO 4 BUCKETS");
    session.run("INSERT INTO t SELECT value, value FROM generate_series(1, 100) AS s(value)");
    let numbers: Vec<_> = (0..5_000).map(|n| n.to_string()).collect();
    for path in ["local", "pipelined"] {
        session.run(&format!("SET watershed.execution = '{path}'"));
        for condition in [
            format!("n = {}", numbers.join(" OR n = ")),
            format!("n IN ({})", numbers.join(", ")),
        ] {
            let sql = format!("SELECT count(*) AS n FROM t WHERE {condition}");
            assert_eq!(session.value(&sql), "100", "{path}");
        }
    }
    cluster.assert_goes_on();
}

#[test]
fn results_wider_than_a_message() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    let rows = session.rows("SELECT repeat('x', 1000000) AS wide FROM generate_series(1, 8)");
    assert!(rows.len() == 8 && rows.iter().all(|row| row[0].len() == 1_000_000));
}

/// What runs and waits is bounded, and who comes too late is told so at once.
#[test]
fn too_many_statements() {
    let cluster = Cluster::start(&Options {
        arguments: vec!["--max-running", "1", "--max-waiting", "1"],
        ..Options::executors(1)
    });
    let endless = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000000) b";
    let url = cluster.flight();
    let ask = |sql: &'static str| {
        let url = url.to_owned();
        thread::spawn(move || Session::open(&url).query(sql))
    };
    // Threads that nobody joins: the cluster's end is theirs.
    ask(endless);
    thread::sleep(Duration::from_millis(500));
    ask("SELECT 'waiting'");
    thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    let text = cluster.session().fails("SELECT 'too late'", "53300");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "it waited {:?}",
        start.elapsed()
    );
    assert!(text.contains('1'), "the limit is named: {text}");
}

/// What needs more memory than there may be goes by disk or ends with an error, and nothing else suffers.
#[test]
fn more_than_memory() {
    let cluster = Cluster::start(&Options {
        arguments: vec!["--memory-limit", "32MiB"],
        ..Options::executors(2)
    });
    let mut session = cluster.session();
    session.run("CREATE TABLE big (id BIGINT, s STRING) CLUSTERED BY (id) INTO 4 BUCKETS");
    let rows = 400_000;
    for part in 0..4 {
        let (from, to) = (part * rows / 4 + 1, (part + 1) * rows / 4);
        session.run(&format!(
            "INSERT INTO big SELECT value, md5(CAST(value AS STRING)) || md5(CAST(-value AS STRING)) \
             FROM generate_series({from}, {to}) AS s(value)"
        ));
    }
    for path in ["local", "pipelined"] {
        session.run(&format!("SET watershed.execution = '{path}'"));
        for sql in [
            "SELECT count(*) FROM (SELECT s, count(*) FROM big GROUP BY s)",
            "SELECT count(*) FROM (SELECT s FROM big ORDER BY s, id LIMIT 399999 OFFSET 0) UNION ALL SELECT 1",
            "SELECT count(*) FROM big a JOIN big b ON a.s = b.s",
        ] {
            match session.query(sql) {
                Ok(table) => assert!(!table.rows().is_empty()),
                Err(failure) => {
                    assert_eq!(failure.code.as_deref(), Some("53200"), "{path}: {sql}\n{failure}");
                    assert!(
                        failure.text.contains("MiB") || failure.text.contains("MB"),
                        "{failure}"
                    );
                }
            }
            assert_eq!(session.value("SELECT count(*) FROM big WHERE id < 10"), "9");
        }
    }
    cluster.assert_goes_on();
}

/// Statements that take long to plan end when their time is up, and the processes respond to others meanwhile.
#[test]
fn planning_ends_in_time() {
    let cluster = Cluster::start(&Options::executors(1));
    let sums: Vec<_> = (0..4)
        .map(|offset| {
            let mut session = cluster.session();
            session.run("SET statement_timeout = '500ms'");
            let sum = "n + ".repeat(300 + offset);
            let sql =
                format!("SELECT max({sum} 0) FROM (SELECT value AS n FROM generate_series(1, 10)) AS t");
            thread::spawn(move || session.fails(&sql, "57014"))
        })
        .collect();
    let mut session = cluster.session();
    assert_eq!(session.value("SELECT 1"), "1");
    for sum in sums {
        let text = sum.join().unwrap();
        assert!(text.contains("statement_timeout"), "{text}");
    }
    cluster.assert_goes_on();
}

/// Deep enough to trouble what carries plans between processes, and yet to be answered.
#[test]
fn nesting_within_the_limit_is_answered_on_every_path() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    session.run("CREATE TABLE t (id BIGINT, n INT) CLUSTERED BY (id) INTO 4 BUCKETS");
    session.run("INSERT INTO t SELECT value, value FROM generate_series(1, 100) AS s(value)");
    for path in ["local", "pipelined"] {
        session.run(&format!("SET watershed.execution = '{path}'"));
        for (open, close, depths) in [
            ("abs(", ")", [20, 50, 100]),
            ("CASE WHEN n < 0 THEN 0 ELSE ", " END", [20, 100, 300]),
        ] {
            for depth in depths {
                let deep = format!("{}n{}", open.repeat(depth), close.repeat(depth));
                let sql = format!("SELECT sum({deep}) AS total FROM t");
                assert_eq!(session.value(&sql), "5050", "{path}, {depth} deep");
            }
        }
    }
    cluster.assert_goes_on();
}

/// The result of a join without a condition is larger than anything it was made of: it goes to the client at
/// the client's pace, and not to the scheduler's disk first.
#[test]
fn large_results_of_exchanges() {
    let cluster = Cluster::start(&Options::executors(3));
    let mut session = cluster.session();
    for table in ["a", "b"] {
        session.run(&format!(
            "CREATE TABLE {table} (id BIGINT, name STRING) CLUSTERED BY (id) INTO 4 BUCKETS"
        ));
        session.run(&format!(
            "INSERT INTO {table} SELECT i, md5(CAST(i AS STRING)) FROM generate_series(1, 70) AS s (i)"
        ));
    }
    session.run("SET watershed.execution = 'pipelined'");
    // A gigabyte takes the tests too long. What is held back is 32 times this.
    session.run("SET watershed.hold_back = '1MiB'");
    session.run("SET watershed.broadcast_limit = '0'");
    let sql = "SELECT a.id, b.id, repeat(a.name || b.name, 200) FROM a CROSS JOIN b";
    let rows = session.rows(sql);
    let mut pairs: Vec<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    pairs.sort();
    pairs.dedup();
    assert_eq!((rows.len(), pairs.len()), (4_900, 4_900));
    assert!(rows.iter().all(|row| row[2].len() == 12_800));
    assert_eq!(
        session.value(&format!(
            "SELECT execution FROM system.queries WHERE statement = '{sql}' ORDER BY started_at LIMIT 1"
        )),
        "exchange"
    );
    cluster.assert_goes_on();
}
