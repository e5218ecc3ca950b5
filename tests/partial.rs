//! Partial answers: what comes of a query when an executor does not answer in time, and what of the next
//! try.

use std::thread::sleep;
use std::time::{Duration, Instant};

use arrow_flight::Ticket;
use serde_json::{Value, json};
use watershed_core::shard::shard_of_i64;

use crate::harness::{Cluster, Executor, Options, Session, Wire, query, signal, ticket, wait_until};
use crate::python;
use crate::shell::shell;

const SHARDS: usize = 16;
/// An answer is due after this: well before a frozen executor is declared dead, and long after all others
/// have answered.
const DEADLINE: Duration = Duration::from_millis(1_500);
/// What a busy machine may add to that.
const SLACK: Duration = Duration::from_secs(5);
const REJOIN_LIMIT: Duration = Duration::from_secs(20);
const QUESTION: &str = "SELECT k, count(*), sum(v), count(DISTINCT v) FROM pairs GROUP BY k ORDER BY k";

/// A cluster of four with a sharded table.
struct Frozen {
    cluster: Cluster,
    session: Session,
    /// The executor to freeze, and its shards.
    executor: Executor,
    shards: Vec<u64>,
}

impl Frozen {
    fn prepare() -> Self {
        let cluster = Cluster::start(&Options::executors(4));
        let mut session = cluster.session();
        session.run(&format!(
            "CREATE TABLE pairs (id BIGINT, k INT, v BIGINT) CLUSTERED BY (id) INTO {SHARDS} BUCKETS"
        ));
        session.run(
            "INSERT INTO pairs SELECT value, value % 5, value % 11 FROM generate_series(1, 4000) AS s(value)",
        );
        session.run("SET watershed.execution = 'pipelined'");
        session.run("SET watershed.hedging = 'off'");
        session.run("SET watershed.result_cache = 'off'");
        let owned = session.rows(
            "SELECT owner, shard_id FROM system.shards WHERE table_name = 'pairs' ORDER BY owner, shard_id",
        );
        let executor = cluster.executors()[0].clone();
        let shards: Vec<_> = owned
            .iter()
            .filter(|row| row[0] == executor.node)
            .map(|row| row[1].parse().unwrap())
            .collect();
        assert!(!shards.is_empty(), "{} owns nothing: {owned:?}", executor.node);
        Self {
            cluster,
            session,
            executor,
            shards,
        }
    }

    /// Does something while the executor does nothing.
    fn while_frozen<T>(&mut self, act: impl FnOnce(&mut Session, &Cluster) -> T) -> T {
        signal(self.executor.pid, "STOP");
        let done = act(&mut self.session, &self.cluster);
        signal(self.executor.pid, "CONT");
        let session = &mut self.session;
        assert!(wait_until(REJOIN_LIMIT, || session
            .value("SELECT count(*) FROM system.executors")
            == "4"));
        done
    }

    fn allow(&mut self) {
        self.session.run("SET watershed.partial_results = 'allow'");
        self.due();
    }

    fn due(&mut self) {
        self.session
            .run(&format!("SET watershed.deadline = '{}ms'", DEADLINE.as_millis()));
    }

    fn missing(&self) -> Value {
        let missing = self
            .shards
            .iter()
            .map(|shard| json!({"table": "public.pairs", "shard": shard}));
        Value::Array(missing.collect())
    }
}

/// An id of the table that is in a shard.
fn id_in(shard: u64) -> String {
    let id = (1..=4_000).find(|id| u64::from(shard_of_i64(*id, SHARDS as u32)) == shard);
    id.expect("every shard has rows").to_string()
}

/// What `system.queries` says of the latest run of a statement.
fn latest(session: &mut Session, sql: &str) -> Vec<String> {
    let quoted = sql.replace('\'', "''");
    session
        .rows(&format!(
            "SELECT shards_completed, shards_reused, state FROM system.queries WHERE statement = '{quoted}' \
             ORDER BY started_at DESC LIMIT 1"
        ))
        .remove(0)
}

/// The `app_metadata` of a query's last frame.
fn last_metadata(wire: &Wire, sql: &str) -> Vec<u8> {
    let request = wire.request(Ticket::new(ticket(&wire.info(&query(sql)).unwrap())));
    let mut client = wire.client();
    wire.wait(async move {
        let mut frames = client.do_get(request).await.unwrap().into_inner();
        let mut last = Vec::new();
        while let Some(frame) = frames.message().await.unwrap() {
            last = frame.app_metadata.to_vec();
        }
        last
    })
}

