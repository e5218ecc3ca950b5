//! Cancelled statements leave nothing behind: a second later the executors are idle, whichever way a
//! statement was ended, wherever it ran and whatever it was doing.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow_flight::sql::{ActionCancelQueryRequest, Command, CommandStatementUpdate};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo, Ticket};
use futures::{StreamExt, stream};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::harness::{
    Cluster, Options, Session, Wire, frames, packed, processor_time, query, steps, ticket, unpacked,
    wait_until,
};

/// Statements that are cancelled; `WATERSHED_TEST_STEPS` makes it more.
const TRIALS: u64 = 8;
/// Undisturbed, a statement takes longer than this.
const LONG: &str = "4s";
/// The moment of cancelling is within so many milliseconds of a statement's start.
const MOMENTS: u64 = 1_500;
/// After this, nothing runs any more.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// What a busy machine may add to that: all processes share its cores with whatever else runs there.
const SLACK: Duration = Duration::from_secs(1);
/// An executor is idle when it uses little for so long.
const WINDOW: Duration = Duration::from_millis(300);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Hundredths of a second that an idle executor may use in the window: it sends heartbeats, and for a
/// while asks for tasks of jobs. One that works uses thirty.
const IDLE_TICKS: u64 = 6;
/// The work on a batch is not interrupted, and in a debug build it takes twenty times as long.
const SMALL_BATCHES: &str = "SET watershed.batch_size = '128'";
/// What a busy machine may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// Where a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Path {
    Gather,
    Exchange,
    Staged,
}

impl Path {
    const ALL: [Self; 3] = [Self::Gather, Self::Exchange, Self::Staged];

    fn setting(self) -> &'static str {
        match self {
            Self::Gather | Self::Exchange => "SET watershed.execution = 'pipelined'",
            Self::Staged => "SET watershed.execution = 'staged'",
        }
    }

    /// A question whose text says which trial it is of.
    fn question(self, trial: u64) -> String {
        match self {
            // Not in WHERE: a scan evaluates its filter on a whole row group before it yields.
            Self::Gather => format!(
                "SELECT /* trial {trial} */ count(*) AS n, sum(length(md5(repeat(CAST(v AS STRING), 20)))) AS v \
                 FROM scanned"
            ),
            Self::Exchange | Self::Staged => format!(
                "SELECT /* trial {trial} */ count(*) AS n, sum(a.v) AS v FROM joined a JOIN joined b \
                 ON a.v = b.v AND a.id % 3 >= b.id % 2"
            ),
        }
    }
}

/// How a statement is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    DroppedStream,
    DroppedConnection,
    CancelFlightInfo,
    CancelQuery,
    Kill,
    Timeout,
    /// While it is polled for, before it has rows.
    Polled,
    /// A client that goes in the middle of its INSERT.
    DroppedUpdate,
}

impl Way {
    const ALL: [Self; 8] = [
        Self::DroppedStream,
        Self::DroppedConnection,
        Self::CancelFlightInfo,
        Self::CancelQuery,
        Self::Kill,
        Self::Timeout,
        Self::Polled,
        Self::DroppedUpdate,
    ];
}

/// Makes the tables, as large as it takes for the answers to take long.
fn prepare(session: &mut Session) {
    session
        .without_caches()
        .run("CREATE TABLE sink (n BIGINT, v BIGINT)");
    for (table, path) in [("scanned", Path::Gather), ("joined", Path::Exchange)] {
        session.run(&format!(
            "CREATE TABLE {table} (id BIGINT, v BIGINT) CLUSTERED BY (id) INTO 8 BUCKETS"
        ));
        session.run(path.setting());
        let mut rows: u64 = 0;
        loop {
            let more = (3 * rows).max(4_000);
            session.run(&format!(
                "INSERT INTO {table} SELECT value, value % 101 FROM generate_series({}, {}) AS s(value)",
                rows + 1,
                rows + more
            ));
            rows += more;
            session.run(&format!("SET statement_timeout = '{LONG}'"));
            let answer = session.query(&path.question(0));
            session.run("SET statement_timeout = '0'");
            match answer {
                Ok(_) => {}
                Err(failure) if failure.code.as_deref() == Some("57014") => break,
                Err(failure) => panic!("{failure}"),
            }
        }
    }
}

fn update(sql: &str) -> Vec<u8> {
    packed(Command::CommandStatementUpdate(CommandStatementUpdate {
        query: sql.to_owned(),
        transaction_id: None,
    }))
}

