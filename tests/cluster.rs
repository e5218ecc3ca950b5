//! What becomes of queries when the processes of a cluster are killed, frozen or asked to end.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::{Cluster, Executor, Failure, Options, Session, alive, get, signal, wait_until};

/// After this an executor that says nothing is dead, and a query that ran on it runs elsewhere.
const DECLARED_DEAD: Duration = Duration::from_secs(3);
/// What a loaded machine may add to any time limit.
const SLACK: Duration = Duration::from_secs(2);
/// What runs when a process is asked to end may take this long.
const DRAIN: Duration = Duration::from_secs(5);
/// With no executor left, a query has an error within this.
const NONE_LEFT_LIMIT: Duration = Duration::from_secs(5);
/// A query that is to be disturbed runs at least this long.
const LONG: Duration = Duration::from_secs(2);

type Answer = (Result<Vec<Vec<String>>, Failure>, Duration);

/// What is asked of the table `pairs`.
#[derive(Clone, Copy)]
enum Question {
    /// Scans, and costs something for each row.
    Gather,
    /// Joins by what the table is not sharded by.
    Exchange,
    /// The same, in stages.
    Staged,
}

impl Question {
    fn sql(self) -> &'static str {
        match self {
            Self::Gather => {
                "SELECT count(*), sum(v), min(id), max(id) FROM pairs \
                 WHERE sha256(repeat(CAST(v AS STRING), 20)) <> sha256('x')"
            }
            Self::Exchange | Self::Staged => {
                "SELECT count(*), sum(a.v), min(b.id), max(b.id) FROM pairs a JOIN pairs b \
                 ON a.v = b.v AND a.id % 3 >= b.id % 2"
            }
        }
    }

    /// Makes queries take the path.
    fn path(self) -> &'static str {
        match self {
            Self::Gather | Self::Exchange => "SET watershed.execution = 'pipelined'",
            Self::Staged => "SET watershed.execution = 'staged'",
        }
    }

    /// Makes the table, and doubles it until the answer takes long enough to be disturbed.
    fn prepare(self, session: &mut Session) -> Vec<Vec<String>> {
        session.run("CREATE TABLE pairs (id BIGINT, v BIGINT) CLUSTERED BY (id) INTO 8 BUCKETS");
        session.without_caches().run(self.path());
        let mut rows: i64 = 0;
        loop {
            let more = rows.max(4_000);
            let insert = format!(
                "INSERT INTO pairs SELECT value, value % 101 FROM generate_series({}, {}) AS s(value)",
                rows + 1,
                rows + more
            );
            assert_eq!(session.run(&insert), more);
            rows += more;
            // Twice, as the first may have waited for something else than its work.
            let mut run = || {
                let start = Instant::now();
                (session.rows(self.sql()), start.elapsed())
            };
            let ((answer, first), (_, second)) = (run(), run());
            if first.min(second) >= LONG {
                return answer;
            }
        }
    }
}

/// Runs a query in a session of its own while the test does something else.
fn in_background(cluster: &Cluster, question: Question) -> JoinHandle<Answer> {
    let url = cluster.flight().to_owned();
    thread::spawn(move || {
        let mut session = Session::open(&url);
        session.without_caches().run(question.path());
        let start = Instant::now();
        let answer = session.query(question.sql()).map(|table| table.rows());
        (answer, start.elapsed())
    })
}

/// Executors that are not started again, so that those are counted that are left.
fn left_as_they_are(executors: usize) -> Options {
    Options {
        arguments: vec!["--no-restart"],
        ..Options::executors(executors)
    }
}

fn disturbed(question: Question, disturb: impl Fn(&Executor)) {
    let cluster = Cluster::start(&left_as_they_are(3));
    let mut session = cluster.session();
    let expected = question.prepare(&mut session);
    let start = Instant::now();
    assert_eq!(session.rows(question.sql()), expected);
    let undisturbed = start.elapsed();

    let answer = in_background(&cluster, question);
    thread::sleep(LONG / 3);
    assert!(!answer.is_finished(), "the query is over before it was disturbed");
    disturb(&cluster.executors()[0]);
    let (rows, took) = answer.join().unwrap();
    assert_eq!(rows.unwrap_or_else(|failure| panic!("{failure}")), expected);
    // At worst all is done again, by two instead of three.
    let limit = undisturbed * 4 + DECLARED_DEAD + SLACK;
    assert!(took <= limit, "{took:?}, and undisturbed {undisturbed:?}");

    assert!(
        wait_until(DECLARED_DEAD + SLACK, || living(&mut session) == 2),
        "system.executors still has {} executors",
        living(&mut session)
    );
    assert_eq!(
        session.rows(question.sql()),
        expected,
        "and those that live go on"
    );
}