#[test]
fn an_answer_without_a_frozen_executor() {
    let mut frozen = Frozen::prepare();
    let whole = frozen.session.rows(QUESTION);
    frozen.allow();
    assert_eq!(
        frozen.session.rows(QUESTION),
        whole,
        "nothing is missing where all answer"
    );
    let (part, took) = frozen.while_frozen(|session, _| {
        let start = Instant::now();
        (session.rows(QUESTION), start.elapsed())
    });
    assert!(took < DEADLINE + SLACK, "{took:?}");
    assert_ne!(part, whole);
    let finished = SHARDS - frozen.shards.len();
    assert_eq!(
        latest(&mut frozen.session, QUESTION),
        [finished.to_string(), "0".to_owned(), "finished".to_owned()]
    );
    // The next try runs the missing shards alone, also where it has to be whole.
    frozen.session.run("RESET watershed.partial_results");
    frozen.session.run("RESET watershed.deadline");
    assert_eq!(frozen.session.rows(QUESTION), whole);
    assert_eq!(
        latest(&mut frozen.session, QUESTION),
        [SHARDS.to_string(), finished.to_string(), "finished".to_owned()]
    );
    // A whole answer lets go of them.
    assert_eq!(frozen.session.rows(QUESTION), whole);
    assert_eq!(latest(&mut frozen.session, QUESTION)[1], "0");
    frozen.cluster.assert_goes_on();
}

#[test]
fn a_partial_answer_is_a_row_until_it_is_whole() {
    let mut frozen = Frozen::prepare();
    frozen.allow();
    frozen.session.run("RESET watershed.result_cache");
    let cached = "SELECT completed_shards, total_shards, results LIKE '[{\"k\":0,%' FROM distributed_query_cache \
                  ORDER BY 1";
    frozen.while_frozen(|session, _| session.rows(QUESTION));
    let finished = SHARDS - frozen.shards.len();
    let row = |completed: usize| vec![completed.to_string(), SHARDS.to_string(), "true".to_owned()];
    assert_eq!(frozen.session.rows(cached), [row(finished)]);
    // Nobody is given it again: the next one is whole, and takes its place.
    frozen.session.run("RESET watershed.deadline");
    let whole = frozen.session.rows(QUESTION);
    assert_eq!(latest(&mut frozen.session, QUESTION)[1], finished.to_string());
    assert_eq!(frozen.session.rows(cached), [row(SHARDS)]);
    assert_eq!(frozen.session.rows(QUESTION), whole);
    frozen.session.run("DELETE FROM distributed_query_cache");
    assert_eq!(frozen.session.rows(cached).len(), 0);
}

#[test]
fn kept_shards_are_those_of_the_same_files() {
    let mut frozen = Frozen::prepare();
    frozen.allow();
    frozen.while_frozen(|session, _| session.rows(QUESTION));
    frozen.session.run("RESET watershed.deadline");
    frozen.session.run("INSERT INTO pairs VALUES (4001, 0, 0)");
    let counted = "SELECT sum(n) FROM (SELECT k, count(*) AS n FROM pairs GROUP BY k) t";
    let rows = frozen.session.rows(QUESTION);
    let reused: usize = latest(&mut frozen.session, QUESTION)[1].parse().unwrap();
    let finished = SHARDS - frozen.shards.len();
    assert!(
        (finished - 1..=finished).contains(&reused),
        "{reused} of {finished}"
    );
    assert_eq!(frozen.session.value(counted), "4001");
    let sum: i64 = rows.iter().map(|row| row[1].parse::<i64>().unwrap()).sum();
    assert_eq!(sum, 4001, "the new row counts");
}

#[test]
fn it_is_told_beside_the_rows() {
    let mut frozen = Frozen::prepare();
    let missing = frozen.missing();
    let counts = json!([SHARDS - frozen.shards.len(), SHARDS]);
    let wire = Wire::open(frozen.cluster.flight(), "somebody").patient(DEADLINE + SLACK + SLACK);
    let settings = [
        "SET watershed.execution = 'pipelined'",
        "SET watershed.hedging = 'off'",
        "SET watershed.result_cache = 'off'",
        "SET watershed.partial_results = 'allow'",
        "SET watershed.deadline = '1500ms'",
    ];
    // A session of its own, as Wire has one.
    for setting in settings {
        wire.put(crate::harness::frames(&update(setting), None)).unwrap();
    }
    let told = frozen.while_frozen(|_, _| last_metadata(&wire, QUESTION));
    let told: Value = serde_json::from_slice(&told).expect("the last frame has metadata");
    assert_eq!(told["missing_shards"], missing, "{told}");
    assert_eq!(json!([told["completed_shards"], told["total_shards"]]), counts);
    assert!(
        last_metadata(&wire, "SELECT 1").is_empty(),
        "a whole answer has none"
    );

    // The same by our own client, and by drivers in Python.
    let script = format!("{};{QUESTION};", settings.join(";"));
    let outcome = frozen.while_frozen(|_, cluster| shell(cluster.flight(), &["--format", "csv"], &script));
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let warning = format!(
        "WARNING: the answer is partial: {} of {SHARDS} shards; missing: shard {} of public.pairs",
        SHARDS - frozen.shards.len(),
        frozen.shards[0]
    );
    assert!(outcome.err.contains(&warning), "{outcome:?}");
    let pid = frozen.executor.pid.to_string();
    python::script("partial.py", &[frozen.cluster.flight(), &pid, &told.to_string()]);
    frozen.cluster.assert_goes_on();
}