fn run(wire: &Wire, sql: &str) {
    wire.put(frames(&update(sql), None))
        .unwrap_or_else(|status| panic!("{sql}\n{status}"));
}

/// Fetches all rows, as a driver does in the background.
fn fetching(wire: &Wire, info: &FlightInfo) -> JoinHandle<Result<(), Status>> {
    let request = wire.request(Ticket::new(ticket(info)));
    let mut client = wire.client();
    wire.spawn(async move {
        let mut rows = client.do_get(request).await?.into_inner();
        while rows.message().await?.is_some() {}
        Ok(())
    })
}

/// Runs a statement and ends it; gives when that was done, as far as the client can tell.
fn end(cluster: &Cluster, way: Way, path: Path, trial: u64, moment: Duration) -> Instant {
    let victim = Wire::open(cluster.flight(), "victim").patient(LIMIT);
    let friend = Wire::open(cluster.flight(), "victim").patient(LIMIT);
    run(&victim, path.setting());
    run(&victim, "SET watershed.result_cache = 'off'");
    run(&victim, "SET watershed.fragment_cache = 'off'");
    run(&victim, SMALL_BATCHES);
    let sql = path.question(trial);
    let running = |task: &JoinHandle<_>| assert!(!task.is_finished(), "it was over before it was ended");
    match way {
        Way::DroppedStream => {
            let task = fetching(&victim, &victim.info(&query(&sql)).unwrap());
            sleep(moment);
            running(&task);
            task.abort();
            let ended = Instant::now();
            assert!(victim.wait(task).is_err_and(|error| error.is_cancelled()));
            ended
        }
        Way::DroppedConnection => {
            let task = fetching(&victim, &victim.info(&query(&sql)).unwrap());
            sleep(moment);
            running(&task);
            drop(victim);
            Instant::now()
        }
        Way::CancelFlightInfo | Way::CancelQuery => {
            let info = victim.info(&query(&sql)).unwrap();
            let task = fetching(&victim, &info);
            sleep(moment);
            running(&task);
            // One that has not been heard of yet is cancelled before it begins.
            if way == Way::CancelFlightInfo {
                cancel(&friend, info);
            } else {
                cancel_the_old_way(&friend, &info);
            }
            let ended = Instant::now();
            let status = victim.wait(task).unwrap().expect_err("it was cancelled");
            assert!(
                matches!(status.code(), Code::Cancelled | Code::NotFound),
                "{status}"
            );
            ended
        }
        Way::Kill => {
            let task = fetching(&victim, &victim.info(&query(&sql)).unwrap());
            sleep(moment);
            running(&task);
            let id = statement_id(cluster, trial);
            run(&friend, &format!("KILL QUERY '{id}'"));
            let ended = Instant::now();
            assert_cancelled(victim.wait(task).unwrap());
            ended
        }
        Way::Timeout => {
            let after = moment.max(Duration::from_millis(1));
            run(
                &victim,
                &format!("SET statement_timeout = '{}ms'", after.as_millis()),
            );
            let info = victim.info(&query(&sql)).unwrap();
            let start = Instant::now();
            let task = fetching(&victim, &info);
            assert_cancelled(victim.wait(task).unwrap());
            assert!(start.elapsed() >= after, "{:?} of {after:?}", start.elapsed());
            Instant::now()
        }
        Way::Polled => {
            let poll = victim.poll(&query(&sql)).unwrap();
            let next = poll.flight_descriptor.expect("it runs");
            sleep(moment);
            cancel(&friend, poll.info.expect("a poll gives what is known"));
            let ended = Instant::now();
            let status = victim.poll(&next.cmd).expect_err("it was cancelled");
            assert_eq!(status.code(), Code::NotFound, "{status}");
            ended
        }
        Way::DroppedUpdate => {
            let insert = update(&format!("INSERT INTO sink {sql}"));
            let request = victim.request(stream::iter(frames(&insert, None)).chain(stream::pending()));
            let mut client = victim.client();
            let task = victim.spawn(async move { client.do_put(request).await.map(drop) });
            sleep(moment);
            running(&task);
            task.abort();
            let ended = Instant::now();
            assert!(victim.wait(task).is_err_and(|error| error.is_cancelled()));
            ended
        }
    }
}

#[track_caller]
fn assert_cancelled(answer: Result<(), Status>) {
    let status = answer.expect_err("it was cancelled");
    assert_eq!(status.code(), Code::Cancelled, "{status}");
    assert!(status.message().contains("SQLSTATE 57014"), "{status}");
}

