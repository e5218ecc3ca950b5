//! No statement ends or freezes a process for others.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::{Cluster, Failure, Options, Session, alive, get, signal, wait_until};

/// What others wait at most, whatever runs beside.
const OTHERS_WAIT: Duration = Duration::from_secs(1);
/// What a loaded machine may add to a time limit of the statement's own.
const SLACK: Duration = Duration::from_secs(2);
/// Statements that compute at the same time.
const BUSY: usize = 8;
/// A calculation that takes seconds, and cannot be interrupted.
const LONG: &str = "levenshtein(repeat('a', 8000) || CAST(id AS TEXT), repeat('b', 8000))";

fn in_background(cluster: &Cluster, settings: &[&str], sql: &str) -> JoinHandle<(Option<Failure>, Duration)> {
    let (url, sql) = (cluster.flight().to_owned(), sql.to_owned());
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    thread::spawn(move || {
        let mut session = Session::open(&url);
        session.without_caches();
        for setting in settings {
            session.run(&setting);
        }
        let start = Instant::now();
        let answer = session.query(&sql);
        (answer.err(), start.elapsed())
    })
}

fn with_table(executors: usize) -> Cluster {
    let cluster = Cluster::start(&Options::executors(executors));
    let mut session = cluster.session();
    session.run("CREATE TABLE t (id BIGINT, s STRING) CLUSTERED BY (id) INTO 8 BUCKETS");
    session.run("INSERT INTO t SELECT value, CAST(value AS STRING) FROM generate_series(1, 64)");
    cluster
}

/// Does something that others wait for. Whatever else runs on the machine may delay it now and then.
fn in_time(what: &str, mut serve: impl FnMut()) {
    let mut took = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        serve();
        took.push(start.elapsed());
        if start.elapsed() < OTHERS_WAIT {
            return;
        }
    }
    panic!("{what} took {took:?}");
}

fn others_are_served(cluster: &Cluster, session: &mut Session) {
    in_time("a query", || assert_eq!(session.value("SELECT 1"), "1"));
    let executors = cluster.executors().iter().map(|executor| executor.http.as_str());
    for url in executors.chain([cluster.http()]) {
        in_time(url, || assert_eq!(get(&format!("{url}/healthz")).0, 200));
    }
}

/// The statements that compute, by their ids.
fn computing(session: &mut Session) -> Vec<String> {
    let sql = "SELECT statement_id FROM system.queries WHERE state = 'running' AND statement LIKE '%levenshtein%' \
               AND statement NOT LIKE '%system.queries%'";
    session
        .rows(sql)
        .into_iter()
        .map(|mut row| row.remove(0))
        .collect()
}

#[track_caller]
fn nobody_waits_for(setting: &str, sql: &str) {
    let cluster = with_table(2);
    let running: Vec<_> = (0..BUSY)
        .map(|_| in_background(&cluster, &[setting], sql))
        .collect();
    let timed = in_background(&cluster, &[setting, "SET statement_timeout = '500ms'"], sql);
    let mut session = cluster.session();
    assert!(
        wait_until(Duration::from_secs(20), || computing(&mut session).len() >= BUSY),
        "they do not all run"
    );
    let mut other = cluster.session();
    for _ in 0..5 {
        others_are_served(&cluster, &mut other);
        thread::sleep(Duration::from_millis(100));
    }
    let (failure, took) = timed.join().unwrap();
    let failure = failure.expect("it takes longer than its time");
    assert_eq!(failure.code.as_deref(), Some("57014"), "{failure}");
    assert!(
        took < Duration::from_millis(500) + SLACK,
        "its time was up after {took:?}"
    );
    let ids = computing(&mut session);
    assert!(!ids.is_empty(), "they are over before they are cancelled");
    let killed = Instant::now();
    for id in &ids {
        // One may have come to its end.
        session.update(&format!("KILL QUERY '{id}'")).ok();
    }
    let ended = running
        .into_iter()
        .filter_map(|running| running.join().unwrap().0);
    let codes: Vec<_> = ended.map(|failure| failure.code).collect();
    assert!(killed.elapsed() < SLACK, "KILL took {:?}", killed.elapsed());
    assert!(!codes.is_empty(), "none of {} was cancelled", ids.len());
    assert!(
        codes.iter().all(|code| code.as_deref() == Some("57014")),
        "{codes:?}"
    );
    others_are_served(&cluster, &mut other);
    assert_eq!(cluster.survivors(), cluster.executors());
}