fn update(sql: &str) -> Vec<u8> {
    use arrow_flight::sql::{Command, CommandStatementUpdate};
    crate::harness::packed(Command::CommandStatementUpdate(CommandStatementUpdate {
        query: sql.to_owned(),
        transaction_id: None,
    }))
}

/// What is slow is asked of another executor, so that nothing is missing.
#[test]
fn a_frozen_executor_costs_no_time_where_another_is_asked() {
    let mut frozen = Frozen::prepare();
    let one_shard = frozen.shards[0];
    let whole = frozen.session.rows(QUESTION);
    frozen.session.run("SET watershed.hedging = 'on'");
    frozen.due();
    // One of the frozen executor's shards alone: one in ten may be asked for twice.
    let others = (0..SHARDS as u64).filter(|shard| !frozen.shards.contains(shard));
    let ids: Vec<_> = others.take(3).chain([one_shard]).map(id_in).collect();
    let only = format!(
        "SELECT count(*), sum(v) FROM pairs WHERE id IN ({})",
        ids.join(", ")
    );
    let expected = frozen.session.rows(&only);
    let answer = frozen.while_frozen(|session, _| session.rows(&only));
    assert_eq!(answer, expected);
    let hedges = frozen.session.value(
        "SELECT hedges FROM system.queries WHERE statement LIKE 'SELECT count(*), sum(v)%' \
         ORDER BY started_at DESC LIMIT 1",
    );
    assert_eq!(hedges, "1");
    assert_eq!(frozen.session.rows(QUESTION), whole);
}

#[test]
fn without_leave_a_late_answer_is_an_error() {
    let mut frozen = Frozen::prepare();
    frozen.due();
    let finished = SHARDS - frozen.shards.len();
    let error = frozen.while_frozen(|session, _| session.fails(QUESTION, "57014"));
    assert!(
        error.contains(&format!("{finished} of {SHARDS} shards had finished")),
        "{error}"
    );
    assert!(error.contains("watershed.partial_results = 'allow'"), "{error}");

    // Nor is less than what is asked for.
    frozen.allow();
    frozen.session.run("SET watershed.min_completeness = 0.99");
    let error = frozen.while_frozen(|session, _| session.fails(QUESTION, "57014"));
    assert!(
        error.contains(&format!("{finished} of {SHARDS} shards had finished")),
        "{error}"
    );
    assert!(error.contains("watershed.min_completeness"), "{error}");
}

#[test]
fn answers_that_cannot_be_partial_say_why() {
    let mut frozen = Frozen::prepare();
    frozen.allow();
    frozen.session.run("CREATE TABLE sink (k INT, n BIGINT)");
    let mut check = |sql: &str, why: &str| {
        let error = frozen.while_frozen(|session, _| session.fails(sql, "57014"));
        assert!(
            error.contains("its answer cannot be partial") && error.contains(why),
            "{error}"
        );
    };
    check(
        "SELECT k, count(*) FROM pairs GROUP BY k HAVING count(*) > 10",
        "HAVING",
    );
    check(
        "SELECT max(n) FROM (SELECT k, count(*) AS n FROM pairs GROUP BY k) t",
        "aggregates what is aggregated",
    );
    let late = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b \
                WHERE a.value % 7 = b.value % 11";
    check(late, "it runs in the scheduler, as it reads no files");
    let failure = frozen
        .while_frozen(|session, _| {
            session.update("INSERT INTO sink SELECT k, count(*) FROM pairs GROUP BY k")
        })
        .expect_err("an executor does not answer");
    assert!(failure.text.contains("it writes"), "{failure}");
    sleep(DEADLINE);
    assert_eq!(frozen.session.value("SELECT count(*) FROM sink"), "0");
    frozen.cluster.assert_goes_on();
}