fn cancel(wire: &Wire, info: FlightInfo) {
    let request = CancelFlightInfoRequest::new(info).encode_to_vec();
    let answers = wire.act("CancelFlightInfo", &request).unwrap();
    let result = CancelFlightInfoResult::decode(answers[0].as_slice()).unwrap();
    assert_eq!(result.status(), CancelStatus::Cancelled);
}

fn cancel_the_old_way(wire: &Wire, info: &FlightInfo) {
    let request = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let answers = wire
        .act("CancelQuery", &packed(Command::ActionCancelQueryRequest(request)))
        .unwrap();
    match unpacked(&answers[0]) {
        Command::ActionCancelQueryResult(result) => assert_eq!(result.result, CancelStatus::Cancelled as i32),
        other => panic!("{other:?}"),
    }
}

/// The id of a trial's statement, as whoever wants to end it finds it.
fn statement_id(cluster: &Cluster, trial: u64) -> String {
    let mut session = cluster.session();
    let mut found = Vec::new();
    let sql = format!(
        "SELECT statement_id FROM system.queries WHERE state = 'running' \
         AND statement LIKE '%trial {trial} %' AND statement NOT LIKE '%system.queries%'"
    );
    assert!(wait_until(LIMIT, || {
        found = session.rows(&sql);
        found.len() == 1
    }));
    found.remove(0).remove(0)
}

/// How long after a statement was ended every executor was idle, and stayed so for the window.
fn idle_after(cluster: &Cluster, ended: Instant) -> Duration {
    let used = || -> Vec<u64> {
        let executors = cluster.executors().iter();
        executors.map(|executor| processor_time(executor.pid)).collect()
    };
    let mut looks = vec![(ended.elapsed(), used())];
    loop {
        sleep(LOOK);
        let (now, latest) = (ended.elapsed(), used());
        looks.push((now, latest.clone()));
        let idle = looks.iter().find(|(at, before)| {
            let all_idle = || {
                before
                    .iter()
                    .zip(&latest)
                    .all(|(before, after)| after - before <= IDLE_TICKS)
            };
            now - *at >= WINDOW && all_idle()
        });
        match idle {
            Some((at, _)) => return *at,
            None if now > LIMIT => return now,
            None => {}
        }
    }
}

#[test]
fn executors_are_idle_a_second_later() {
    let cluster = Cluster::start(&Options::executors(2));
    let mut session = cluster.session();
    prepare(&mut session);
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut random = StdRng::seed_from_u64(seed);
    let mut figures: BTreeMap<(Path, Way), Vec<u128>> = BTreeMap::new();
    for trial in 1..=steps(TRIALS) {
        let index = trial as usize;
        let way = Way::ALL[index % Way::ALL.len()];
        // Each way meets another path in every round.
        let path = Path::ALL[(index + 2 * (index / Way::ALL.len())) % Path::ALL.len()];
        let moment = Duration::from_millis(random.random_range(0..MOMENTS));
        let what = format!("{way:?} on {path:?} after {moment:?}");
        eprintln!("trial {trial}: {what}");
        let ended = end(&cluster, way, path, trial, moment);
        let idle = idle_after(&cluster, ended);
        assert!(
            idle <= IDLE_AFTER + SLACK,
            "{what}: an executor was busy for {idle:?} more"
        );
        let running = session.rows(
            "SELECT statement FROM system.queries WHERE state = 'running' AND statement NOT LIKE '%system.queries%'",
        );
        assert!(running.is_empty(), "{what}: still listed as running: {running:?}");
        figures.entry((path, way)).or_default().push(idle.as_millis());
    }
    let mut all: Vec<_> = figures.values().flatten().copied().collect();
    all.sort_unstable();
    let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
    eprintln!(
        "idle after (ms): median {}, nine of ten {}, worst {}; within a second: {} of {}",
        at(0.5),
        at(0.9),
        at(1.0),
        all.iter().filter(|idle| **idle <= IDLE_AFTER.as_millis()).count(),
        all.len()
    );
    for ((path, way), idle) in figures {
        eprintln!("{path:?}, {way:?}: {idle:?}");
    }
    assert_eq!(
        session.value("SELECT count(*) FROM sink"),
        "0",
        "what was cancelled wrote nothing"
    );
    assert!(!cluster.log().contains("panicked"));
    cluster.assert_goes_on();
}