fn living(session: &mut Session) -> usize {
    session
        .value("SELECT count(*) FROM system.executors")
        .parse()
        .unwrap()
}

#[test]
fn a_gather_outlives_a_killed_executor() {
    disturbed(Question::Gather, |executor| signal(executor.pid, "KILL"));
}

#[test]
fn an_exchange_outlives_a_killed_executor() {
    disturbed(Question::Exchange, |executor| signal(executor.pid, "KILL"));
}

#[test]
fn a_gather_leaves_a_frozen_executor_behind() {
    disturbed(Question::Gather, |executor| signal(executor.pid, "STOP"));
}

#[test]
fn an_exchange_leaves_a_frozen_executor_behind() {
    disturbed(Question::Exchange, |executor| signal(executor.pid, "STOP"));
}

#[test]
fn an_executor_that_thaws_is_a_member_again() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    assert_eq!(living(&mut session), 2);
    let frozen = cluster.executors()[1].pid;
    signal(frozen, "STOP");
    assert!(wait_until(DECLARED_DEAD + SLACK, || living(&mut session) == 1));
    signal(frozen, "CONT");
    assert!(wait_until(DECLARED_DEAD + SLACK, || living(&mut session) == 2));
}

#[test]
fn a_staged_query_outlives_a_killed_executor() {
    disturbed(Question::Staged, |executor| signal(executor.pid, "KILL"));
}

#[test]
fn a_staged_query_leaves_a_frozen_executor_behind() {
    disturbed(Question::Staged, |executor| signal(executor.pid, "STOP"));
}

#[test]
fn with_no_executor_left_a_query_fails_soon_and_clearly() {
    none_left(Question::Exchange);
}

#[test]
fn with_no_executor_left_a_staged_query_fails_soon_and_clearly() {
    none_left(Question::Staged);
}

fn none_left(question: Question) {
    let cluster = Cluster::start(&left_as_they_are(2));
    let mut session = cluster.session();
    question.prepare(&mut session);
    let running = in_background(&cluster, question);
    thread::sleep(LONG / 4);
    for executor in cluster.executors() {
        signal(executor.pid, "KILL");
    }
    let killed = Instant::now();
    let (answer, _) = running.join().unwrap();
    assert!(
        killed.elapsed() <= NONE_LEFT_LIMIT,
        "the running query failed after {:?}",
        killed.elapsed()
    );
    // The statement may be the reason, as it ran on both.
    assert_eq!(answer.unwrap_err().code.as_deref(), Some("57P02"));

    let start = Instant::now();
    let failure = session.query(question.sql()).unwrap_err();
    assert!(
        start.elapsed() <= NONE_LEFT_LIMIT,
        "the next query failed after {:?}",
        start.elapsed()
    );
    assert_eq!(failure.code.as_deref(), Some("57P03"), "{failure}");
    assert_eq!(session.value("SELECT 1"), "1", "what needs no executor goes on");
}

#[test]
fn executors_end_with_a_dev_that_was_killed() {
    let cluster = Cluster::start(&Options::executors(3));
    let executors: Vec<_> = cluster.executors().to_vec();
    signal(cluster.pid(), "KILL");
    assert!(
        wait_until(Duration::from_secs(5), || executors
            .iter()
            .all(|executor| !alive(executor.pid))),
        "still running: {:?}",
        cluster.survivors()
    );
}

#[test]
fn a_dev_that_is_asked_to_end_lets_queries_finish() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    let question = Question::Exchange;
    let expected = question.prepare(&mut session);
    let running = in_background(&cluster, question);
    thread::sleep(LONG / 4);
    assert_eq!(cluster.stop(), 0);
    let (answer, took) = running.join().unwrap();
    match answer {
        Ok(rows) => assert_eq!(rows, expected),
        Err(failure) => {
            assert!(took > DRAIN, "it was given {took:?} only: {failure}");
            assert_eq!(failure.code.as_deref(), Some("57014"), "{failure}");
        }
    }
}

#[test]
fn every_process_tells_its_health() {
    let cluster = Cluster::start(&Options::executors(2));
    let executors = cluster.executors().iter().map(|executor| executor.http.as_str());
    for url in executors.chain([cluster.http()]) {
        let (status, body) = get(&format!("{url}/healthz"));
        assert_eq!(status, 200, "{url}/healthz: {body}");
        // An executor is ready once it has heard the scheduler's answer, which comes a moment after
        // the scheduler has counted it.
        assert!(
            wait_until(Duration::from_secs(10), || get(&format!("{url}/readyz")).0 == 200),
            "{url}/readyz: {:?}",
            get(&format!("{url}/readyz"))
        );
        let (status, body) = get(&format!("{url}/metrics"));
        assert_eq!(status, 200);
        assert!(body.contains("# TYPE watershed_"), "{url}/metrics: {body}");
    }
}