#[test]
fn what_computes_in_the_scheduler_keeps_nobody_waiting() {
    nobody_waits_for(
        "SET watershed.execution = 'local'",
        &format!("SELECT max({LONG}) FROM t"),
    );
}

#[test]
fn what_computes_in_executors_keeps_nobody_waiting() {
    nobody_waits_for(
        "SET watershed.execution = 'pipelined'",
        &format!("SELECT max({LONG}) FROM t"),
    );
}

#[test]
fn what_is_computed_in_planning_keeps_nobody_waiting() {
    let constants: Vec<String> = (0..64)
        .map(|n| LONG.replace("CAST(id AS TEXT)", &format!("'{n}'")))
        .collect();
    nobody_waits_for(
        "SET watershed.execution = 'local'",
        &format!("SELECT greatest({})", constants.join(", ")),
    );
}

/// Sleeps are not there, so a statement that runs long enough for two executors to be killed one after the other.
#[test]
fn a_statement_that_lost_two_executors_is_not_given_to_a_third() {
    // What is started again would be a third one, too; that it is not used is seen by those that are left.
    let options = Options {
        arguments: vec!["--no-restart"],
        ..Options::executors(4)
    };
    for path in ["pipelined", "staged"] {
        let cluster = Cluster::start(&options);
        let mut session = cluster.session();
        session.run("CREATE TABLE t (id BIGINT, v BIGINT) CLUSTERED BY (id) INTO 8 BUCKETS");
        session.run("INSERT INTO t SELECT value, value % 101 FROM generate_series(1, 60000)");
        let sql = "SELECT count(*) FROM t a JOIN t b ON a.v = b.v AND a.id % 3 >= b.id % 2";
        let setting = format!("SET watershed.execution = '{path}'");
        let running = in_background(&cluster, &[&setting], sql);
        thread::sleep(Duration::from_millis(1_500));
        for executor in &cluster.executors()[..2] {
            assert!(
                !running.is_finished(),
                "the query is over before it was disturbed"
            );
            signal(executor.pid, "KILL");
            thread::sleep(Duration::from_millis(1_500));
        }
        let failure = running.join().unwrap().0.expect("it is given up");
        assert_eq!(failure.code.as_deref(), Some("57P02"), "{path}: {failure}");
        for executor in &cluster.executors()[..2] {
            assert!(failure.text.contains(&executor.node), "{path}: {failure}");
        }
        assert_eq!(
            session.value("SELECT count(*) FROM t"),
            "60000",
            "the others go on"
        );
    }
}

#[test]
fn dev_starts_executors_again() {
    let cluster = with_table(2);
    let mut session = cluster.session();
    let mut pids = || {
        session
            .rows("SELECT node_id, process_id FROM system.executors ORDER BY 1")
            .into_iter()
            .map(|row| (row[0].clone(), row[1].parse::<u32>().unwrap()))
            .collect::<Vec<_>>()
    };
    let before = pids();
    for round in 0..2 {
        let victim = pids()[0].1;
        signal(victim, "KILL");
        assert!(wait_until(SLACK, || !alive(victim)));
        assert!(
            wait_until(Duration::from_secs(30), || {
                let now = pids();
                now.len() == 2 && now[0].1 != victim
            }),
            "round {round}: {:?}",
            pids()
        );
    }
    let after = pids();
    assert_eq!(after[0].0, before[0].0, "it has its name again");
    assert_eq!(after[1], before[1]);
    let mut session = cluster.session();
    session.run("SET watershed.execution = 'pipelined'");
    assert_eq!(session.value("SELECT count(*) FROM t"), "64");
}
