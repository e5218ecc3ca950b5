//! No statement ends or freezes a process for others.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::harness::{Cluster, Failure, Options, Session, alive, get, signal, wait_until};

/// What a busy machine may take to notice.
const LIMIT: Duration = Duration::from_secs(30);
/// Statements that compute at the same time.
const BUSY: usize = 8;
/// A calculation that takes seconds, and cannot be interrupted.
const LONG: &str = "levenshtein(repeat('a', 8000) || CAST(id AS TEXT), repeat('b', 8000))";

fn in_background(cluster: &Cluster, settings: &[&str], sql: &str) -> JoinHandle<Option<Failure>> {
    let (url, sql) = (cluster.flight().to_owned(), sql.to_owned());
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    thread::spawn(move || {
        let mut session = Session::open(&url);
        session.without_caches();
        for setting in settings {
            session.run(&setting);
        }
        session.query(&sql).err()
    })
}

fn with_table(executors: usize) -> Cluster {
    let cluster = Cluster::start(&Options::executors(executors));
    let mut session = cluster.session();
    session.run("CREATE TABLE t (id BIGINT, s STRING) CLUSTERED BY (id) INTO 8 BUCKETS");
    session.run("INSERT INTO t SELECT value, CAST(value AS STRING) FROM generate_series(1, 64)");
    cluster
}

fn others_are_served(cluster: &Cluster, session: &mut Session) {
    assert_eq!(session.value("SELECT 1"), "1");
    let executors = cluster.executors().iter().map(|executor| executor.http.as_str());
    for url in executors.chain([cluster.http()]) {
        assert_eq!(get(&format!("{url}/healthz")).0, 200, "{url}");
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
    // Others are served, and a limit of time holds, before any of them has come to its end: each takes far longer.
    let mut other = cluster.session();
    for _ in 0..5 {
        others_are_served(&cluster, &mut other);
        assert!(
            computing(&mut session).len() >= BUSY,
            "others have waited for one of them"
        );
        thread::sleep(Duration::from_millis(100));
    }
    let failure = timed.join().unwrap().expect("it takes longer than its time");
    assert_eq!(failure.code.as_deref(), Some("57014"), "{failure}");
    assert!(failure.text.contains("statement_timeout"), "{failure}");
    let ids = computing(&mut session);
    assert!(ids.len() >= BUSY, "its time was up only when another was over");
    for id in &ids {
        // One may have come to its end.
        session.update(&format!("KILL QUERY '{id}'")).ok();
    }
    let ended = running.into_iter().filter_map(|running| running.join().unwrap());
    let codes: Vec<_> = ended.map(|failure| failure.code).collect();
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
        let failure = running.join().unwrap().expect("it is given up");
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
        assert!(wait_until(LIMIT, || !alive(victim)));
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
